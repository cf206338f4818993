"""Latents <-> tokens, and where each token stands: its second, its row, its column.

A video token is a patch of `PATCH` x `PATCH` latents of one latent frame, tokens run over (t, h, w); an
audio token is one audio latent. Odd grids are padded with zeros at the bottom and right, and cropped back.
Inside the model frame 0 is `cut` into single latents: L tokens are M of a stream, M = L + (PATCH^2 - 1) h w
of a picture, M = L of a sound.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange, reduce, repeat
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


def cut(tokens: Tensor, opening: int) -> tuple[Tensor, Tensor]:
    """Video tokens, `opening` of frame 0 -> its latents one by one, and the tokens that follow.

    (B, L, Dv PATCH^2) -> (B, opening PATCH^2, Dv), (B, L - opening, Dv PATCH^2).
    """
    first, later = tokens.split([opening, tokens.shape[1] - opening], dim=1)
    return rearrange(first, "b n (d pq) -> b (n pq) d", pq=PATCH**2), later


def joined(first: Tensor, later: Tensor) -> Tensor:
    """The inverse of `cut`."""
    return torch.cat([rearrange(first, "b (n pq) d -> b n (d pq)", pq=PATCH**2), later], dim=1)


def shared_levels(s: Tensor, opening: int, tokens: int) -> Tensor:
    """Levels (B, K) of runs of `tokens` / K video tokens -> (B, K) of runs of what `cut` makes of these."""
    if s.shape[1] == 1:
        return s
    if opening * s.shape[1] % tokens:  # a run that goes on after frame 0
        s = spread(s, tokens)
    runs = opening * s.shape[1] // tokens  # of frame 0
    return torch.cat([s[:, :runs].repeat_interleave(PATCH**2, dim=1), s[:, runs:]], dim=1)


class Positions(NamedTuple):
    """Where tokens of a stream stand, each (M,) float32.

    `seconds` is the centre of the span that a token covers. `row` and `column` are measured from the middle
    of the picture in units of sqrt(height x width): they do not depend on the resolution, and squares stay
    square. A sound is everywhere: its row and column are 0.
    """

    seconds: Tensor
    row: Tensor
    column: Tensor


@lru_cache(maxsize=32)
def positions(spec: LatentSpec) -> Pair[Positions]:
    """Where the tokens of both modalities stand, frame 0 `cut`: on the CPU, the same for every call."""
    t, h, w = grid(spec)
    unit = (spec.clip.height * spec.clip.width) ** 0.5

    def centres(patches: int, pixels: int) -> Tensor:
        at = (torch.arange(patches * PATCH, dtype=torch.float64) + 0.5) * spec.space_stride
        return (at - pixels / 2) / unit

    seconds = repeat(spec.video_seconds(), "t -> t h w", h=h * PATCH, w=w * PATCH)
    row = repeat(centres(h, spec.clip.height), "h -> t h w", t=t, w=w * PATCH)
    column = repeat(centres(w, spec.clip.width), "w -> t h w", t=t, h=h * PATCH)
    first, later = cut(patchify(torch.stack([seconds, row, column])[None]), h * w)
    later = reduce(later, "b l (d pq) -> b l d", "mean", d=3)
    nowhere = torch.zeros(spec.audio)
    return Pair(
        Positions(*torch.cat([first, later], dim=1)[0].float().unbind(1)),
        Positions(spec.audio_seconds().float(), nowhere, nowhere),
    )


def spread(values: Tensor, tokens: int) -> Tensor:
    """(B, K) values, each shared by a run of L / K tokens -> (B, L)."""
    return values.repeat_interleave(tokens // values.shape[1], dim=1)
