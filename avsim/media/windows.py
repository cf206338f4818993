"""The picture of a file in windows: for files longer than memory."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor

from avsim.clip import ClipSpec
from avsim.errors import InputError
from avsim.media.probe import probe
from avsim.media.read import read

CHUNK = 32.0  # seconds decoded at once: several keyframe intervals, so that few frames are decoded twice
VALUES = 2**26  # of a chunk's frames at most: 320 MiB while it is decoded


class Windows:
    """Windows of a file's picture, in the order of time, at the size and rate of a `ClipSpec`.

    Memory holds one chunk of small frames, however long the file is.

    Args:
        path: of the file.
        seconds: of it that count, from its beginning; all of it by default.

    Raises:
        InputError: a file that can't be read or has no picture.
    """

    def __init__(self, path: str | Path, seconds: float | None = None) -> None:
        info = probe(path)
        if info.video_seconds is None or info.frames_per_second is None:
            raise InputError(f"{path}: has no picture, which is needed here")
        self.path, self.seconds = Path(path), info.video_seconds
        if seconds is not None:  # in whole frames
            frames = max(1, round(seconds * info.frames_per_second))
            self.seconds = min(self.seconds, frames / info.frames_per_second)
        self._chunk: Tensor | None = None  # (3, T, H, W)
        self._first = 0  # frame of the file's grid at which the chunk begins

    def __call__(self, start: float, spec: ClipSpec) -> Tensor:
        """Frames (3, T, H, W) of `spec` from `start` seconds on; the last one is held beyond the end."""
        rate = spec.frames_per_second
        first, last = round(start * rate), round(start * rate) + spec.frames
        chunk = self._chunk
        if chunk is None or chunk.shape[2:] != spec.size or not self._covers(first, last, rate):
            left = math.ceil(self.seconds * rate) - first
            count = min(round(CHUNK * rate), VALUES // (3 * spec.height * spec.width), left)
            count = max(spec.frames, count)
            found = read(self.path, first / rate, count / rate, spec.size, rate, want="frames").frames
            assert found is not None
            self._chunk, self._first, chunk = found, first, found
        shown = torch.arange(first, last) - self._first
        return chunk[:, shown.clamp(max=chunk.shape[1] - 1)]

    def _covers(self, first: int, last: int, rate: float) -> bool:
        assert self._chunk is not None
        end = self._first + self._chunk.shape[1]
        return self._first <= first and (last <= end or end >= math.floor(self.seconds * rate))
