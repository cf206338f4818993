"""Guidance learned by heart: what several passes and a gradient say becomes the target of one pass.

A model that is trained on these targets draws without guidance what it drew with it (On distillation of
guided diffusion models, 2210.03142, its first stage, with scales that stay what they are).
"""

from collections.abc import Callable, Sequence
from dataclasses import astuple, fields, replace
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
from avsim.diffusion.noising import Noised, clean_of, noise_of
from avsim.models.joint import Context, JointDiT
from avsim.models.pair import NAMES, Pair


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
    """Linked clips as a sampler meets them, with what the guided teacher says of them as their velocity.

    A sampler meets what the model took for data a step before, and sounds that aren't where their picture
    is: of data alone a pupil would not learn what the ear is for. Nothing asks the device, so that it fits a
    CUDA graph.

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
    late, shift, up, guessed = chance
    count = x.audio.shape[1]
    shift = (late < LATE) * (shift * count).long()  # (B, 1, 1)
    at = (torch.arange(count, device=shift.device)[None, :, None] - shift) % count  # (B, La, 1)
    x = Pair(x.video, x.audio.gather(1, at.expand_as(x.audio)))
    above = s.each(lambda s: s + (s > 0) * (1 - s) * (UP[0] + (UP[1] - UP[0]) * up[:, 0]))
    noised = x.each(lambda x, s: Noised(x, noise(x), s), above)
    v = teacher(noised.each(lambda n: n.x_s), above, told)
    guess = noised.each(lambda n, v: clean_of(n.x_s, v.float(), n.level), v)
    x = x.each(lambda x, guess: torch.where(guessed < GUESSED, guess, x), guess)
    noised = x.each(lambda x, s: Noised(x, noise(x), s), s)
    lessons = Lessons.of(table, (s.audio == 0).all(1).long())
    return by_heart(teacher, told, untold, noised, lessons, noise(x.audio), criticised)


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
    return noised.each(lambda n, v: Noised(clean_of(n.x_s, v, n.level), noise_of(n.x_s, v, n.level), n.s), v)
