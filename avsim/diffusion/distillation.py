"""What several passes say becomes the target of one: guidance learned by heart, and strides.

A model that is trained on what guidance says (`lesson`) draws without guidance what it drew with it (On
distillation of guided diffusion models, 2210.03142, its first stage, with scales that stay what they are).
Then it can learn to take two of its steps at once (`stride`).
"""

from collections.abc import Callable, Sequence
from dataclasses import astuple, fields, replace
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from avsim.diffusion.guidance import (
    GUIDANCE,
    IN_FULL,
    TO_A_SOUND,
    Guidance,
    hearing,
    led_to,
    turned,
    without_partner,
)
from avsim.diffusion.levels import shifted, unshifted
from avsim.diffusion.model import Context, JointDiT
from avsim.diffusion.noising import Noised, clean_of, noise_of
from avsim.diffusion.pair import NAMES, Pair
from avsim.diffusion.sampler import move
from avsim.diffusion.tokens import spread


class Lessons(NamedTuple):
    """The guidance of each row of a batch, (B, 1, 1) each, as tensors that a CUDA graph can read."""

    text: Tensor
    video: Tensor
    audio: Tensor
    least: Tensor
    ear: Tensor
    text_least: Tensor
    hearings: Tensor
    words: Tensor
    ear_least: Tensor
    dim: Tensor

    @classmethod
    def table(cls, guidances: Sequence[Guidance], device: torch.device | str) -> Tensor:
        """(G, 10), a row for each."""
        assert cls._fields == tuple(field.name for field in fields(Guidance))
        return torch.tensor([astuple(each) for each in guidances], dtype=torch.float32, device=device)

    @classmethod
    def of(cls, table: Tensor, which: Tensor) -> "Lessons":
        """Rows `which` (B,) of a table."""
        return cls(*(column[:, None, None] for column in table[which].unbind(1)))


LESSONS = (  # of one hearing each; what they agree on is what a pupil learns, so it is less than `ear`
    replace(GUIDANCE, ear=0.35),
    replace(TO_A_SOUND, ear=0.55, hearings=1),
)
CRITICISED = (  # the same where a critic is in the ear's place; by heart, the text's guidance costs nothing
    replace(GUIDANCE, ear=0.4, ear_least=0.4, dim=0.88, text_least=0.5),
    replace(TO_A_SOUND, ear=0.5, ear_least=0.25, dim=0.9, hearings=1),
)
Criticised = Callable[[Pair[Tensor]], Tensor]
"""criticised(clean tokens) -> the gradient along which a critic would turn the picture, (B, Lv, Dv)."""
LATE = 0.5  # share of clips whose sound comes some time before or after its picture
GUESSED = 0.5  # share of clips that are what a teacher takes for the data, from further up
SOONER = 0.75  # share of strides in which frame 0 is a step before the rest
UP = 0.2, 0.5  # how far, as a share of what is left to the top: about a step of eight


@torch.no_grad()
def lesson(
    teacher: JointDiT,
    told: Context,
    untold: Context,
    x: Pair[Tensor],
    s: Pair[Tensor],
    table: Tensor,
    chance: Tensor,
    noise: Callable[[Tensor], Tensor],
    criticised: Criticised | None = None,
) -> Pair[Noised]:
    """Linked clips `met` by a sampler, with what the guided teacher says of them as their velocity.

    Nothing asks the device, so that it fits a CUDA graph.

    Args:
        teacher: what is guided.
        told: the context with captions; `untold` has none.
        untold: see `told`.
        x: clean tokens (B, L, D).
        s: their levels (B, K).
        table: of `Lessons`: what is drawn beside another, a picture for a given sound.
        chance: uniform draws (4, B, 1, 1).
        noise: normal draws like a tensor.
        criticised: what a critic says in the ear's place.
    """
    noised = met(teacher, told, x, s, chance, noise)
    lessons = Lessons.of(table, (s.audio == 0).all(1).long())
    return by_heart(teacher, told, untold, noised, lessons, noise(x.audio), criticised)


@torch.no_grad()
def met(
    model: JointDiT,
    told: Context,
    x: Pair[Tensor],
    s: Pair[Tensor],
    chance: Tensor,
    noise: Callable[[Tensor], Tensor],
) -> Pair[Noised]:
    """Linked clips as a sampler meets them, at the levels s.

    A sampler meets what the model took for data a step before, and sounds that aren't where their picture
    is: of data alone a pupil would not learn what the ear is for.

    Args:
        model: what takes something for data.
        told: the context.
        x: clean tokens (B, L, D).
        s: their levels (B, K).
        chance: uniform draws (4, B, 1, 1).
        noise: normal draws like a tensor.
    """
    late, shift, up, guessed = chance
    count = x.audio.shape[1]
    shift = (late < LATE) * (shift * count).long()  # (B, 1, 1)
    at = (torch.arange(count, device=shift.device)[None, :, None] - shift) % count  # (B, La, 1)
    x = Pair(x.video, x.audio.gather(1, at.expand_as(x.audio)))
    above = s.each(lambda s: s + (s > 0) * (1 - s) * (UP[0] + (UP[1] - UP[0]) * up[:, 0]))
    noised = x.each(lambda x, s: Noised(x, noise(x), s), above)
    v = model(noised.each(lambda n: n.x_s), above, told)
    guess = noised.each(lambda n, v: clean_of(n.x_s, v.float(), n.level), v)
    x = x.each(lambda x, guess: torch.where(guessed < GUESSED, guess, x), guess)
    return x.each(lambda x, s: Noised(x, noise(x), s), s)


@torch.no_grad()
def stride(
    teacher: JointDiT,
    told: Context,
    x: Pair[Tensor],
    s: Pair[Tensor],
    chance: Tensor,
    noise: Callable[[Tensor], Tensor],
    steps: int,
) -> Pair[Noised]:
    """Linked clips `met` by a sampler of `steps` steps, with the `chord` of its teacher as their velocity.

    In most of them frame 0 is a step before the rest, as it is drawn. Nothing asks the device.

    Args:
        teacher: what takes two steps for one.
        told: the context with captions.
        x: clean tokens (B, L, D).
        s: their levels (B, K).
        chance: uniform draws (5, B, 1, 1).
        noise: normal draws like a tensor.
        steps: of the student's sampler.
    """
    sooner = further(s.video[:, :1], teacher.shifts.video, steps)
    first = torch.where(chance[4, :, 0] < SOONER, sooner, s.video[:, :1])
    s = s._replace(video=torch.cat([first, s.video[:, 1:]], 1))
    return chord(teacher, told, met(teacher, told, x, s, chance[:4], noise), steps)


@torch.no_grad()
def chord(teacher: JointDiT, told: Context, noised: Pair[Noised], steps: int) -> Pair[Noised]:
    """Linked clips, noised as they are, whose velocity leads to where two steps of a teacher do.

    A step of `ancestral` leads to the square of its share of noise, about twice as far as the next level;
    one velocity leads there astray where the path bends. A student of chords draws in `steps` steps what its
    teacher draws in twice as many (Progressive distillation, 2202.00512, algorithm 2).

    Args:
        teacher: what takes the steps, each of 1 / `steps` of the path.
        told: the context with captions.
        noised: tokens of both modalities.
        steps: of the student's sampler.
    """
    x, s = noised.each(lambda n: n.x_s), noised.each(lambda n: n.s)
    then = s.each(partial(further, steps=steps), teacher.shifts)
    last = then.each(partial(further, steps=steps), teacher.shifts)
    first = teacher(x, s, told).each(torch.Tensor.float)
    second = teacher(move(x, first, s, then), then, told).each(torch.Tensor.float)

    def mean(first: Tensor, second: Tensor, s: Tensor, then: Tensor, last: Tensor) -> Tensor:
        share = spread((s - then) / (s - last).clamp(min=1e-6), first.shape[1])[..., None]  # (B, L, 1)
        return share * first + (1 - share) * second

    return noised.each(with_velocity, first.each(mean, second, s, then, last))


def further(s: Tensor, shift: float, steps: int) -> Tensor:
    """The levels a step of `steps` after the levels s, on a path of that shift."""
    return shifted((unshifted(s, shift) - 1 / steps).clamp(min=0), shift)


def with_velocity(noised: Noised, v: Tensor) -> Noised:
    """The same tokens x_s, on the way that v (B, L, D) says."""
    x, level = noised.x_s, noised.level
    return Noised(clean_of(x, v, level), noise_of(x, v, level), noised.s)


@torch.no_grad()
def by_heart(
    teacher: JointDiT,
    told: Context,
    untold: Context,
    noised: Pair[Noised],
    lessons: Lessons,
    noise: Tensor,
    criticised: Criticised | None = None,
) -> Pair[Noised]:
    """Linked clips, noised as they are, whose velocity is what a guided teacher says: a student's target.

    As `guidance.guide`, and `by_ear` or `by_critic`, but each row has its own guidance, and hears once,
    whatever its `hearings`. Nothing asks the device.

    Args:
        teacher: what is guided.
        told: the context with captions; `untold` has none.
        untold: see `told`.
        noised: tokens of both modalities.
        lessons: of each row.
        noise: of the sound that is listened to, (B, La, Da).
        criticised: what a critic says in the ear's place.
    """
    x, s = noised.each(lambda n: n.x_s), noised.each(lambda n: n.s)
    v = teacher(x, s, told).each(torch.Tensor.float)
    less = teacher(x, s, untold)
    alone = Pair(*(getattr(without_partner(teacher, told, name)(x, s), name) for name in NAMES))
    by_words = alone.audio - without_partner(teacher, untold, "audio")(x, s).audio
    highest = s.each(lambda s: s.amax(1)[:, None, None])  # (B, 1, 1)
    above = torch.maximum(highest.video, highest.audio)
    by_text = (above >= lessons.text_least) * (lessons.text - 1)

    def pushed(v: Tensor, less: Tensor, alone: Tensor, scale: Tensor) -> Tensor:
        by_partner = (above >= lessons.least) * (scale - 1)
        return v + by_text * (v - less) + by_partner * (v - alone)

    v = v.each(pushed, less, alone, Pair(lessons.video, lessons.audio))
    v = Pair(v.video, v.audio + (lessons.words - 1) * by_words)
    clean = x.each(led_to, v, s)
    hears = (highest.video >= lessons.ear_least) & (highest.video <= lessons.dim)
    if criticised is not None:
        v = v._replace(video=turned(v.video, criticised(clean), s.video, hears * lessons.ear, IN_FULL))
    elif teacher.coupling.meets:
        slope = hearing(teacher, told, x.video, s, clean.audio, noise)
        v = v._replace(video=turned(v.video, slope, s.video, hears * lessons.ear))
    return noised.each(with_velocity, v)
