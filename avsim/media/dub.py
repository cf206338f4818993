"""A video's video under another sound, which may be made as it is written: memory holds a piece of each."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from av.container import OutputContainer
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from avsim.errors import InputError
from avsim.media.encode import copied, encoded_pictures, encoded_pieces
from avsim.media.opening import MediaFile, opened, worded
from avsim.media.probe import probe
from avsim.media.read import BUDGET
from avsim.media.video import decoded_frames, rate_of, shown_size
from avsim.media.write import FORMATS, SAME_LENGTH, can_copy, check_name, encoding, mux

_AT_ONCE = 16  # full-size frames in the hands of a decoder and an encoder, bytes of three values each


@dataclass(frozen=True)
class Sound:
    """Waves (A, n) that follow one another, `samples` long together; what is more is cut, less is silence."""

    pieces: Iterable[Tensor]
    channels: int
    samples: int
    sample_rate: int

    @classmethod
    def of(cls, wave: Tensor, sample_rate: int) -> Sound:
        """A wave (A, N) in one piece."""
        return cls([wave], wave.shape[0], wave.shape[1], sample_rate)

    def exactly(self) -> Iterator[Tensor]:
        """The pieces, `samples` long together."""
        left = self.samples
        for piece in self.pieces:
            yield (piece := piece[:, :left])
            left -= piece.shape[1]
        silence = None
        while left > 0:
            count = min(left, self.sample_rate)
            silence = pad(piece[:, :0], (0, count))
            yield silence
            left -= count


def check_dubbed(video: str | Path, path: str | Path) -> None:
    """Refuse, before there is a sound, what `write_dubbed` could not write.

    Raises:
        InputError: an unknown suffix or one that holds no audio; a video that can't be read, has no video,
            or has one that can neither be copied nor be encoded again within memory.
    """
    path = Path(path)
    check_name(path)
    form = FORMATS[path.suffix.lower()]
    if form.audio is None:
        raise InputError(f"{path}: holds videos alone, and a sound is made; choose .mp4, .webm or .mkv")
    if form.video is None:
        return
    with worded(video), opened(video) as source:
        source.stream("video")
        if can_copy(source, "video", form):
            return
        high, wide = shown_size(source)
        if high * wide * 3 * _AT_ONCE > BUDGET:
            raise InputError(
                f"{video}: its video of {wide} x {high} can't be copied into {path.suffix}, and encoding it "
                f"anew takes more than {BUDGET / 1e9:g} GB; scale it down"
            )


def write_dubbed(
    video: str | Path,
    sound: Sound,
    path: str | Path,
    seconds: float | None = None,
    hold: float | None = None,
) -> Path:
    """Write a video's video under another sound; `seconds` of it where that is given.

    The video's packets are copied; where the container can't hold them, browsers would not play them, or
    the video is cut short or its last frame is held, it is encoded again, frame by frame. With `hold` the
    last frame stays until that second. A suffix for sound takes the audio alone.

    Raises:
        InputError: as `check_dubbed`, `write` and `read`.
    """
    path = Path(path)
    check_dubbed(video, path)
    form = FORMATS[path.suffix.lower()]

    def tracks(output: OutputContainer, stack: ExitStack) -> Iterator[Iterator[Any]]:
        if form.video is not None:
            source = stack.enter_context(opened(video))
            length = probe(video).video_seconds
            assert length is not None
            whole = seconds is None or length - seconds <= SAME_LENGTH
            if can_copy(source, "video", form) and whole and hold is None:
                yield copied(output, source, "video")
            else:
                codec, rate = form.video, rate_of(source)
                images = _images(source, seconds, rate, hold)
                size = shown_size(source)
                yield encoded_pictures(output, codec.name, codec.format, codec.options, images, size, rate)
        assert form.audio is not None
        codec = form.audio
        yield encoded_pieces(
            output,
            codec.name,
            codec.format,
            codec.options,
            sound.exactly(),
            sound.channels,
            sound.sample_rate,
        )

    with encoding(path) as temporary:
        mux(temporary, form, sound.sample_rate, lambda *given: list(tracks(*given)))
    return path


def _images(
    file: MediaFile, seconds: float | None, rate: float, hold: float | None
) -> Iterator[NDArray[np.uint8]]:
    """The images of a video as encoders take them, (H, W, 3); the last one is repeated until `hold`."""
    count = 0
    with worded(file.path):
        for image in decoded_frames(file, 0.0, seconds, None, rate):
            count += 1
            yield image.transpose(1, 2, 0)
    for _ in range(count, math.ceil((hold or 0.0) * rate - 1e-6)):
        yield image.transpose(1, 2, 0)
