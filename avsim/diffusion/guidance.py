"""Guidance: what a model draws, pushed away from what it draws when it is not told something.

Three things can be left untold: the text, the sound (to the picture), the picture (to the sound). Each is a
`denoise` of its own, and `guided` wraps them around the one that knows everything (Classifier-free diffusion
guidance, 2207.12598; one scale per condition).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from avsim.diffusion.model import Context, JointDiT
from avsim.diffusion.pair import Pair
from avsim.errors import InputError

Denoise = Callable[[Pair[Tensor], Pair[Tensor]], Pair[Tensor]]
"""denoise(x, s) -> v: tokens (B, L, D) and levels (B, K) of each modality -> their velocity."""


@dataclass(frozen=True)
class Guidance:
    """Scales, of which 1 guides nothing and costs nothing, and how far down they count.

    Raises:
        InputError: a scale that is negative or not a number, or a level outside [0, 1].
    """

    text: float = 1.5  # how much both follow the caption
    video: float = 1.0  # how much the picture follows its sound
    audio: float = 1.0  # how much the sound follows its picture: sync guidance
    least: float = 0.0  # guided until all levels are below it (2404.07724), as a share of where they start

    def __post_init__(self) -> None:
        if not 0 <= self.least <= 1:
            raise InputError(f"guidance least is {self.least}; it must lie in [0, 1]")
        for name in ("text", "video", "audio"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise InputError(f"guidance {name} is {getattr(self, name)}; it must be 0 or more")


class Without(NamedTuple):
    """A `denoise` that was not told something, and how far to go away from it in each modality."""

    denoise: Denoise
    scale: Pair[float]


def guided(denoise: Denoise, *withouts: Without) -> Denoise:
    """V = v(all) + sum over what is left untold of (scale - 1) (v(all) - v(without it))."""

    def told(x: Pair[Tensor], s: Pair[Tensor]) -> Pair[Tensor]:
        v = total = denoise(x, s)
        for without, scale in withouts:
            less = without(x, s)
            total = Pair(
                *(
                    now if untold is None else now + (by - 1) * (full - untold)
                    for now, full, untold, by in zip(total, v, less, scale, strict=True)
                )
            )
        return total

    return told


def down_to(least: float, denoise: Denoise, below: Denoise) -> Denoise:
    """`denoise` while any level is at `least` or above, then `below`."""

    def either(x: Pair[Tensor], s: Pair[Tensor]) -> Pair[Tensor]:
        high = any(bool((levels >= least).any()) for levels in s.there())
        return (denoise if high else below)(x, s)

    return either if least > 0 else denoise


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


def guide(
    model: JointDiT, told: Context, untold: Context, guidance: Guidance, free: Sequence[bool]
) -> Denoise:
    """The `denoise` of a clip under `guidance`.

    `told` has the captions, `untold` has none; `free` (video, audio) says which modality is being drawn
    beside another: no pass is spent on guiding one that is given, absent or alone.
    """
    withouts = []
    if guidance.text != 1:
        withouts.append(Without(conditioned(model, untold), Pair(guidance.text, guidance.text)))
    if guidance.video != 1 and free[0]:
        withouts.append(Without(without_partner(model, told, "video"), Pair(guidance.video, 1.0)))
    if guidance.audio != 1 and free[1]:
        withouts.append(Without(without_partner(model, told, "audio"), Pair(1.0, guidance.audio)))
    plain = conditioned(model, told)
    return down_to(guidance.least, guided(plain, *withouts), plain) if withouts else plain
