"""Open a file, find its picture and its sound, and decode either from a moment on."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import av
from av.container import InputContainer
from av.stream import Disposition

from avsim.errors import InputError

Kind = Literal["video", "audio"]

# Formats whose headers state durations; elsewhere (bare MP3, ADTS) FFmpeg estimates them from the bit rate.
_EXACT = {"mov", "matroska", "webm", "avi", "wav", "flac", "ogg"}


@dataclass(frozen=True)
class Film:
    """An open file: its first picture and sound streams, and the time stamp that is its time 0, in seconds.

    Time 0 is the start of the earliest stream, except that a picture which starts less than one of its frames
    later (a muxer made room for a sound codec's priming) sets it, so that frames fall on the clip's grid.
    """

    path: Path
    container: InputContainer
    video: Any  # av.VideoStream or None
    audio: Any  # av.AudioStream or None
    zero: float

    @property
    def is_image(self) -> bool:
        """Whether the file is a still image."""
        name = self.container.format.name
        return self.video is not None and (name == "image2" or name.endswith("_pipe"))

    def stream(self, kind: Kind) -> Any:
        """The stream of a kind; InputError where the file has none."""
        found = self.video if kind == "video" else self.audio
        if found is None:
            raise InputError(f"{self.path}: has no {'picture' if kind == 'video' else 'sound'}")
        return found

    @property
    def aspect(self) -> float:
        """Width over height of the picture's pixels."""
        return float(self.video.sample_aspect_ratio or 1)

    def declared_end(self, kind: Kind) -> float | None:
        """Where the header says that a stream ends, in seconds of the file; None where no header says it."""
        if self.is_image or not _EXACT & set(self.container.format.name.split(",")):
            return None
        stream = self.stream(kind)
        if stream.duration is not None:
            return float(((stream.start_time or 0) + stream.duration) * stream.time_base) - self.zero
        if (tag := stream.metadata.get("DURATION")) is not None:  # Matroska: "00:00:02.062500000"
            hours, minutes, seconds = tag.split(":")
            return 3600 * int(hours) + 60 * int(minutes) + float(seconds) - self.zero
        if self.container.duration is None or not (self.video is None or self.audio is None):
            return None  # the container's length is that of its longest stream
        return self.container.duration / av.time_base - self.zero


@contextmanager
def worded(path: str | Path) -> Iterator[None]:
    """Turn FFmpeg's errors about a file that is being read into InputError."""
    try:
        yield
    except av.FFmpegError as error:
        reason = "cut short, or no film, sound or image" if isinstance(error, ValueError) else error.strerror
        raise InputError(f"{path}: cannot be read ({reason})") from error


@contextmanager
def opened(path: str | Path) -> Iterator[Film]:
    """Open a film, sound file or image.

    Raises:
        InputError: no such file, an empty one, or one that holds neither picture nor sound.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if path.is_dir():
        raise InputError(f"{path}: is a folder; expected a film, sound or image file")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: is empty")
    with worded(path):
        # "file:", for else a name with a colon is an address; the whitelist keeps playlists off the net.
        options = {"protocol_whitelist": "file"}
        container = av.open(f"file:{path}", metadata_errors="replace", container_options=options)
    with container:
        yield _film(path, container)


def _film(path: Path, container: InputContainer) -> Film:
    pictures = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    video = next((s for s in pictures if s.codec_context is not None), None)
    audio = next((s for s in container.streams.audio if s.codec_context is not None), None)
    if video is None and audio is None:
        raise InputError(f"{path}: holds neither picture nor sound (or is cut short)")
    streams: list[Any] = [s for s in (video, audio) if s is not None]
    starts = {s.type: float((s.start_time or 0) * s.time_base) for s in streams}
    zero = min(starts.values())
    if video is not None and (rate := video.average_rate or video.guessed_rate):
        if starts["video"] - zero < 1 / rate:
            zero = starts["video"]
    return Film(path, container, video, audio, max(0.0, zero))


@dataclass
class Decoding:
    """Frames of one stream in the order of their time stamps, and the first damage met on the way."""

    path: Path
    kind: Kind
    since: float  # seconds of the file; the frames begin at or before it
    preroll: float = 0.0  # seconds that the decoder needs to warm up
    damage: float | None = field(default=None, init=False)

    def __iter__(self) -> Iterator[tuple[float, Any]]:
        """Yield (seconds of the file, frame)."""
        for back in (self.preroll, self.preroll + 2.0, self.preroll + 20.0, math.inf):
            with opened(self.path) as film:
                stream = film.stream(self.kind)
                stream.thread_type = "AUTO"
                target = self.since - back
                if target > 0:
                    try:
                        film.container.seek(int((target + film.zero) / stream.time_base), stream=stream)
                    except av.FFmpegError:
                        pass  # the format can't seek: decode from its beginning
                frames = self._frames(film, stream)
                first = next(frames, None)
                # Some formats seek past the moment that was asked for: then try from further back.
                if target <= 0 or (first is not None and first[0] <= max(0.0, self.since - self.preroll / 2)):
                    if first is not None:
                        yield first
                        yield from frames
                    return

    def _frames(self, film: Film, stream: Any) -> Iterator[tuple[float, Any]]:
        rate = float(stream.average_rate or 25) if self.kind == "video" else stream.rate
        seconds: float | None = None  # where a frame without a time stamp would belong
        packets = film.container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                if packet.is_corrupt:
                    self._damaged(film, packet)
                frames = packet.decode()
            except av.EOFError:
                return
            except av.FFmpegError as error:
                self._damaged(film, packet)
                if not isinstance(error, ValueError):
                    return
                continue
            for frame in frames:
                if frame.pts is not None:
                    seconds = float(frame.pts * frame.time_base) - film.zero
                if seconds is None:
                    continue
                if self.kind == "video" and frame.key_frame and seconds <= self.since:
                    self.damage = None  # a key frame doesn't build on what came before it
                yield seconds, frame
                seconds += (1 if self.kind == "video" else frame.samples) / rate

    def _damaged(self, film: Film, packet: Any) -> None:
        stamp = None if packet is None else packet.pts if packet.pts is not None else packet.dts
        seconds = self.since if stamp is None else float(stamp * packet.time_base) - film.zero
        # A decoder of sound that starts in the middle may stumble at first; pictures build on earlier ones.
        if self.damage is None and (self.kind == "video" or seconds >= self.since):
            self.damage = seconds
