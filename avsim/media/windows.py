"""The video of a file in windows, and its packets under another sound: for files longer than memory."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor

from avsim.clip import Clip, ClipSpec
from avsim.errors import InputError
from avsim.media.probe import probe
from avsim.media.read import read
from avsim.media.write import write

CHUNK = 32.0  # seconds decoded at once: several keyframe intervals, so that few frames are decoded twice
VALUES = 2**26  # of a chunk's frames at most: 320 MiB while it is decoded


class Windows:
    """Windows of a file's video, in the order of time, at the size and rate of a `ClipSpec`.

    Memory holds one chunk of small frames, however long the file is.

    Raises:
        InputError: a file that can't be read or has no video.
    """

    def __init__(self, path: str | Path) -> None:
        info = probe(path)
        if info.video_seconds is None:
            raise InputError(f"{path}: has no video, which is needed here")
        self.path, self.seconds = Path(path), info.video_seconds
        self._chunk: Tensor | None = None  # (3, T, H, W)
        self._first = 0  # frame of the file's grid at which the chunk begins

    def __call__(self, start: float, spec: ClipSpec) -> Tensor:
        """Frames (3, T, H, W) of `spec` from `start` seconds on; the last one is held beyond the end."""
        rate = spec.frames_per_second
        first, last = round(start * rate), round(start * rate) + spec.frames
        chunk = self._chunk
        if chunk is None or chunk.shape[2:] != spec.size or not self._covers(first, last, rate):
            count = max(spec.frames, min(round(CHUNK * rate), VALUES // (3 * spec.height * spec.width)))
            found = read(self.path, first / rate, count / rate, spec.size, rate, want="frames").frames
            assert found is not None
            self._chunk, self._first, chunk = found, first, found
        shown = torch.arange(first, last) - self._first
        return chunk[:, shown.clamp(max=chunk.shape[1] - 1)]

    def _covers(self, first: int, last: int, rate: float) -> bool:
        assert self._chunk is not None
        end = self._first + self._chunk.shape[1]
        return self._first <= first and (last <= end or end >= math.floor(self.seconds * rate))


def write_dubbed(film: str | Path, wave: Tensor, sample_rate: int, path: str | Path) -> Path:
    """Write a video's video under another sound (A, N).

    The video's packets are copied; where the container can't hold them (a GIF's, say) it is encoded anew.

    Raises:
        InputError: as `write` and `read`.
    """
    sound = Clip(None, wave, sample_rate=sample_rate)
    try:
        return write(sound, path, video_from=film)
    except InputError:
        seen = read(film, want="frames")
        assert seen.frames is not None
        return write(Clip.fitted(seen.frames, wave, seen.frames_per_second, sample_rate), path)
