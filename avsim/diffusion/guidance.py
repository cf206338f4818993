"""Guidance: the velocity is moved away from the prediction with fewer conditions.

Three conditions can be left out: the caption, the audio (for the video) and the video (for the audio). Each
unconditional prediction is a pass of its own, and `guide` adds their differences to the conditional one
(Classifier-free diffusion guidance, 2207.12598; one scale per condition), within an interval of noise levels
(2404.07724). The caption's effect on the audio alone is a fourth term (`audio_text_scale`), at all levels.

The video can also follow a gradient (`add_gradient`): of the model's own audio loss
(`audio_likelihood_gradient`) or of a reward for synchrony (`reward_gradient`).

Sampling and distillation use the same functions. For sampling, a `Guidance` holds numbers, and passes that
would add nothing are skipped. For distillation, `GuidanceRows` holds tensors with a guidance for each row,
and the host never waits for the device.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, NamedTuple

import torch
from torch import Tensor

from avsim.clip import LatentSpec
from avsim.diffusion.loss import token_loss
from avsim.diffusion.noising import Noised, predicted_clean
from avsim.errors import InputError
from avsim.models.joint import Context, JointDiT
from avsim.models.pair import Latents, Pair
from avsim.models.tokens import repeat_levels, to_latents

Denoise = Callable[[Pair[Tensor], Pair[Tensor]], Pair[Tensor]]
"""denoise(x, s) -> v: tokens (B, L, D) and levels (B, K) of each modality -> their velocity."""

RewardFn = Callable[[Latents], Tensor]
"""reward_fn(latents) -> how well each video fits its audio, (B,), differentiable w.r.t. the video.

Its scale: gradients above norm `MAX_NORM` are normalised; smaller ones count less.
"""
MAX_NORM = 1.0  # norm above which a reward's gradient is normalised
EPS = 1e-12


@dataclass(frozen=True)
class Guidance:
    """Guidance scales and intervals of noise levels; a scale of 1 (`sync_scale`: 0) is off and costs nothing.

    Guidance is on at noise levels of at least its `..._start`: in sampling, whose levels fall, it ends there.
    A start is relative to the level at which sampling starts (1, less for an edit); `sync_end` is absolute.

    Raises:
        InputError: a scale that is negative or not a number, or a level outside [0, 1].
    """

    guidance_scale: float = 1.5  # how much both modalities follow the caption
    modality_scale: float = 1.0  # how much the video follows its audio
    audio_modality_scale: float = 1.0  # how much the audio follows its video
    modality_start: float = 0.0  # the lowest level at which both modality scales are on
    sync_scale: float = 0.0  # step size along the gradient of the audio likelihood, or of a reward
    guidance_start: float = 0.0  # the lowest level at which `guidance_scale` is on
    sync_samples: int = 1  # noise samples over which the gradient of the audio likelihood is averaged
    audio_text_scale: float = 1.0  # text guidance of the audio as if it had no video; at all levels
    sync_start: float = 0.0  # the lowest level at which `sync_scale` is on
    sync_end: float = 0.93  # the highest, as an absolute level: noisier video has no information on its audio
    audio_guidance_scale: float | None = None  # `guidance_scale` of the audio; None: the same
    negative_prompt: str = ""  # caption of the unconditional branch

    def __post_init__(self) -> None:
        for name in ("modality_start", "guidance_start", "sync_start", "sync_end"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"guidance: {name} is {getattr(self, name)}; it must lie in [0, 1]")
        if self.sync_samples < 1 or self.sync_samples != int(self.sync_samples):
            raise InputError(
                f"guidance: sync_samples is {self.sync_samples}; it must be an integer of at least 1"
            )
        for name in (
            "guidance_scale",
            "modality_scale",
            "audio_modality_scale",
            "sync_scale",
            "audio_text_scale",
        ):
            if not 0 <= getattr(self, name) < float("inf"):
                raise InputError(f"guidance: {name} is {getattr(self, name)}; it must be 0 or more")
        if not 0 <= self.text_scales[1] < float("inf"):
            raise InputError(
                f"guidance: audio_guidance_scale is {self.audio_guidance_scale}; it must be 0 or more"
            )

    @property
    def text_scales(self) -> tuple[Any, Any]:
        """`guidance_scale` of the video and of the audio."""
        audio = self.guidance_scale if self.audio_guidance_scale is None else self.audio_guidance_scale
        return self.guidance_scale, audio

    def starting_at(self, highest: float) -> "Guidance":
        """The same with its interval starts as noise levels, for sampling that starts at level `highest`."""
        starts = ("modality_start", "guidance_start", "sync_start")
        return replace(self, **{name: highest * getattr(self, name) for name in starts})


DEFAULT_GUIDANCE = Guidance(
    guidance_scale=2.0, modality_scale=3.0, audio_modality_scale=8.0, modality_start=0.5, sync_scale=0.3,
    guidance_start=0.88, audio_text_scale=2.0, sync_start=0.5,
)  # fmt: skip  # the default
GUIDANCE_GIVEN_AUDIO = Guidance(  # the default of video for given audio
    guidance_scale=1.5, modality_scale=4.0, audio_modality_scale=8.0, modality_start=0.2, sync_scale=0.4,
    sync_samples=3, sync_start=0.2,
)  # fmt: skip


class GuidanceRows(NamedTuple):
    """The guidance of each row of a batch, (B, 1, 1) each, on its device."""

    guidance_scale: Tensor
    modality_scale: Tensor
    audio_modality_scale: Tensor
    modality_start: Tensor
    sync_scale: Tensor
    guidance_start: Tensor
    sync_samples: Tensor
    audio_text_scale: Tensor
    sync_start: Tensor
    sync_end: Tensor
    audio_guidance_scale: Tensor

    @property
    def text_scales(self) -> tuple[Any, Any]:
        """`guidance_scale` of the video and of the audio."""
        return self.guidance_scale, self.audio_guidance_scale

    @classmethod
    def table(cls, guidances: Sequence[Guidance], device: torch.device | str) -> Tensor:
        """Guidances as a table (G, 11), a row for each.

        Raises:
            InputError: a guidance with a negative prompt.
        """
        if any(each.negative_prompt for each in guidances):
            raise InputError("guidance: targets of distillation have no negative_prompt")
        complete = [replace(each, audio_guidance_scale=each.text_scales[1]) for each in guidances]
        rows = [[getattr(each, name) for name in cls._fields] for each in complete]
        return torch.tensor(rows, dtype=torch.float32, device=device)

    @classmethod
    def of(cls, table: Tensor, which: Tensor) -> "GuidanceRows":
        """Rows `which` (B,) of a table."""
        return cls(*(column[:, None, None] for column in table[which].unbind(1)))


def conditioned(model: JointDiT, context: Context) -> Denoise:
    """The model's prediction with all of `context`."""
    return lambda x, s: model(x, s, context)


def unimodal_velocity(model: JointDiT, context: Context, modality: str) -> Denoise:
    """The prediction of one modality ("video" or "audio") without the other, whose value is None."""
    keep = Pair(modality == "video", modality == "audio")

    def unimodal(x: Pair[Tensor], s: Pair[Tensor]) -> Pair[Tensor]:
        only = [pair.each(lambda value, kept: value if kept else None, keep) for pair in (x, s)]
        return model(*only, context)

    return unimodal


def guide(
    model: JointDiT,
    cond: Context,
    uncond: Context,
    guidance: Guidance | GuidanceRows,
    generated: Sequence[bool] = (True, True),
) -> Denoise:
    """The model under classifier-free guidance.

        v = v(all) + (guidance_scale - 1) (v(all) - v(no caption))
            + (modality_scale - 1) (v(all) - v(no partner))              by modality
            + (audio_text_scale - 1) (v(no video) - v(no video, no caption))   of the audio

    Args:
        model: the guided model.
        cond: the context with captions.
        uncond: the context without.
        guidance: of the whole batch, or of each row; "partner" above is the other modality.
        generated: which of (video, audio) is generated beside the other; modality guidance of one that is
            given, absent or alone is skipped.
    """
    video_alone, audio_alone, audio_alone_uncond = (
        unimodal_velocity(model, context, name)
        for context, name in ((cond, "video"), (cond, "audio"), (uncond, "audio"))
    )

    def denoise(x: Pair[Tensor], s: Pair[Tensor]) -> Pair[Tensor]:
        v = model(x, s, cond).each(torch.Tensor.float)
        level = torch.stack([highest(s) for s in s.present()]).amax(0)  # (B, 1, 1)
        total = v
        weights = Pair(*(_weight(scale, guidance.guidance_start, level) for scale in guidance.text_scales))
        if v.each(lambda v, weight: weight, weights).present():
            less = model(x, s, uncond)
            total = total.each(
                lambda total, v, less, weight: total if weight is None else total + weight * (v - less),
                v, less, weights,
            )  # fmt: skip
        weight = _weight(guidance.modality_scale, guidance.modality_start, level) if generated[0] else None
        if weight is not None:
            total = total._replace(video=total.video + weight * (v.video - video_alone(x, s).video))
        weight = (
            _weight(guidance.audio_modality_scale, guidance.modality_start, level) if generated[1] else None
        )
        by_text = _weight(guidance.audio_text_scale, 0.0, level) if generated[1] else None
        if weight is not None or by_text is not None:
            alone = audio_alone(x, s).audio
            if weight is not None:
                total = total._replace(audio=total.audio + weight * (v.audio - alone))
            if by_text is not None:
                less = audio_alone_uncond(x, s).audio
                total = total._replace(audio=total.audio + by_text * (alone - less))
        return total

    return denoise


def _weight(scale: float | Tensor, start: float | Tensor, level: Tensor) -> Tensor | None:
    """Per row, `scale` - 1 if the highest `level` (B, 1, 1) is at least `start`, else 0; None: all 0."""
    if not isinstance(scale, Tensor) and (scale == 1 or not bool((level >= start).any())):
        return None
    return (level >= start) * (scale - 1)


def highest(s: Tensor) -> Tensor:
    """The highest level of each clip, (B, K) -> (B, 1, 1)."""
    return s.amax(1)[:, None, None]


class Gradient(NamedTuple):
    """The gradient of a loss w.r.t. the video, for `add_gradient`."""

    compute: Callable[[Pair[Tensor], Pair[Tensor], Pair[Tensor]], Tensor]
    """compute(x, s, clean) -> gradient w.r.t. the video, (B, Lv, Dv); `clean`: the predicted clean tokens."""
    max_norm: float = EPS  # norm above which a clip's gradient is normalised


def add_gradient(denoise: Denoise, gradient: Gradient, guidance: Guidance | GuidanceRows) -> Denoise:
    """`denoise` with a gradient step on the video between the levels `sync_start` and `sync_end`.

    The root mean square of the velocity's change over a clip's generated tokens is `sync_scale` x level if
    the gradient's norm is at least `max_norm`, and proportionally less below that.
    """

    def guided(x: Pair[Tensor], s: Pair[Tensor]) -> Pair[Tensor]:
        v = denoise(x, s)
        level = highest(s.video)
        on = (level >= guidance.sync_start) & (level <= guidance.sync_end)  # (B, 1, 1)
        if not isinstance(guidance.sync_scale, Tensor) and not bool(on.any()):
            return v
        clean = x.each(
            lambda x, v, s: predicted_clean(x, v.to(x), repeat_levels(s, x.shape[1])[..., None]), v, s
        )
        slope = gradient.compute(x, s, clean)
        return v._replace(
            video=apply_gradient(v.video, slope, s.video, on * guidance.sync_scale, gradient.max_norm)
        )

    return guided


def apply_gradient(
    v: Tensor, gradient: Tensor, s: Tensor, scale: float | Tensor, max_norm: float = EPS
) -> Tensor:
    """The video's velocity (B, Lv, Dv), changed by `scale` x its level along a gradient of the same shape."""
    level = repeat_levels(s, gradient.shape[1])[..., None]  # (B, Lv, 1)
    gradient = gradient * (level > 0)
    free = (level > 0).sum((1, 2), keepdim=True) * gradient.shape[2]
    norm = gradient.square().sum((1, 2), keepdim=True).sqrt()
    return v + scale * level * free.sqrt() * gradient / norm.clamp(min=max_norm)


def reward_gradient(reward_fn: RewardFn, spec: LatentSpec) -> Gradient:
    """The gradient of minus a reward w.r.t. the predicted clean video (Universal guidance, 2302.07121).

    The reward model needs no training on noisy clips. Gradients below `MAX_NORM` are not scaled up.
    """

    def compute(x: Pair[Tensor], s: Pair[Tensor], clean: Pair[Tensor]) -> Tensor:
        with torch.enable_grad():
            video = clean.video.detach().requires_grad_()
            reward = reward_fn(to_latents(Pair(video, clean.audio), spec))
            return torch.autograd.grad(-reward.sum(), video)[0]

    return Gradient(compute, MAX_NORM)


AUDIO_NOISE_LEVEL = 0.8  # noise level of the audio whose likelihood is computed


def audio_likelihood_gradient(
    model: JointDiT, context: Context, noise: Callable[[int], Tensor], samples: int = 1
) -> Gradient:
    """The gradient of the model's own audio loss w.r.t. the noisy video: classifier guidance (2105.05233).

    By Bayes' rule p(video | audio) is proportional to p(video) p(audio | video); the model is the
    classifier. The audio is the predicted clean audio. Each of the `samples` costs a forward and a backward
    pass.

    Args:
        model: the classifier.
        context: of the clips.
        noise: noise(i) of the audio (B, La, Da) for the i-th pass.
        samples: number of noise samples over which the gradient is summed; its norm doesn't matter.
    """
    calls = count()

    def compute(x: Pair[Tensor], s: Pair[Tensor], clean: Pair[Tensor]) -> Tensor:
        total = torch.zeros_like(x.video)
        for _ in range(samples):
            fresh = noise(next(calls)).to(clean.audio)
            audio = Noised(clean.audio, fresh, torch.full_like(s.audio[:, :1], AUDIO_NOISE_LEVEL))
            with torch.enable_grad():
                video = x.video.detach().requires_grad_()
                loss = conditional_audio_loss(model, context, video, s.video, audio)
                total += torch.autograd.grad(loss.sum(), video)[0]
        return total

    return Gradient(compute)


def conditional_audio_loss(
    model: JointDiT, context: Context, video: Tensor, s: Tensor, audio: Noised
) -> Tensor:
    """The flow loss of audio tokens, (B, La), given video tokens (B, Lv, Dv) at the levels s (B, K)."""
    return token_loss(model(Pair(video, audio.x_s), Pair(s, audio.s), context).audio, audio)
