"""What a file holds; of its video a frame is decoded at most."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from avsim.media.opening import Kind, MediaFile, channels_of, opened, worded
from avsim.media.video import IMAGE_RATE, rate_of, shown_size


@dataclass(frozen=True)
class Info:
    """A file's lengths and rates, as `read` would give them; what belongs to an absent modality is None."""

    path: Path
    seconds: float  # of the video where there is one, else of the sound
    video_seconds: float | None
    audio_seconds: float | None
    size: tuple[int, int] | None  # (H, W) as shown: upright, with square pixels
    frames_per_second: float | None
    sample_rate: int | None  # Hz
    channels: int | None

    @property
    def has_frames(self) -> bool:
        """Whether there is a video."""
        return self.size is not None

    @property
    def has_wave(self) -> bool:
        """Whether there is sound."""
        return self.sample_rate is not None


def probe(path: str | Path) -> Info:
    """Lengths and rates of a video, sound file or image.

    Raises:
        InputError: a file that is missing, empty or not one of these.
    """
    with worded(path), opened(path) as file:
        video, audio = file.video, file.audio
        size = None if video is None else shown_size(file)
        rate = None if video is None else rate_of(file)
        picture = None if video is None else 1 / IMAGE_RATE if file.is_image else _seconds(file, "video")
        sound = None if audio is None else _seconds(file, "audio")
        seconds = picture if picture is not None else sound
        assert seconds is not None
        return Info(
            path=file.path,
            seconds=seconds,
            video_seconds=picture,
            audio_seconds=sound,
            size=size,
            frames_per_second=rate,
            sample_rate=None if audio is None else audio.rate,
            channels=None if audio is None else channels_of(file),
        )


def _seconds(file: MediaFile, kind: Kind) -> float:
    """Where a stream ends: as its header says, else as its last packet does."""
    declared = file.declared_end(kind)
    if declared is not None:
        return declared
    end = 0.0
    with opened(file.path) as anew:  # of the open one another stream's packets may have been read to the end
        for packet in anew.container.demux(anew.stream(kind)):
            if packet.pts is not None:
                end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
    return max(0.0, end - file.zero)
