"""Paste given frames and samples over generated ones, without a visible or audible step at the seams.

A codec reconstructs given content with small errors, which would show as a step where the given content
ends, and decoded frames flicker a little from block to block. Both differences at the seam are added to the
generated frames next to it, and fade out; where something moves, nothing is added. Given audio continues
beyond a seam, predicted from its last moments, and fades out.
"""

from __future__ import annotations

import math

import numpy as np
import scipy.linalg
import scipy.signal
import torch
from torch import Tensor

FADE = 1.0  # seconds in which the codec's error fades out
FLICKER = 0.25  # seconds in which the flicker of pixels that have not moved fades out
MOVED = 0.1  # change of a pixel since the seam above which it counts as moved
LEVEL = 0.25  # seconds of audio beside a seam whose levels are compared
MAX_GAIN = 2.0  # largest correction of levels, up or down
CONTINUED = 0.1  # seconds that given audio continues beyond a seam, fading out
PAST = 0.2  # seconds of it that its continuation is predicted from
ORDER = 0.02  # seconds that the prediction of a sample looks back


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
    """A wave (A, N), as `paste_frames`: on both sides levels are matched, and given audio continues."""
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
    tail = continued(given, min(inside.shape[1], round(CONTINUED * sample_rate)), sample_rate)
    angle = torch.arange(1, tail.shape[1] + 1) / (tail.shape[1] + 1) * math.pi / 2
    inside = inside * gains
    inside[:, : tail.shape[1]] = tail * angle.cos() + inside[:, : tail.shape[1]] * angle.sin()
    return inside


def continued(given: Tensor, count: int, sample_rate: int) -> Tensor:
    """The next `count` samples of a wave (A, n) by linear prediction, (A, count).

    Tones go on in phase, without the kink of a reflection, which is heard as an onset. The prediction's
    errors go on too, reversed, so that noise keeps its level; where they are an onset, they are limited.
    """
    made = []
    for row in given[:, -max(2, round(PAST * sample_rate)) :].double().numpy():
        order = max(1, min(round(ORDER * sample_rate), len(row) // 4))
        power = scipy.signal.correlate(row, row)[len(row) - 1 : len(row) + order]  # at lags 0 to `order`
        power[0] = power[0] * (1 + 1e-6) + 1e-9
        weights = scipy.linalg.solve_toeplitz(power[:-1], power[1:])
        error_of = np.concatenate([[1.0], -weights])
        errors = scipy.signal.lfilter(error_of, [1.0], row)[order:][::-1]
        limit = 4 * np.median(np.abs(errors)) if len(errors) else 0.0
        driving = np.resize(np.clip(errors, -limit, limit), count) if len(errors) else np.zeros(count)
        state = scipy.signal.lfiltic([1.0], error_of, row[::-1][:order])
        made.append(scipy.signal.lfilter([1.0], error_of, driving, zi=state)[0])
    return torch.from_numpy(np.stack(made)).to(given)
