"""Latents <-> tokens, and the position of each token: its time in seconds, its row and its column.

A video token is one latent, tokens run over (t, h, w); an audio token is one audio latent.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor

from avsim.clip import LatentSpec
from avsim.models.pair import Latents, Pair


def sinusoidal_embedding(s: Tensor, channels: int) -> Tensor:
    """Noise levels (B, K) -> cosines and sines of log-spaced frequencies from 1 to 1000, (B, K, channels)."""
    frequency = torch.exp(torch.linspace(0, math.log(1000), channels // 2, device=s.device))
    phase = s.float()[..., None] * frequency
    return torch.cat([phase.cos(), phase.sin()], -1)


def grid(spec: LatentSpec) -> Pair[tuple[int, ...]]:
    """(t, h, w) of the video, (l,) of the audio."""
    return Pair(spec.video, (spec.audio,))


def lengths(spec: LatentSpec) -> tuple[int, int]:
    """(Lv, La): number of tokens of the video and of the audio."""
    return math.prod(spec.video), spec.audio


def to_tokens(latents: Latents) -> Pair[Tensor]:
    """Latents (B, Dv, t, h, w), (B, Da, l) -> tokens (B, Lv, Dv), (B, La, Da)."""
    return latents.each(lambda latents: rearrange(latents, "b d ... -> b (...) d"))


def to_latents(tokens: Pair[Tensor], spec: LatentSpec) -> Latents:
    """Tokens -> latents of `spec`: the inverse of `to_tokens`, exact."""
    return tokens.each(lambda tokens, grid: tokens.mT.unflatten(2, grid), grid(spec))


class Positions(NamedTuple):
    """Positions of tokens, each (L,) float32.

    `seconds` is the centre of the span that a token covers. `row` and `column` are measured from the middle
    of the frame in units of sqrt(height x width): they do not depend on the resolution, and squares stay
    square. Audio has no position in the frame: its row and column are 0.
    """

    seconds: Tensor
    row: Tensor
    column: Tensor


@lru_cache(maxsize=32)
def positions(spec: LatentSpec) -> Pair[Positions]:
    """Positions of the tokens of both modalities, on the CPU; cached."""
    t, h, w = spec.video
    unit = (spec.clip.height * spec.clip.width) ** 0.5

    def centers(latents: int, pixels: int) -> Tensor:
        at = (torch.arange(latents, dtype=torch.float64) + 0.5) * spec.space_stride
        return ((at - pixels / 2) / unit).float()

    origin = torch.zeros(spec.audio)
    return Pair(
        Positions(
            repeat(spec.video_seconds().float(), "t -> (t h w)", h=h, w=w),
            repeat(centers(h, spec.clip.height), "h -> (t h w)", t=t, w=w),
            repeat(centers(w, spec.clip.width), "w -> (t h w)", t=t, h=h),
        ),
        Positions(spec.audio_seconds().float(), origin, origin),
    )


def repeat_levels(values: Tensor, tokens: int) -> Tensor:
    """Values (B, K), each shared by a run of L / K consecutive tokens -> one per token, (B, L)."""
    return values.repeat_interleave(tokens // values.shape[1], dim=1)


def patch_levels(s: Tensor, patch: int) -> Tensor:
    """Levels of latents in time (B, l) -> the highest of every `patch` latents, (B, ceil(l / patch))."""
    if s.shape[1] % patch:
        s = F.pad(s[:, None], (0, -s.shape[1] % patch), mode="replicate")[:, 0]
    return s.unflatten(1, (-1, patch)).amax(2)


def patch_seconds(spans: Tensor, patch: int) -> Tensor:
    """Spans of latents in seconds (l, 2) -> centre of every `patch` latents, (ceil(l / patch),) float32."""
    starts, ends = spans[::patch, 0], spans[patch - 1 :: patch, 1]
    ends = torch.cat([ends, spans[-1:, 1]])[: len(starts)]
    return ((starts + ends) / 2).float()
