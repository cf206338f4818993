"""From noise to data along dx/ds = v(x, s). A sampler is one function of `denoise` and of the levels to pass.

Tokens stay where their level stays: one that is given has level 0 all along, and comes out as it went in.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from avsim.diffusion.guidance import Denoise
from avsim.diffusion.levels import shifted
from avsim.diffusion.noising import clean_of, noise_of
from avsim.errors import InputError
from avsim.models.pair import Pair
from avsim.models.tokens import repeat_levels

Sampler = Callable[[Denoise, Pair[Tensor], Sequence[Pair[Tensor]]], Pair[Tensor]]


def path(start: Pair[Tensor], steps: int, shifts: Pair[float]) -> list[Pair[Tensor]]:
    """The levels to pass, `steps` + 1 pairs of (B, K), from `start` to 0.

    Each modality goes along its own shifted path; a token that starts at s0 < 1 passes s0 times that.

    Raises:
        InputError: fewer than one step.
    """
    if steps < 1:
        raise InputError(f"{steps} sampler steps; at least 1 is needed")
    points = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    return [
        start.each(lambda start, shift: start * shifted(u, shift).to(start), shifts)  # noqa: B023
        for u in points
    ]


def frame_0_sooner(levels: Sequence[Pair[Tensor]], frames: int, ahead: int) -> Sequence[Pair[Tensor]]:
    """The same path of clips of `frames` latent frames, along which frame 0 is `ahead` steps before the rest.

    What follows says how it differs from frame 0 (`codecs.video`): what is taken back has to be known.
    """
    if not ahead or frames == 1 or levels[0].video is None or levels[0].video.shape[1] > frames:
        return levels
    each = [repeat_levels(now.video, frames) for now in levels]  # (B, t)
    sooner = [each[0], *(each[min(i + ahead, len(each) - 1)] for i in range(1, len(each)))]
    return [
        now._replace(video=torch.cat([first[:, :1], rest[:, 1:]], 1))
        for now, first, rest in zip(levels, sooner, each, strict=True)
    ]


def ancestral(eta: float, noise: Callable[[int], Pair[Tensor]]) -> Sampler:
    """Euler's steps with noise drawn anew between them: what was begun wrongly is not kept to the end.

    With sigma = s / (1 - s), a step to sigma' goes on with a share eta sqrt(1 - (sigma' / sigma)^2) of fresh
    noise (DDIM, 2010.02502, eq. 16: `eta` 0 is Euler's step, 1 is DDPM's). `noise(i)` are normal tokens
    (B, L, D) for step i.

    Raises:
        InputError: an `eta` outside [0, 1].
    """
    if not 0 <= eta <= 1:
        raise InputError(f"eta, the noise that is drawn anew, is {eta}; it must lie in [0, 1]")

    def step(x: Tensor, v: Tensor, now: Tensor, then: Tensor, fresh: Tensor) -> Tensor:
        s, after = (repeat_levels(level, x.shape[1])[..., None] for level in (now, then))  # (B, L, 1)
        v, ratio = v.to(x), after * (1 - s) / (s * (1 - after))
        share = eta * (1 - ratio.square()).sqrt()
        kept = (1 - share.square()).sqrt() * noise_of(x, v, s) + share * fresh.to(x)
        return torch.where(s == after, x, (1 - after) * clean_of(x, v, s) + after * kept)

    def sampler(denoise: Denoise, x: Pair[Tensor], levels: Sequence[Pair[Tensor]]) -> Pair[Tensor]:
        for i, (now, then) in enumerate(pairwise(levels)):
            x = x.each(step, denoise(x, now), now, then, noise(i))
        return x

    return sampler
