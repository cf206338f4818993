"""Generate latents: the model, guidance, sampler and task in one function."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from avsim.clip import LatentSpec
from avsim.diffusion.guidance import (
    Guidance,
    RewardFn,
    add_gradient,
    audio_likelihood_gradient,
    conditioned,
    guide,
    reward_gradient,
)
from avsim.diffusion.sampler import ancestral, lead_first_frame, level_schedule
from avsim.diffusion.tasks import JOINT, Given, Task
from avsim.errors import InputError
from avsim.models.joint import JointDiT
from avsim.models.pair import NAMES, Latents, Pair
from avsim.models.tokens import grid, lengths, to_latents, to_tokens
from avsim.seeds import normal_rows

STEPS = 8  # default number of sampler steps
ETA = 1.0  # share of fresh noise in the sampler, see `ancestral`

OnStepEnd = Callable[[int, float, Latents], Latents | None]
"""on_step_end(step, highest noise level before it, latents after it) -> other latents; None keeps them."""


@torch.inference_mode(False)  # a gradient may be needed (`add_gradient`)
@torch.no_grad()
def generate(
    model: JointDiT,
    captions: Sequence[str],
    spec: LatentSpec,
    given: Latents | None = None,
    task: Task | Given = JOINT,
    *,
    steps: int = STEPS,
    guidance: Guidance = Guidance(),  # noqa: B008  # frozen
    seed: int = 0,
    first_row: int = 0,
    student: JointDiT | None = None,
    reward_fn: RewardFn | None = None,
    first_frame_lead: int = 0,
    on_step_end: OnStepEnd | None = None,
) -> Latents:
    """Generate a clip of `spec` for each caption ("" for none); row i depends on (seed, first_row + i) alone.

    `given` holds the latents that the task keeps or starts from (B or 1 rows). A modality of which a part is
    given comes as a whole, with any finite values in the rest. Given latents are returned bit for bit. A
    `student` that was distilled from the guided model generates in its place; the gradient of sync guidance
    still comes from the model, or from `reward_fn`. Frame 0 is denoised `first_frame_lead` steps before the
    rest. `on_step_end` may replace the latents after a step. Returns video (B, Dv, t, h, w) and audio
    (B, Da, l), None where the task has no such modality.

    Raises:
        InputError: no captions, a task that needs latents which `given` lacks, or latents of a wrong shape.
    """
    if not captions:
        raise InputError("no captions; give one for each clip, '' for a clip without a caption")
    start = (task.given(spec) if isinstance(task, Task) else task).tokens(spec)  # (L,)
    x = initial_tokens(model, start, given or Latents(), spec, len(captions), seed, first_row)  # (B, L, D)
    device = next(model.parameters()).device
    x = x.each(lambda x: x.to(device))
    levels = start.each(
        lambda start: shortest_runs(start, spec).to(device).expand(len(captions), -1)
    )  # (B, K)
    if not any(captions) and not guidance.negative_prompt:  # the unconditional pass would be the same
        guidance = replace(guidance, guidance_scale=1.0, audio_guidance_scale=None, audio_text_scale=1.0)
    cond = model.context(captions, spec)
    both = len(start.present()) == 2
    free = [both and bool((start > 0).any()) for start in start]
    highest = max(float(start.max()) for start in start.present())

    def audio_noise(call: int) -> Tensor:
        return normal_rows(tuple(x.audio.shape), seed, "ear", call, first_row=first_row)

    guidance = guidance.starting_at(highest)
    if student is None:
        unguided = {*guidance.text_scales, guidance.audio_text_scale} == {1}
        uncond = cond if unguided else model.context([guidance.negative_prompt] * len(captions), spec)
        denoise = guide(model, cond, uncond, guidance, free)
    else:
        denoise = conditioned(student, student.context(captions, spec))
    if guidance.sync_scale > 0 and free[0]:
        if reward_fn is not None:
            denoise = add_gradient(denoise, reward_gradient(reward_fn, spec), guidance)
        elif model.coupling.cross_modal:
            gradient = audio_likelihood_gradient(model, cond, audio_noise, guidance.sync_samples)
            denoise = add_gradient(denoise, gradient, guidance)

    def step_noise(step: int) -> Pair[Tensor]:
        of = seed, "anew", step  # don't rename random streams: clips of a seed depend on them
        return x.each(lambda x, name: normal_rows(tuple(x.shape), *of, name, first_row=first_row), NAMES)

    def step_end(step: int, levels: Pair[Tensor], x: Pair[Tensor]) -> Pair[Tensor]:
        assert on_step_end is not None
        highest = max(float(level.max()) for level in levels.present())
        changed = on_step_end(step, highest, to_latents(x, spec))
        return x if changed is None else to_tokens(changed)

    points = lead_first_frame(level_schedule(levels, steps, model.shifts), spec.video[0], first_frame_lead)
    sampler = ancestral(ETA, step_noise, None if on_step_end is None else step_end)
    return to_latents(sampler(denoise, x, points), spec)


def initial_tokens(
    model: JointDiT,
    start: Pair[Tensor],
    given: Latents,
    spec: LatentSpec,
    rows: int,
    seed: int,
    first_row: int,
) -> Pair[Tensor]:
    """Tokens at their initial level `start` (L,), on the CPU: (1 - start) given + start noise, (B, L, D).

    Raises:
        InputError: needed latents are absent, of a wrong shape, or not finite.
    """
    tokens = Pair(*zip(lengths(spec), model.channels, strict=True))  # (L, D) of each
    grids = Pair(*zip(model.channels, grid(spec), strict=True))

    def noise(_: Tensor, name: str, shape: tuple[int, int]) -> Tensor:
        return normal_rows((rows, *shape), seed, "noise", name, first_row=first_row)

    def needed(start: Tensor, latents: Tensor | None, name: str, grid: tuple[int, tuple[int, ...]]) -> Any:
        return None if bool((start == 1).all()) else checked(latents, name, (rows, grid[0], *grid[1]))

    held = to_tokens(start.each(needed, given, NAMES, grids))
    return start.each(noise, NAMES, tokens).each(mix_noise, start, held)


def mix_noise(noise: Tensor, start: Tensor, given: Tensor | None) -> Tensor:
    """Noise (B, L, D) mixed with given tokens by each token's initial level (L,)."""
    if given is None:
        return noise
    s = start[None, :, None]
    return torch.where(s == 0, given, (1 - s) * given + s * noise)


def checked(latents: Tensor | None, name: str, shape: tuple[int, ...]) -> Tensor:
    """Given latents as float32 of `shape` on the CPU; one row is broadcast.

    Raises:
        InputError: as of `initial_tokens`.
    """
    if latents is None:
        raise InputError(f"this task starts from {name} latents; none were given")
    if latents.shape[1:] != shape[1:] or latents.shape[0] not in (1, shape[0]):
        raise InputError(f"given {name} latents are {tuple(latents.shape)}; expected {shape}")
    if not torch.isfinite(latents).all():
        raise InputError(f"given {name} latents hold values that are not finite")
    return latents.float().cpu().expand(shape)


def shortest_runs(levels: Tensor, spec: LatentSpec) -> Tensor:
    """Levels of L tokens (L,) -> the fewest (K,) that describe them: one, one per latent frame, or all."""
    for count in (1, spec.video[0]):
        if len(levels) % count == 0:
            shared = levels.view(count, -1)
            if bool((shared == shared[:, :1]).all()):
                return shared[:, 0]
    return levels
