"""Paste given frames and samples over generated ones, without a visible or audible step at the seams.

A codec reconstructs given content with small errors, which would show as a step where the given content
ends, and decoded frames flicker a little from block to block. Both differences at the seam are added to the
generated frames next to it, and fade out; where something moves, nothing is added. Given audio continues
beyond a seam, mirrored, and fades out.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

FADE = 1.0  # seconds in which the codec's error fades out
FLICKER = 0.25  # seconds in which the flicker of pixels that have not moved fades out
MOVED = 0.1  # change of a pixel since the seam above which it counts as moved
LEVEL = 0.25  # seconds of audio beside a seam whose levels are compared
MAX_GAIN = 2.0  # largest correction of levels, up or down
MIRRORED = 0.1  # seconds of given audio that fade out beyond a seam, mirrored


def paste_frames(made: Tensor, given: Tensor, first: int, last: int, rate: float) -> Tensor:
    """Frames (3, T, H, W): `made` from `first` to `last`, exactly `given` elsewhere.

    Args:
        made: all frames as they were decoded, also those that are given.
        given: of the same shape; its values between `first` and `last` don't matter.
        first: index of the first generated frame; 0: there is no seam before it.
        last: index after the last one; T: there is no seam after it.
        rate: frames per second.
    """
    inside = made[:, first:last]
    corrections = torch.zeros_like(inside)
    if first > 0:
        corrections += _correction(inside, made[:, first - 1], given[:, first - 1], rate)
    if last < made.shape[1]:
        corrections += _correction(inside.flip(1), made[:, last], given[:, last], rate).flip(1)
    return torch.cat([given[:, :first], (inside + corrections).clamp(0, 1), given[:, last:]], 1)


def _correction(inside: Tensor, made: Tensor, given: Tensor, rate: float) -> Tensor:
    """What is added to frames `inside` (3, n, H, W) that follow `given` (3, H, W), decoded as `made`."""
    change = (inside - made[:, None]).abs().amax(0)  # (n, H, W)
    still = (2 - 2 * change / MOVED).clamp(0, 1)
    error, flicker = given - made, made - inside[:, 0]  # (3, H, W)
    return sum(
        each[:, None] * still * _fading(inside.shape[1], seconds * rate)[:, None, None]
        for each, seconds in ((error, FADE), (flicker, FLICKER))
    )  # type: ignore[return-value]  # it starts with no 0


def _fading(count: int, length: float) -> Tensor:
    """Weights (count,) from nearly 1 to 0 at `length`, or at `count` where that is less."""
    length = max(1.0, min(float(count), length))
    return (1 - torch.arange(1, count + 1) / (length + 1)).clamp(min=0)


def paste_wave(made: Tensor, given: Tensor, first: int, last: int, sample_rate: int) -> Tensor:
    """A wave (A, N), as `paste_frames`: levels and the last sample are matched on both sides."""
    inside = made[:, first:last]
    if first > 0:
        inside = _matched(inside, made[:, :first], given[:, :first], sample_rate)
    if last < made.shape[1]:
        turned, after, given_after = (part.flip(1) for part in (inside, made[:, last:], given[:, last:]))
        inside = _matched(turned, after, given_after, sample_rate).flip(1)
    return torch.cat([given[:, :first], inside.clamp(-1, 1), given[:, last:]], 1)


def _matched(inside: Tensor, made: Tensor, given: Tensor, sample_rate: int) -> Tensor:
    """`inside` (A, n) as it follows `given`, of which `made` is the decoded copy, with equal power."""
    count = max(1, round(LEVEL * sample_rate))
    levels = [float(part[:, -count:].square().mean().sqrt()) for part in (given, made)]
    gain = min(max(max(levels[0], 1e-5) / max(levels[1], 1e-5), 1 / MAX_GAIN), MAX_GAIN)
    fade = torch.linspace(1, 0, min(inside.shape[1], 2 * count))
    gains = torch.ones(inside.shape[1])
    gains[: len(fade)] = gain**fade
    tail = given.flip(1)[:, : min(inside.shape[1], round(MIRRORED * sample_rate))]
    angle = torch.arange(1, tail.shape[1] + 1) / (tail.shape[1] + 1) * math.pi / 2
    inside = inside * gains
    inside[:, : tail.shape[1]] = tail * angle.cos() + inside[:, : tail.shape[1]] * angle.sin()
    return inside
