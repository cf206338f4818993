"""From noise to data along dx/ds = v(x, s). A sampler is one function of `denoise` and of a level schedule.

Tokens whose level does not change are not changed: given tokens have level 0 throughout.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from avsim.diffusion.guidance import Denoise
from avsim.diffusion.levels import shifted
from avsim.diffusion.noising import predicted_clean, predicted_noise
from avsim.errors import InputError
from avsim.models.pair import Pair
from avsim.models.tokens import repeat_levels

Sampler = Callable[[Denoise, Pair[Tensor], Sequence[Pair[Tensor]]], Pair[Tensor]]
StepEnd = Callable[[int, Pair[Tensor], Pair[Tensor]], Pair[Tensor]]
"""on_step_end(step, levels (B, K), x (B, L, D)) -> the tokens that the next step starts from."""


def level_schedule(start: Pair[Tensor], steps: int, shifts: Pair[float]) -> list[Pair[Tensor]]:
    """The level schedule, `steps` + 1 pairs of (B, K), from `start` to 0.

    Each modality has a shift of its own; the levels of a token that starts at s0 < 1 are multiplied by s0.

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


def lead_first_frame(levels: Sequence[Pair[Tensor]], frames: int, lead: int) -> Sequence[Pair[Tensor]]:
    """The schedule of `frames` latent frames, with frame 0 `lead` steps ahead of the rest.

    Later latents are coded relative to frame 0 (`codecs.video`), which is therefore needed first.
    """
    if not lead or frames == 1 or levels[0].video is None or levels[0].video.shape[1] > frames:
        return levels
    each = [repeat_levels(now.video, frames) for now in levels]  # (B, t)
    sooner = [each[0], *(each[min(i + lead, len(each) - 1)] for i in range(1, len(each)))]
    return [
        now._replace(video=torch.cat([first[:, :1], rest[:, 1:]], 1))
        for now, first, rest in zip(levels, sooner, each, strict=True)
    ]


def ancestral(
    eta: float, noise: Callable[[int], Pair[Tensor]], on_step_end: StepEnd | None = None
) -> Sampler:
    """Ancestral sampling: Euler steps with fresh noise between them, which corrects errors of early steps.

    With sigma = s / (1 - s), a step to sigma' replaces a share eta sqrt(1 - (sigma' / sigma)^2) of the noise
    by fresh noise (DDIM, 2010.02502, eq. 16: `eta` 0 is Euler's step, 1 is DDPM's). `noise(i)` returns normal
    noise (B, L, D) for step i. `on_step_end` is called with the levels that a step started from.

    Raises:
        InputError: an `eta` outside [0, 1].
    """
    if not 0 <= eta <= 1:
        raise InputError(f"eta, the share of fresh noise, is {eta}; it must lie in [0, 1]")

    def step(x: Tensor, v: Tensor, now: Tensor, then: Tensor, fresh: Tensor) -> Tensor:
        s, after = (repeat_levels(level, x.shape[1])[..., None] for level in (now, then))  # (B, L, 1)
        v, ratio = v.to(x), after * (1 - s) / (s * (1 - after))
        share = eta * (1 - ratio.square()).sqrt()
        kept = (1 - share.square()).sqrt() * predicted_noise(x, v, s) + share * fresh.to(x)
        return torch.where(s == after, x, (1 - after) * predicted_clean(x, v, s) + after * kept)

    def sampler(denoise: Denoise, x: Pair[Tensor], levels: Sequence[Pair[Tensor]]) -> Pair[Tensor]:
        for i, (now, then) in enumerate(pairwise(levels)):
            x = x.each(step, denoise(x, now), now, then, noise(i))
            if on_step_end is not None:
                x = on_step_end(i, now, x)
        return x

    return sampler
