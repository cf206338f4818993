"""Clips of sizes that the model was not trained on: a clip of the trained size, outpainted and scaled.

The clip is generated at the trained size. If the frame is wider or higher, its surroundings are generated in
overlapping windows (`diffusion.multidiffusion`) with a caption of the place alone and the prompt as negative
prompt: with the prompt in every window, each would show its own copy of the prompted things. The whole is
scaled.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch

from avsim.clip import Clip, LatentSpec
from avsim.devices import autocast_if_faster
from avsim.diffusion import Guidance, JointDiT, Latents, Task, all_given
from avsim.diffusion.multidiffusion import MultiDiffusion
from avsim.errors import InputError
from avsim.perception.detect import places
from avsim.prompting import place_caption
from avsim.simulator.models import Models, Sampling
from avsim.simulator.prompts import warn_once
from avsim.simulator.resize import cover

GUIDANCE = 2.0  # text guidance scale of the surroundings


def is_composed(models: Models, size: tuple[int, int] | None) -> bool:
    """Whether clips of `size` (H, W) are composed.

    Clips of the training size are not, nor are those of pretrained video models, trained on many sizes.
    """
    return size not in (None, models.spec.size) and isinstance(models.generator, JointDiT)


def check_trained(models: Models, size: tuple[int, int] | None, task: str) -> None:
    """Refuse a size that would have to be composed, for a task that can't be.

    Raises:
        InputError: such a size; it names the trained one.
    """
    if is_composed(models, size):
        assert size is not None
        raise InputError(
            f"size {size[1]}x{size[0]}: {task} works at the size that {models.source} was trained on, "
            f"{models.spec.width}x{models.spec.height}; other sizes are composed for text -> video alone"
        )


def _place_seen(models: Models, base: Latents) -> str | None:
    """The likeliest place of a clip's video (1, Dv, t, h, w); None without a detector."""
    if models.video_detector is None:
        return None
    still = models.decode_video(base.video[0, :, :1], models.spec.still)
    found = places(models.video_detector, still)
    return max(found, key=found.__getitem__)


def _surrounded(
    models: Models, prompt: str, base: Latents, spec: LatentSpec, seed: int, sampling: Sampling
) -> torch.Tensor:
    """Video latents of `spec` with those of `base` in their middle, (1, Dv, t, h, w)."""
    size, inner = spec.video[1:], base.video.shape[3:]
    middle = [
        slice((whole - part) // 2, (whole - part) // 2 + part)
        for whole, part in zip(size, inner, strict=True)
    ]
    video = base.video.new_zeros(*base.video.shape[:3], *size)
    video[..., *middle] = base.video
    levels = torch.ones(spec.video)
    levels[:, *middle] = 0
    task = Task("surroundings", lambda _: levels, None if base.audio is None else all_given)
    windows = replace(
        models, generator=MultiDiffusion(models.generator, models.spec.size), student=None, sync_model=None
    )
    caption = place_caption(prompt, _place_seen(models, base)) if models.places else ""
    sampling = replace(sampling, guidance=Guidance(GUIDANCE, negative_prompt=prompt), num_candidates=1)
    return windows.sample_latents([caption], spec, task, Latents(video, base.audio), seed, sampling).video


def composed(
    models: Models,
    prompts: Sequence[str],
    base: Latents,
    spec: LatentSpec,
    seed: int,
    sampling: Sampling,
) -> list[Clip]:
    """Clips of `sampling.size` around clips `base` of the trained size, whose spec is `spec`."""
    assert sampling.size is not None
    height, width = size = sampling.size
    scale = min(height / spec.clip.height, width / spec.clip.width)
    stride = spec.space_stride
    whole = [stride * math.ceil(length / scale / stride - 1e-6) for length in size]
    clip = replace(spec.clip, height=whole[0], width=whole[1])
    models.check_pixels(clip.seconds, clip.size)  # those of a narrow frame are many more than it shows
    warn_once(
        f"{width}x{height}: composed at {clip.width}x{clip.height} around the trained size, "
        f"{spec.clip.width}x{spec.clip.height}, and scaled by {scale:g}"
    )
    video = base.video
    if clip.size != spec.clip.size:
        rows = (base.each(lambda z: z[row : row + 1]) for row in range(len(prompts)))  # noqa: B023
        around = [
            _surrounded(models, prompt, each, replace(spec, clip=clip), seed + row, sampling)
            for row, (prompt, each) in enumerate(zip(prompts, rows, strict=True))
        ]
        video = torch.cat(around)
    with torch.no_grad(), autocast_if_faster(models.device):
        frames = models.video_codec.decode(video, clip).float().cpu()
        wave = [None] * len(prompts)
        if base.audio is not None:
            wave = models.audio_codec.decode(base.audio, spec.clip).float().cpu()
    rates = clip.frames_per_second, clip.sample_rate
    return [Clip(cover(each, size), sound, *rates) for each, sound in zip(frames, wave, strict=True)]
