"""Latents <-> tokens, and where each token stands: its second, its row, its column.

A video token is a patch of `PATCH` x `PATCH` latents of one latent frame, tokens run over (t, h, w); an
audio token is one audio latent. Odd grids are padded with zeros at the bottom and right, and cropped back.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor

from avsim.clip import LatentSpec
from avsim.diffusion.pair import Latents, Pair

PATCH = 2  # video latents per token, each way


def grid(spec: LatentSpec) -> tuple[int, int, int]:
    """Video tokens along time, height and width."""
    t, h, w = spec.video
    return t, -(-h // PATCH), -(-w // PATCH)


def lengths(spec: LatentSpec) -> tuple[int, int]:
    """(Lv, La): tokens of the picture and of the sound."""
    t, h, w = grid(spec)
    return t * h * w, spec.audio


def to_tokens(latents: Latents) -> Pair[Tensor]:
    """Latents (B, Dv, t, h, w), (B, Da, l) -> tokens (B, Lv, Dv PATCH^2), (B, La, Da)."""
    turn = Pair(patchify, lambda audio: audio.transpose(1, 2))
    return latents.each(lambda latents, turn: turn(latents), turn)


def to_latents(tokens: Pair[Tensor], spec: LatentSpec) -> Latents:
    """Tokens -> latents of `spec`: the inverse of `to_tokens`, exact."""
    turn = Pair(lambda video: unpatchify(video, spec), lambda audio: audio.transpose(1, 2))
    return tokens.each(lambda tokens, turn: turn(tokens), turn)


def patchify(video: Tensor) -> Tensor:
    """(B, Dv, t, h, w) -> (B, Lv, Dv PATCH^2)."""
    h, w = video.shape[-2:]
    video = F.pad(video, (0, -w % PATCH, 0, -h % PATCH))
    return rearrange(video, "b d t (h p) (w q) -> b (t h w) (d p q)", p=PATCH, q=PATCH)


def unpatchify(tokens: Tensor, spec: LatentSpec) -> Tensor:
    """(B, Lv, Dv PATCH^2) -> (B, Dv, t, h, w)."""
    t, h, w = grid(spec)
    video = rearrange(tokens, "b (t h w) (d p q) -> b d t (h p) (w q)", t=t, h=h, w=w, p=PATCH, q=PATCH)
    return video[..., : spec.video[1], : spec.video[2]]


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
    """Where the tokens of both modalities stand (on the CPU; the same tensors for every call)."""
    t, h, w = grid(spec)
    side = PATCH * spec.space_stride  # pixels that a token covers, each way
    unit = (spec.clip.height * spec.clip.width) ** 0.5
    row = ((torch.arange(h, dtype=torch.float64) + 0.5) * side - spec.clip.height / 2) / unit
    column = ((torch.arange(w, dtype=torch.float64) + 0.5) * side - spec.clip.width / 2) / unit
    video = Positions(
        repeat(spec.video_seconds(), "t -> (t h w)", h=h, w=w).float(),
        repeat(row, "h -> (t h w)", t=t, w=w).float(),
        repeat(column, "w -> (t h w)", t=t, h=h).float(),
    )
    nowhere = torch.zeros(spec.audio)
    return Pair(video, Positions(spec.audio_seconds().float(), nowhere, nowhere))


def spread(values: Tensor, tokens: int) -> Tensor:
    """(B, K) values, each shared by a run of L / K tokens -> (B, L)."""
    return values.repeat_interleave(tokens // values.shape[1], dim=1)
