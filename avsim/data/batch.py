"""What a loader hands to a system: clips or latents of one spec, stacked."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Self

import torch
from torch import Tensor

from avsim.clip import ClipSpec, LatentSpec


class _Movable:
    """`to` and `pin_memory` for frozen dataclasses of tensors, as Lightning looks for them."""

    def _each(self, function) -> Self:
        changed = {}
        for f in fields(self):  # type: ignore[arg-type]
            value = getattr(self, f.name)
            if isinstance(value, Tensor):
                changed[f.name] = function(value)
            elif isinstance(value, _Movable):
                changed[f.name] = value._each(function)
        return replace(self, **changed)  # type: ignore[type-var]

    def to(self, device: torch.device | str, non_blocking: bool = True) -> Self:
        """All tensors on `device`; from pinned memory without waiting, which Lightning does not ask for."""
        return self._each(lambda value: value.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Self:
        """All tensors in pinned memory."""
        return self._each(lambda value: value.pin_memory())


@dataclass(frozen=True, eq=False)
class ClipBatch(_Movable):
    """Clips of one spec.

    Shapes: frames (B, 3, T, H, W) in [0, 1] or None; wave (B, A, N) or None; stems (B, R, A, N) and masks
    (B, R, T, H, W) where the truth is known (R is the same for all, unused rows are zeros) or None; `rows`
    (B,) the row of each clip in the step's whole batch over all processes, from which draws derive.
    """

    spec: ClipSpec
    frames: Tensor | None
    wave: Tensor | None
    captions: list[str]
    names: list[str]  # where each clip came from, for messages
    rows: Tensor
    stems: Tensor | None = None
    masks: Tensor | None = None


@dataclass(frozen=True, eq=False)
class LatentBatch(_Movable):
    """Latents of one spec, normalised to unit variance by their codecs.

    Shapes: video (B, Dv, t, h, w) or None; audio (B, Da, l) or None. Clip i is row `first_row + i` of the
    step's whole batch over all processes, from which all that is sampled for it derives.
    """

    spec: LatentSpec
    video: Tensor | None
    audio: Tensor | None
    captions: list[str]
    names: list[str]
    first_row: int
    text: Tensor | None = None  # the captions' token ids (B, ...), or embeddings (B, S, E), if they are known
    images: LatentBatch | None = None  # first frames of other clips, trained on beside these

    @property
    def device(self) -> torch.device:
        """Where the latents are."""
        return next(each for each in (self.video, self.audio) if each is not None).device
