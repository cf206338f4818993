"""Sizes that a model was not trained on, composed of overlapping windows (MultiDiffusion, 2302.08113)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any, NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn

from avsim.clip import LatentSpec
from avsim.errors import InputError
from avsim.models.pair import Pair

OVERLAP = 0.5  # smallest share of a window that overlaps the next one


class WindowedContext(NamedTuple):
    """The context of one window, and the positions of all windows."""

    inner: Any  # the model's own context, of a window
    spec: LatentSpec  # of the whole
    window: tuple[int, int]  # (h, w) of a window, in latents
    offsets: tuple[tuple[int, int], ...]  # row and column of each window, in latents


class MultiDiffusion(nn.Module):
    """A model whose velocities at other sizes are the weighted mean of those of overlapping windows.

    It has the interface of `JointDiT`. All windows have the trained size, its positions and the same caption.
    Weights fall off towards the edges of a window. The audio's velocity is the mean over all windows.

    Args:
        model: a `JointDiT` or `JointGenerator`.
        size: (H, W) of its training clips, in pixels.
    """

    def __init__(self, model: Any, size: tuple[int, int]) -> None:
        super().__init__()
        self.model, self.size = model, size

    def __getattr__(self, name: str) -> Any:
        """Attributes of the wrapped model: text encoder, shifts, channels, coupling, levels."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("model"), name)

    def context(
        self, captions: Sequence[str] | Tensor, spec: LatentSpec, uncond: Tensor | None = None
    ) -> WindowedContext:
        """Text of B clips of `spec`, and the windows' positions.

        Raises:
            InputError: a size smaller than a window.
        """
        window = replace(spec, clip=replace(spec.clip, height=self.size[0], width=self.size[1]))
        rows, columns = (
            offsets(whole, part) for whole, part in zip(spec.video[1:], window.video[1:], strict=True)
        )
        inner = self.model.context(captions, window, uncond)
        return WindowedContext(inner, spec, window.video[1:], tuple(product(rows, columns)))

    def forward(self, x: Pair[Tensor], s: Pair[Tensor], context: WindowedContext) -> Pair[Tensor]:
        """The velocity of every token. Shapes: as of `JointDiT.forward`."""
        if x.video is None:
            return self.model(x, s, context.inner)
        t, h, w = context.spec.video
        grid = rearrange(x.video, "b (t h w) d -> b t h w d", t=t, h=h, w=w)
        total, audio = torch.zeros_like(grid, dtype=torch.float32), []
        high, wide = context.window
        weights, weight_sum = window_weights(high, wide).to(grid), grid.new_zeros(h, w, 1)
        for row, column in context.offsets:
            part = (slice(row, row + high), slice(column, column + wide))
            level = s.video
            if level.shape[1] == t * h * w:
                level = level.unflatten(1, (t, h, w))[:, :, *part].flatten(1)
            tokens = rearrange(grid[:, :, *part], "b t h w d -> b (t h w) d")
            v = self.model(Pair(tokens, x.audio), Pair(level, s.audio), context.inner)
            made = rearrange(v.video, "b (t h w) d -> b t h w d", t=t, h=high, w=wide)
            total[:, :, *part] += weights * made
            weight_sum[part] += weights
            audio.append(v.audio)
        video = rearrange(total / weight_sum, "b t h w d -> b (t h w) d").to(x.video)
        return Pair(video, None if x.audio is None else torch.stack(audio).mean(0))


def window_weights(high: int, wide: int) -> Tensor:
    """Weights (high, wide, 1) of a window's latents: 1 in its middle, less towards its edges."""
    rows, columns = (1 - (torch.arange(n) + 0.5 - n / 2).abs() / (n / 2 + 0.5) for n in (high, wide))
    return (rows[:, None] * columns)[..., None]


def offsets(whole: int, part: int) -> tuple[int, ...]:
    """The evenly spaced starts of windows of `part` latents that cover `whole`, each overlapping the next.

    Raises:
        InputError: a whole that is smaller than a part.
    """
    if whole < part:
        raise InputError(f"{whole} latents are fewer than the {part} of a window")
    steps = math.ceil((whole - part) / max(1, int(part * (1 - OVERLAP))))
    return tuple(round(k * (whole - part) / max(1, steps)) for k in range(steps + 1))
