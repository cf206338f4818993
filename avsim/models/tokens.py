"""Latents <-> tokens, and where each token stands: its second, its row, its column.

A video token is one latent, tokens run over (t, h, w); an audio token is one audio latent.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from einops import rearrange, repeat
from torch import Tensor

from avsim.clip import LatentSpec
from avsim.models.pair import Latents, Pair


def grid(spec: LatentSpec) -> Pair[tuple[int, ...]]:
    """(t, h, w) of the picture, (l,) of the sound."""
    return Pair(spec.video, (spec.audio,))


def lengths(spec: LatentSpec) -> tuple[int, int]:
    """(Lv, La): tokens of the picture and of the sound."""
    return math.prod(spec.video), spec.audio


def to_tokens(latents: Latents) -> Pair[Tensor]:
    """Latents (B, Dv, t, h, w), (B, Da, l) -> tokens (B, Lv, Dv), (B, La, Da)."""
    return latents.each(lambda latents: rearrange(latents, "b d ... -> b (...) d"))


def to_latents(tokens: Pair[Tensor], spec: LatentSpec) -> Latents:
    """Tokens -> latents of `spec`: the inverse of `to_tokens`, exact."""
    return tokens.each(lambda tokens, grid: tokens.mT.unflatten(2, grid), grid(spec))


class Positions(NamedTuple):
    """Where tokens stand, each (L,) float32.

    `seconds` is the centre of the span that a token covers. `row` and `column` are measured from the middle
    of the picture in units of sqrt(height x width): they do not depend on the resolution, and squares stay
    square. A sound is everywhere: its row and column are 0.
    """

    seconds: Tensor
    row: Tensor
    column: Tensor


@lru_cache(maxsize=32)
def positions(spec: LatentSpec) -> Pair[Positions]:
    """Where the tokens of both modalities stand: on the CPU, the same for every call."""
    t, h, w = spec.video
    unit = (spec.clip.height * spec.clip.width) ** 0.5

    def centres(latents: int, pixels: int) -> Tensor:
        at = (torch.arange(latents, dtype=torch.float64) + 0.5) * spec.space_stride
        return ((at - pixels / 2) / unit).float()

    nowhere = torch.zeros(spec.audio)
    return Pair(
        Positions(
            repeat(spec.video_seconds().float(), "t -> (t h w)", h=h, w=w),
            repeat(centres(h, spec.clip.height), "h -> (t h w)", t=t, w=w),
            repeat(centres(w, spec.clip.width), "w -> (t h w)", t=t, h=h),
        ),
        Positions(spec.audio_seconds().float(), nowhere, nowhere),
    )


def spread(values: Tensor, tokens: int) -> Tensor:
    """(B, K) values, each shared by a run of L / K tokens -> (B, L)."""
    return values.repeat_interleave(tokens // values.shape[1], dim=1)
