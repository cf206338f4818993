"""Draw latents: the model, the guidance, the sampler and the task, put together once."""

from collections.abc import Sequence

import torch
from torch import Tensor

from avsim.clip import LatentSpec
from avsim.diffusion.guidance import Guidance, guide
from avsim.diffusion.model import JointDiT
from avsim.diffusion.pair import Latents, Pair
from avsim.diffusion.sampler import Sampler, euler, path
from avsim.diffusion.tasks import JOINT, Given, Task
from avsim.diffusion.tokens import lengths, to_latents, to_tokens
from avsim.errors import InputError
from avsim.seeds import normal_rows


@torch.no_grad()
def generate(
    model: JointDiT,
    captions: Sequence[str],
    spec: LatentSpec,
    given: Latents | None = None,
    task: Task | Given = JOINT,
    *,
    steps: int = 30,
    guidance: Guidance = Guidance(),  # noqa: B008  # frozen
    seed: int = 0,
    first_row: int = 0,
    sampler: Sampler = euler,
) -> Latents:
    """Draw one clip of `spec` for each caption ("" for none); row i depends on (seed, first_row + i) alone.

    `given` holds the latents that the task takes as they are or starts from (B or 1 rows): all of a modality
    that is given anywhere, with any finite values where it isn't. What is given comes back as it went in, bit
    for bit. Returns video (B, Dv, t, h, w) and audio (B, Da, l), None where the task has no such modality.

    Raises:
        InputError: no captions, a task that needs latents which `given` lacks, or latents of a wrong shape.
    """
    if not captions:
        raise InputError("captions are empty; give one for each clip, '' for a clip without one")
    rows, device = len(captions), next(model.parameters()).device
    start = (task.given(spec) if isinstance(task, Task) else task).tokens(spec)  # (L,)
    noise = draw_noise(model, rows, spec, start, seed, first_row)
    x = begin(model, noise, given or Latents(), start, spec, rows).each(lambda x: x.to(device))
    levels = start.each(lambda start: runs(start, spec).to(device).expand(rows, -1))  # (B, K)
    told = model.context(captions, spec)
    untold = told if guidance.text == 1 else model.context([""] * rows, spec)
    free = [start is not None and bool((start > 0).any()) for start in start]
    denoise = guide(model, told, untold, guidance, free)
    return to_latents(sampler(denoise, x, path(levels, steps, model.shifts)), spec)


def draw_noise(
    model: JointDiT, rows: int, spec: LatentSpec, start: Pair[Tensor], seed: int, first_row: int
) -> Pair[Tensor]:
    """The noise that clips start from, (B, L, D), on the CPU."""
    shapes = Pair(*zip(lengths(spec), model.channels, strict=True))
    names = Pair("video", "audio")
    return start.each(
        lambda _, shape, name: normal_rows((rows, *shape), seed, "noise", name, first_row=first_row),
        shapes,
        names,
    )


def begin(
    model: JointDiT, noise: Pair[Tensor], given: Latents, start: Pair[Tensor], spec: LatentSpec, rows: int
) -> Pair[Tensor]:
    """X at its starting level, (B, L, D): (1 - start) given + start noise; what is given is left untouched.

    Raises:
        InputError: latents that are needed but absent, of a wrong shape, or not finite.
    """
    shapes = Pair((model.channels.video // 4, *spec.video), (model.channels.audio, spec.audio))  # type: ignore

    def check(
        name: str, latents: Tensor | None, start: Tensor | None, shape: tuple[int, ...]
    ) -> Tensor | None:
        if start is None or bool((start == 1).all()):
            return None
        if latents is None:
            raise InputError(f"this task starts from {name} latents; none were given")
        if tuple(latents.shape[1:]) != shape or latents.shape[0] not in (1, rows):
            raise InputError(f"given {name} latents are {tuple(latents.shape)}; expected ({rows}, *{shape})")
        if not torch.isfinite(latents).all():
            raise InputError(f"given {name} latents hold values that are not finite")
        return latents.expand(rows, *shape).float().cpu()

    checked: Latents = Latents(
        *(check(*each) for each in zip(("video", "audio"), given, start, shapes, strict=True))
    )
    tokens = to_tokens(checked)

    def mix(noise: Tensor, start: Tensor, given: Tensor | None) -> Tensor:
        if given is None:
            return noise
        s = start[None, :, None]
        return torch.where(s == 0, given, (1 - s) * given + s * noise)

    return noise.each(mix, start, tokens)


def runs(levels: Tensor, spec: LatentSpec) -> Tensor:
    """Levels of L tokens (L,) as the fewest (K,) that runs of L / K tokens share: one, per step or all."""
    for count in (1, spec.video[0]):
        if len(levels) % count == 0:
            shared = levels.view(count, -1)
            if bool((shared == shared[:, :1]).all()):
                return shared[:, 0]
    return levels
