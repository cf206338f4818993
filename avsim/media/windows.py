"""The video of a file in windows: for files longer than memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from avsim.clip import ClipSpec
from avsim.errors import InputError
from avsim.media.opening import opened, worded
from avsim.media.probe import probe
from avsim.media.read import BUDGET
from avsim.media.video import decoded_frames, to_tensor, within

FORWARD = 20.0  # seconds: what lies further on is sought, not decoded up to


class Windows:
    """Windows of a file's video, in the order of time, at the size and rate of a `ClipSpec`.

    The file is decoded once, as windows ask for it, if none begins before the one that came before it. Memory
    holds one window of small frames, however long the file is.

    Args:
        path: of the file.
        seconds: of it that count, from its beginning; all of it by default.

    Raises:
        InputError: a file that can't be read or has no video.
    """

    def __init__(self, path: str | Path, seconds: float | None = None) -> None:
        info = probe(path)
        if info.video_seconds is None or info.frames_per_second is None:
            raise InputError(f"{path}: has no video, which is needed here")
        self.path, self.seconds = Path(path), info.video_seconds
        if seconds is not None:  # in whole frames
            frames = max(1, round(seconds * info.frames_per_second))
            self.seconds = min(self.seconds, frames / info.frames_per_second)
        self._coming: Iterator[NDArray[np.uint8]] = iter(())
        self._held: deque[NDArray[np.uint8]] = deque()  # images (3, H, W)
        self._first = 0  # number of the first of them on the grid of `_form`
        self._form: tuple[tuple[int, int], float] | None = None  # size and rate

    def __call__(self, start: float, spec: ClipSpec) -> Tensor:
        """Frames (3, T, H, W) of `spec` from `start` seconds on; the last one is held beyond the end."""
        rate = spec.frames_per_second
        first, form = round(start * rate), (spec.size, rate)
        further = self._first + len(self._held) + FORWARD * rate
        if form != self._form or not self._first <= first <= further:
            self._held.clear()
            self._coming, self._first, self._form = self._images(first / rate, *form), first, form
        while self._first + len(self._held) < first + spec.frames:
            if (image := next(self._coming, None)) is None:
                break
            self._held.append(image)
            self._forget(first)
        self._forget(first)
        shown = list(self._held)[: spec.frames]
        return to_tensor(shown + shown[-1:] * (spec.frames - len(shown)))

    def _forget(self, before: int) -> None:
        """Drop the images before number `before`, but for the last one that there is."""
        while self._first < before and len(self._held) > 1:
            self._held.popleft()
            self._first += 1

    def _images(self, start: float, size: tuple[int, int], rate: float) -> Iterator[NDArray[np.uint8]]:
        with worded(self.path), opened(self.path) as file:
            check = within(self.path, BUDGET)
            yield from decoded_frames(file, start, None, size, rate, lambda _, *one: check(1, *one))
