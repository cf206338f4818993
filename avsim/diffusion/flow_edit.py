"""Edits by prompt without inversion, along the difference of two velocities (FlowEdit, 2412.08629)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from avsim.clip import LatentSpec
from avsim.diffusion.guidance import Guidance, guide
from avsim.diffusion.levels import shifted
from avsim.diffusion.noising import Noised
from avsim.diffusion.tasks import Task
from avsim.errors import InputError
from avsim.models.joint import JointDiT
from avsim.models.pair import NAMES, Latents
from avsim.models.tokens import repeat_levels, to_latents, to_tokens
from avsim.seeds import normal_rows


@torch.inference_mode(False)
@torch.no_grad()
def flow_edit(
    model: JointDiT,
    source: str,
    target: str,
    spec: LatentSpec,
    clean: Latents,
    task: Task,
    *,
    steps: int,
    guidance: Guidance,
    source_guidance: Guidance,
    seed: int = 0,
    first_row: int = 0,
) -> Latents:
    """A clip's latents (1 row), moved from the source prompt to the target prompt.

        z_s = (1 - s) x + s noise,    z'_s = z + z_s - x,    dz / ds = v(z'_s, target) - v(z_s, source)

    from z = x at the task's starting level to 0, with fresh noise in each step (2412.08629, algorithm 1).
    Where the predictions for both prompts are equal, nothing changes; given latents never change.

    Raises:
        InputError: fewer than one step, or a modality that the task has and the clip lacks.
    """
    if steps < 1:
        raise InputError(f"{steps} sampler steps; at least 1 is needed")
    start = task.given(spec).tokens(spec)
    device = next(model.parameters()).device
    x = to_tokens(clean).each(lambda x: x.float().to(device))
    if any((part is None) != (level is None) for part, level in zip(x, start, strict=True)):
        raise InputError("an edit needs the latents of the modalities that it edits")
    start = start.each(lambda start: start.to(device)[None])  # (1, L)
    both = len(start.present()) == 2
    free = [both and bool((level > 0).any()) for level in start]
    highest = max(float(level.max()) for level in start.present())
    uncond = model.context([guidance.negative_prompt], spec)
    v_source, v_target = (
        guide(model, model.context([caption], spec), uncond, how.starting_at(highest), free)
        for caption, how in ((source, source_guidance), (target, guidance))
    )
    points = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    levels = [
        start.each(lambda start, shift: shifted(u * start.double(), shift).float(), model.shifts)  # noqa: B023
        for u in points
    ]
    z = x
    for i, (now, then) in enumerate(pairwise(levels)):

        def noise(x: Tensor, name: str, step: int = i) -> Tensor:
            return normal_rows(tuple(x.shape), seed, "edit", step, name, first_row=first_row).to(x)

        noised = x.each(lambda x, noise, s: Noised(x, noise, s).x_s, x.each(noise, NAMES), now)
        moved = z.each(lambda z, noised, x: z + noised - x, noised, x)
        change = v_target(moved, now).each(lambda one, other: one - other, v_source(noised, now))
        z = z.each(_step, change, now, then)
    return to_latents(z, spec)


def _step(z: Tensor, change: Tensor, now: Tensor, then: Tensor) -> Tensor:
    """An Euler step; tokens whose level does not change stay, bit for bit."""
    s, after = (repeat_levels(level, z.shape[1])[..., None] for level in (now, then))
    return torch.where(s == after, z, z + (after - s) * change.to(z))
