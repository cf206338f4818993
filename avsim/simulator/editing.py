"""Clips edited by a prompt."""

from __future__ import annotations

from dataclasses import replace

import torch

from avsim.clip import Clip
from avsim.devices import autocast_if_faster
from avsim.diffusion import Guidance, Latents, Task, all_given, none_given
from avsim.diffusion.flow_edit import flow_edit
from avsim.errors import InputError
from avsim.simulator.models import Models, Sampling
from avsim.simulator.prompts import check_prompt
from avsim.simulator.resize import clip_with_frames, clip_with_wave, frames_for, wave_for
from avsim.simulator.sizes import check_trained

STRENGTH = 0.8  # the timestep at which edits start: how much may change
SOURCE_GUIDANCE = Guidance(1.5)  # of the prediction for the source prompt
KEPT = ("video", "audio")  # modalities that an edit may keep


def edited(
    models: Models,
    clip: Clip,
    prompt: str,
    source_prompt: str,
    strength: float,
    keep: str | None,
    seed: int,
    sampling: Sampling,
) -> Clip:
    """`Simulator.edit`.

    Raises:
        InputError: a strength out of range, an unknown `keep`, or `keep` of a clip that lacks a modality.
    """
    if not 0 < strength <= 1:
        raise InputError(f"strength is {strength:g}; it must be above 0 and at most 1")
    if keep is not None and (keep not in KEPT or clip.frames is None or clip.wave is None):
        raise InputError(
            f"keep is {keep!r}; expected {' or '.join(KEPT)}, of a clip that has both; this one has "
            f"{'no video' if clip.frames is None else 'no audio' if clip.wave is None else 'both'}"
        )
    check_trained(models, sampling.size, "edit")
    spec = models.latent_spec(clip.seconds, sampling.size)
    given = Latents(
        None if clip.frames is None else models.encode_video(frames_for(clip, spec.clip)),
        None if clip.wave is None else models.encode_audio(wave_for(clip, spec.clip)),
    )
    video, audio = (
        None if latents is None else all_given if keep == name else none_given
        for name, latents in zip(KEPT, given, strict=True)
    )
    guidance = models.task_guidance("edit")
    if isinstance(sampling.guidance, Guidance):
        guidance = sampling.guidance
    elif sampling.guidance is not None:
        guidance = replace(guidance, guidance_scale=sampling.guidance)
    for each in (prompt, source_prompt):
        check_prompt(models, each)
    with torch.no_grad(), autocast_if_faster(models.device):
        made = flow_edit(
            models.part("generator"),
            source_prompt,
            prompt,
            spec,
            given,
            Task("edit", video, audio, strength),
            steps=sampling.steps,
            guidance=guidance,
            source_guidance=SOURCE_GUIDANCE,
            first_row=seed,
        )
    (new,) = models.decoded(made, spec)
    if keep == "video":
        assert clip.frames is not None and new.wave is not None
        return clip_with_frames(clip.frames, clip.frames_per_second, new.wave, new.sample_rate)
    if keep == "audio":
        assert new.frames is not None and clip.wave is not None
        return clip_with_wave(new.frames, new.frames_per_second, clip.wave, clip.sample_rate)
    return new
