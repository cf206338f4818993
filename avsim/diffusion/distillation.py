"""Guidance distillation: the velocity of a guided teacher is the target of one forward pass of a student.

A student that matches these targets generates without guidance what its teacher generated with it (On
distillation of guided diffusion models, 2210.03142, its first stage, at fixed scales).
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from avsim.diffusion.guidance import (
    DEFAULT_GUIDANCE,
    GUIDANCE_GIVEN_AUDIO,
    Gradient,
    GuidanceRows,
    add_gradient,
    audio_likelihood_gradient,
    guide,
)
from avsim.diffusion.noising import Noised, predicted_clean, predicted_noise
from avsim.models.joint import Context, JointDiT
from avsim.models.pair import Pair

# The teacher's guidance: of generation from text, and of video for given audio. `sync_samples` is 1 in
# distillation; a student learns the average over many clips, so its `sync_scale` is higher than a sampler's.
TARGET_GUIDANCE = (
    replace(DEFAULT_GUIDANCE, sync_scale=0.35),
    replace(GUIDANCE_GIVEN_AUDIO, sync_scale=0.55, sync_samples=1),
)
SYNC_TARGET_GUIDANCE = (  # with a reward for synchrony; text guidance costs a student no extra pass
    replace(DEFAULT_GUIDANCE, sync_scale=0.4, sync_start=0.4, sync_end=0.88, guidance_start=0.5),
    replace(GUIDANCE_GIVEN_AUDIO, sync_scale=0.5, sync_start=0.25, sync_end=0.9, sync_samples=1),
)
DELAYED_SHARE = 0.5  # fraction of clips whose audio is circularly shifted in time
PREDICTED_SHARE = 0.5  # fraction of clips replaced by the teacher's prediction from a higher level
HIGHER_LEVELS = 0.2, 0.5  # by which share of its distance to 1 that level is higher: about one of 8 steps


@torch.no_grad()
def distillation_sample(
    teacher: JointDiT,
    cond: Context,
    uncond: Context,
    x: Pair[Tensor],
    s: Pair[Tensor],
    table: Tensor,
    chance: Tensor,
    noise: Callable[[Tensor], Tensor],
    reward: Gradient | None = None,
) -> Pair[Noised]:
    """Clips as they occur during sampling, with the guided teacher's velocity as the target.

    A sampler feeds the model its own prediction from the step before, with audio that is not yet in sync with
    the video. Trained on clean data alone, a student would not learn sync guidance. The host never waits for
    the device.

    Args:
        teacher: the guided model.
        cond: the context with captions.
        uncond: the context without.
        x: clean tokens of both modalities, (B, L, D).
        s: their levels (B, K).
        table: of `GuidanceRows`: of generation from text, and of video for given audio.
        chance: uniform values (4, B, 1, 1): whether to shift the audio, by how much, how much higher the
            level of the prediction is, whether to use that prediction.
        noise: returns normal noise of a tensor's shape.
        reward: gradient of a reward for synchrony, in place of the audio likelihood.
    """
    delayed, shift, up, predicted = chance
    count = x.audio.shape[1]
    shift = (delayed < DELAYED_SHARE) * (shift * count).long()  # (B, 1, 1)
    at = (torch.arange(count, device=shift.device)[None, :, None] - shift) % count  # (B, La, 1)
    x = Pair(x.video, x.audio.gather(1, at.expand_as(x.audio)))
    least, most = HIGHER_LEVELS
    above = s.each(lambda s: s + (s > 0) * (1 - s) * (least + (most - least) * up[:, 0]))
    noised = x.each(lambda x, s: Noised(x, noise(x), s), above)
    v = teacher(noised.each(lambda n: n.x_s), above, cond)
    guess = noised.each(lambda n, v: predicted_clean(n.x_s, v.float(), n.level), v)
    x = x.each(lambda x, guess: torch.where(predicted < PREDICTED_SHARE, guess, x), guess)
    noised = x.each(lambda x, s: Noised(x, noise(x), s), s)
    rows = GuidanceRows.of(table, (s.audio == 0).all(1).long())
    return targets(teacher, cond, uncond, noised, rows, noise(x.audio), reward)


@torch.no_grad()
def targets(
    teacher: JointDiT,
    cond: Context,
    uncond: Context,
    noised: Pair[Noised],
    guidance: GuidanceRows,
    noise: Tensor,
    reward: Gradient | None = None,
) -> Pair[Noised]:
    """Tokens with the same x_s and levels as `noised`, whose velocity v is the guided teacher's: the target.

    Args:
        teacher: the guided model.
        cond: the context with captions.
        uncond: the context without.
        noised: tokens of both modalities.
        guidance: of each row; `sync_samples` counts as 1.
        noise: of the audio whose likelihood is computed, (B, La, Da).
        reward: gradient of a reward for synchrony, in place of the audio likelihood.
    """
    denoise = guide(teacher, cond, uncond, guidance)
    if reward is None and teacher.coupling.cross_modal:
        reward = audio_likelihood_gradient(teacher, cond, lambda _: noise)
    if reward is not None:
        denoise = add_gradient(denoise, reward, guidance)
    v = denoise(noised.each(lambda n: n.x_s), noised.each(lambda n: n.s))
    return noised.each(
        lambda n, v: Noised(predicted_clean(n.x_s, v, n.level), predicted_noise(n.x_s, v, n.level), n.s), v
    )
