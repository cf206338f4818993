"""A clip that is written while it is made: memory holds the pieces that only one modality has reached."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain, tee
from pathlib import Path
from typing import Any

from av.container import OutputContainer

from avsim.clip import Clip
from avsim.errors import InputError
from avsim.media.encode import encoded_pictures, encoded_pieces, to_bytes
from avsim.media.write import FORMATS, check_name, encoding, mux


def write_stream(pieces: Iterator[Clip], path: str | Path) -> Path:
    """Write consecutive clips with video and audio, of the same rates and size, as one file.

    The file appears when all is written, or not at all. A suffix for one modality takes that one alone.

    Raises:
        InputError: as `write`, no pieces, or a suffix of a still image.
    """
    path = Path(path)
    check_name(path)
    form = FORMATS[path.suffix.lower()]
    if form.muxer == "png":
        raise InputError(f"{path}: holds a still image; choose .mp4, .webm or .mkv")
    first = next(pieces, None)
    if first is None or first.frames is None or first.wave is None:
        raise InputError(f"{path}: there is no video with audio to write")
    size = first.frames.shape[2], first.frames.shape[3]
    rate, sample_rate, channels = first.frames_per_second, int(first.sample_rate), first.wave.shape[0]

    def tracks(output: OutputContainer, _: ExitStack) -> list[Iterator[Any]]:
        shown, heard = tee(chain([first], pieces))
        images = (to_bytes(image) for clip in shown for image in clip.frames.unbind(1))  # type: ignore[union-attr]
        waves = (clip.wave for clip in heard if clip.wave is not None)
        made = []
        if form.video is not None:
            codec = form.video
            made.append(encoded_pictures(output, codec.name, codec.format, codec.options, images, size, rate))
        if form.audio is not None:
            codec = form.audio
            made.append(
                encoded_pieces(output, codec.name, codec.format, codec.options, waves, channels, sample_rate)
            )
        return made

    with encoding(path) as temporary:
        mux(temporary, form, sample_rate, tracks)
    return path
