"""Guidance: what a model draws, pushed away from what it draws when it is not told something.

Three things can be left untold: the text, the sound (to the picture), the picture (to the sound). Each is a
`denoise` of its own, and `guided` wraps them around the one that knows everything (Classifier-free diffusion
guidance, 2207.12598; one scale per condition), at high noise alone (2404.07724). What the text says of the
sound alone is a fourth guide (`Guidance.words`), at all levels.

A model that hears better than it draws can also correct what it draws by ear (`by_ear`), or leave that to a
critic (`by_critic`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import NamedTuple

import torch
from torch import Tensor

from avsim.clip import LatentSpec
from avsim.diffusion.loss import token_loss
from avsim.diffusion.noising import Noised, clean_of
from avsim.errors import InputError
from avsim.models.joint import Context, JointDiT
from avsim.models.pair import Latents, Pair
from avsim.models.tokens import spread, to_latents

Denoise = Callable[[Pair[Tensor], Pair[Tensor]], Pair[Tensor]]
"""denoise(x, s) -> v: tokens (B, L, D) and levels (B, K) of each modality -> their velocity."""

IN_FULL = 1.0  # norm of a critic's gradient from which on it turns a clip's picture as far as `ear` says
Critic = Callable[[Latents], Tensor]
"""critic(latents) -> how well each picture goes with its sound, (B,), with a gradient by the picture.

It is in units in which a clip's gradient counts in full from norm `IN_FULL` on.
"""


@dataclass(frozen=True)
class Guidance:
    """Scales, of which 1 (of the ear, 0) guides nothing and costs nothing, and how far down they count.

    A least level is a share of where the tokens start: above it, or at it, there is guidance.

    Raises:
        InputError: a scale that is negative or not a number, or a level outside [0, 1].
    """

    text: float = 1.5  # how much both follow the caption
    video: float = 1.0  # how much the picture follows its sound
    audio: float = 1.0  # how much the sound follows its picture: sync guidance
    least: float = 0.0  # of the levels at which one follows the other by these scales
    ear: float = 0.0  # how far the picture is turned to where its sound is sooner heard, or a critic has it
    text_least: float = 0.0  # of the levels at which both follow the caption
    hearings: int = 1  # of which the ear takes the mean; a critic is asked once
    words: float = 1.0  # how much the sound follows the caption, its picture left out of it; at all levels
    ear_least: float = 0.0  # of the levels at which the ear is asked
    dim: float = 0.93  # the highest of them, itself no share: above it a picture tells nothing of a sound yet

    def __post_init__(self) -> None:
        for name in ("least", "text_least", "ear_least", "dim"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"guidance {name} is {getattr(self, name)}; it must lie in [0, 1]")
        if self.hearings < 1 or self.hearings != int(self.hearings):
            raise InputError(f"guidance hearings is {self.hearings}; it must be a whole number from 1 on")
        for name in ("text", "video", "audio", "ear", "words"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise InputError(f"guidance {name} is {getattr(self, name)}; it must be 0 or more")

    def asks(self, s: Pair[Tensor]) -> bool:
        """Whether an ear, or a critic, is asked at these levels of the picture."""
        return bool((s.video >= self.ear_least).any() and (s.video <= self.dim).all())

    def starting_at(self, highest: float) -> "Guidance":
        """The same with levels as they are, of clips that start at `highest`."""
        least = {name: highest * getattr(self, name) for name in ("least", "text_least", "ear_least")}
        return replace(self, **least)


GUIDANCE = Guidance(
    text=2.0, video=3.0, audio=8.0, least=0.5, ear=0.3, text_least=0.88, words=2.0, ear_least=0.5
)  # the usual
TO_A_SOUND = Guidance(  # slower, and surer
    text=1.5, video=4.0, audio=8.0, least=0.2, ear=0.4, hearings=3, ear_least=0.2
)


class Without(NamedTuple):
    """A `denoise` that was not told something, and how far to go away from it in each modality."""

    denoise: Denoise
    scale: Pair[float]
    least: float = 0.0  # of the levels at which it counts
    told: Denoise | None = None  # what it is compared with, if not with all that is known


def guided(denoise: Denoise, *withouts: Without) -> Denoise:
    """V = v(all) + sum over what is left untold of (scale - 1) (v(told) - v(without it)), from `least` up."""

    def told(x: Pair[Tensor], s: Pair[Tensor]) -> Pair[Tensor]:
        full = total = denoise(x, s)
        for without, scale, least, compared in withouts:
            if not reaches(s, least):
                continue
            more, less = compared(x, s) if compared else full, without(x, s)
            total = Pair(
                *(
                    v if untold is None else v + (by - 1) * (known - untold)
                    for v, known, untold, by in zip(total, more, less, scale, strict=True)
                )
            )
        return total

    return told


def reaches(s: Pair[Tensor], least: float) -> bool:
    """Whether any level is at `least` or above."""
    return any(bool((levels >= least).any()) for levels in s.there())


def conditioned(model: JointDiT, context: Context) -> Denoise:
    """Everything told."""
    return lambda x, s: model(x, s, context)


def without_partner(model: JointDiT, context: Context, modality: str) -> Denoise:
    """One modality ("video" or "audio") drawn as if the other were not there; the other gets no velocity."""

    def alone(x: Pair[Tensor], s: Pair[Tensor]) -> Pair[Tensor]:
        keep = Pair(modality == "video", modality == "audio")
        only = [pair.each(lambda value, kept: value if kept else None, keep) for pair in (x, s)]
        return model(*only, context)

    return alone


def remembered(denoise: Denoise) -> Denoise:
    """`denoise`, asked once where it is asked twice for the same tokens."""
    last: list[tuple[Pair[Tensor], Pair[Tensor]]] = []

    def told(x: Pair[Tensor], s: Pair[Tensor]) -> Pair[Tensor]:
        if not (last and last[0][0] is x):
            last[:] = [(x, denoise(x, s))]
        return last[0][1]

    return told


def led_to(x: Tensor, v: Tensor, s: Tensor) -> Tensor:
    """The clean tokens that a velocity leads to, from x (B, L, D) at the levels s (B, K)."""
    return clean_of(x, v.to(x), spread(s, x.shape[1])[..., None])


def by_critic(denoise: Denoise, critic: Critic, guidance: Guidance, spec: LatentSpec) -> Denoise:
    """`denoise`, its picture turned to where a critic finds that it goes better with its sound.

    The critic is shown the clip that the velocity leads to, so that it needs to know nothing of noise
    (Universal guidance, 2302.07121). It is asked where `by_ear` is, and turns the picture as far, but less
    where it has less to say.
    """

    def told(x: Pair[Tensor], s: Pair[Tensor]) -> Pair[Tensor]:
        v = denoise(x, s)
        if not guidance.asks(s):
            return v
        slope = criticised(critic, spec, x.each(led_to, v, s))
        return Pair(turned(v.video, slope, s.video, guidance.ear, IN_FULL), v.audio)

    return told


def criticised(critic: Critic, spec: LatentSpec, clean: Pair[Tensor]) -> Tensor:
    """Where pictures don't go with their sounds: the gradient by clean tokens of `spec`, (B, Lv, Dv)."""
    with torch.enable_grad():
        picture = clean.video.detach().requires_grad_()
        said = critic(to_latents(Pair(picture, clean.audio), spec))
        return torch.autograd.grad(-said.sum(), picture)[0]


LISTEN = 0.8  # the level of the sound that the picture has to explain


def by_ear(
    denoise: Denoise,
    model: JointDiT,
    context: Context,
    guidance: Guidance,
    noise: Callable[[int], Tensor],
) -> Denoise:
    """`denoise`, its picture turned to where the model would sooner hear the sound that goes with it.

    By Bayes' rule p(picture | sound) ~ p(picture) p(sound | picture): the gradient of the sound's own flow
    loss, given the noisy picture, is a classifier's guidance (2105.05233), and the model is the classifier.
    Every hearing costs a pass and its gradient. In root mean square over what is drawn of a clip it turns the
    velocity by `guidance.ear` x level: a picture far from its sound isn't turned further, but elsewhere.

    Args:
        denoise: what draws; the sound that it is about to reach is what the picture has to explain.
        model: as it hears.
        context: of the clips.
        guidance: how far, between which levels, and of how many hearings the gradient is the mean.
        noise: noise(i) of the sound (B, La, Da) for hearing i.
    """
    calls = count()

    def told(x: Pair[Tensor], s: Pair[Tensor]) -> Pair[Tensor]:
        v = denoise(x, s)
        if not guidance.asks(s):
            return v
        clean = led_to(x.audio, v.audio, s.audio)
        slope = torch.zeros_like(x.video)
        for _ in range(guidance.hearings):
            slope += hearing(model, context, x.video, s, clean, noise(next(calls)).to(clean))
        return Pair(turned(v.video, slope, s.video, guidance.ear), v.audio)

    return told


def hearing(
    model: JointDiT, context: Context, picture: Tensor, s: Pair[Tensor], clean: Tensor, noise: Tensor
) -> Tensor:
    """The gradient of a sound's flow loss by the noisy picture (B, Lv, Dv): where it is heard less.

    `clean` and `noise` (B, La, Da) are the sound, and what it is noised with to the level `LISTEN`.
    """
    sound = Noised(clean, noise, torch.full_like(s.audio[:, :1], LISTEN))
    with torch.enable_grad():
        picture = picture.detach().requires_grad_()
        return torch.autograd.grad(unheard(model, context, picture, s.video, sound).sum(), picture)[0]


def unheard(model: JointDiT, context: Context, picture: Tensor, s: Tensor, sound: Noised) -> Tensor:
    """The flow loss of a sound's tokens (B, La), beside a picture (B, Lv, Dv) at the levels s (B, K)."""
    return token_loss(model(Pair(picture, sound.x_s), Pair(s, sound.s), context).audio, sound)


def turned(v: Tensor, slope: Tensor, s: Tensor, ear: float | Tensor, in_full: float = 1e-12) -> Tensor:
    """The picture's velocity (B, Lv, Dv), turned by `ear` x its level along a gradient, as `by_ear` says.

    A clip's gradient whose norm lies below `in_full` turns it by as much less.
    """
    level = spread(s, slope.shape[1])[..., None]  # (B, Lv, 1)
    slope = slope * (level > 0)
    drawn = (level > 0).sum((1, 2), keepdim=True) * slope.shape[2]
    norm = slope.square().sum((1, 2), keepdim=True).sqrt()
    return v + ear * level * drawn.sqrt() * slope / norm.clamp(min=in_full)


def guide(
    model: JointDiT,
    told: Context,
    untold: Context,
    guidance: Guidance,
    free: Sequence[bool],
) -> Denoise:
    """The `denoise` of a clip under `guidance`, but for what `by_ear` and `by_critic` do.

    `told` has the captions, `untold` has none; `free` (video, audio) says which modality is being drawn
    beside another: no pass is spent on guiding one that is given, absent or alone.
    """
    text, video, audio, least = guidance.text, guidance.video, guidance.audio, guidance.least
    withouts = []
    if text != 1:
        withouts.append(Without(conditioned(model, untold), Pair(text, text), guidance.text_least))
    if video != 1 and free[0]:
        withouts.append(Without(without_partner(model, told, "video"), Pair(video, 1.0), least))
    sound_alone = remembered(without_partner(model, told, "audio"))
    if audio != 1 and free[1]:
        withouts.append(Without(sound_alone, Pair(1.0, audio), least))
    if guidance.words != 1 and free[1]:
        wordless = without_partner(model, untold, "audio")
        withouts.append(Without(wordless, Pair(1.0, guidance.words), told=sound_alone))
    return guided(conditioned(model, told), *withouts)
