"""The joint diffusion transformer: noisy tokens of picture and sound, and their levels -> their velocity.

What a clip needs once (`JointDiT.context`: text, positions) is apart from what runs at every step
(`JointDiT.forward`). Either modality may be absent: then it is an image or video model, or a sound model.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avsim.clip import LatentSpec
from avsim.diffusion.blocks import Block, Words, modulate
from avsim.diffusion.couplings import Coupling, Joint, start_at_zero
from avsim.diffusion.noising import velocity_of
from avsim.diffusion.pair import Pair
from avsim.diffusion.rope import Rotary, angles
from avsim.diffusion.text import TextEncoder, WordEncoder
from avsim.diffusion.tokens import PATCH, positions, spread
from avsim.errors import InputError
from avsim.weights import configured


class Context(NamedTuple):
    """What is known of clips before the first step, and stays as it is until the last."""

    words: tuple[Pair[Words], ...]  # the text as each block reads it
    mask: Tensor  # (B, 1, 1, S), which words are there
    rotary: Pair[Rotary]
    place: Pair[Tensor]  # (L, W), a learned function of where a token stands
    seconds: Pair[Tensor]  # (L,)


class LevelEmbedding(nn.Module):
    """A noise level -> a vector: 64 cosines and sines, two linear layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(64, width), nn.Linear(width, width)

    def forward(self, s: Tensor) -> Tensor:
        """(B, K) -> (B, K, W)."""
        frequency = torch.exp(torch.linspace(0, math.log(1000), 32, device=s.device))
        turn = s.float()[..., None] * frequency
        return self.out(F.silu(self.hidden(torch.cat([turn.cos(), turn.sin()], dim=-1))))


class Modulation(nn.Module):
    """A stream's noise level, and its partner's -> shifts, scales and gates: once per distinct level.

    All start at zero (adaLN-zero, 2212.09748), shared by all blocks (adaLN-single, 2310.00426); what the
    partner's level says starts at zero too, so that a partner can be added to a trained stream.
    """

    def __init__(self, width: int, partner: bool) -> None:
        super().__init__()
        self.own = LevelEmbedding(width)
        self.partner = LevelEmbedding(width) if partner else None
        self.absent = nn.Parameter(torch.zeros(width)) if partner else None  # says: there is no partner
        self.out = start_at_zero(nn.Linear(width, 8 * width))
        if self.partner is not None:
            start_at_zero(self.partner.out)

    def forward(self, s: Tensor, partner: Tensor | None, linked: Tensor | None) -> tuple[Tensor, Tensor]:
        """Own and partner's levels (B, K) -> for blocks (B, K, 6, W), for the readout (B, K, 2, W)."""
        level = self.own(s)  # (B, K, W)
        if self.partner is not None and self.absent is not None:
            other = self.absent if partner is None else self.partner(partner)
            if linked is not None:
                other = torch.where(linked[:, None, None], other, self.absent)
            level = level + other
        out = self.out(F.silu(level)).unflatten(-1, (8, -1))  # (B, K, 8, W)
        return out[:, :, :6], out[:, :, 6:]


class Readout(nn.Module):
    """Tokens of the stream -> clean tokens; starts at zero."""

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.out = start_at_zero(nn.Linear(width, channels))

    def forward(self, x: Tensor, modulation: Tensor) -> Tensor:
        """(B, L, W), (B, K, 2, W) -> (B, L, D)."""
        return self.out(modulate(x, *modulation.unbind(2)))


@configured
class JointDiT(nn.Module):
    """Two streams of tokens, one clock.

    Args:
        video_channels: Dv of the video codec.
        audio_channels: Da of the audio codec.
        width: W of both streams.
        blocks: how many.
        heads: that share the width; width / heads must be a multiple of 8.
        mlp_ratio: hidden width of an MLP over `width`.
        coupling: how the streams meet.
        text: the text encoder; by default one that trains along.
        video_shift: how much of its path the picture spends at high noise (`levels.shifted`).
        audio_shift: and the sound.

    Raises:
        InputError: a width that the heads can't share.
    """

    def __init__(
        self,
        video_channels: int = 16,
        audio_channels: int = 16,
        width: int = 160,
        blocks: int = 6,
        heads: int = 5,
        mlp_ratio: float = 3.0,
        coupling: type[Coupling] = Joint,
        text: TextEncoder | None = None,
        video_shift: float = 1.5,
        audio_shift: float = 1.0,
    ) -> None:
        super().__init__()
        if width % heads or (width // heads) % 8:
            raise InputError(f"width {width} in {heads} heads: heads must be a multiple of 8 wide")
        self.coupling, self.head_width = coupling, width // heads
        self.shifts = Pair(video_shift, audio_shift)
        self.latent_channels = Pair(video_channels, audio_channels)  # Dv, Da
        self.channels = Pair(video_channels * PATCH**2, audio_channels)  # of a token, D
        self.text = WordEncoder() if text is None else text
        self.embed = nn.ModuleList(nn.Linear(channels, width) for channels in self.channels.there())
        self.place = nn.ModuleList(nn.Linear(self.head_width, width) for _ in self.channels)
        self.level = nn.ModuleList(Modulation(width, coupling.meets) for _ in self.channels)
        self.blocks: Any = nn.ModuleList(
            Block(coupling, width, heads, self.text.width, mlp_ratio) for _ in range(blocks)
        )
        self.readout = nn.ModuleList(Readout(width, channels) for channels in self.channels.there())

    def context(self, captions: Sequence[str], spec: LatentSpec) -> Context:
        """Once per clip: B captions, and the spec whose tokens will be drawn. "" means no caption."""
        text, here = self.text(captions)  # (B, S, E), (B, S)
        at = positions(spec)
        turns = at.each(lambda at: angles(at, self.head_width).to(text.device))  # (L, head width / 2)
        waves = turns.each(lambda turn: Rotary(turn.cos(), turn.sin()))
        return Context(
            words=tuple(block.read(text) for block in self.blocks),
            mask=here[:, None, None],
            rotary=waves,
            place=waves.each(lambda wave, embed: embed(torch.cat(wave, dim=-1)), Pair(*self.place)),
            seconds=at.each(lambda at: at.seconds.to(text.device)),
        )

    def forward(
        self, x: Pair[Tensor], s: Pair[Tensor], context: Context, linked: Tensor | None = None
    ) -> Pair[Tensor]:
        """The velocity of every token: what points from it to the clean token that the network predicts.

        A velocity holds all of the noise, as wide as the token; clean tokens lie near few of their
        dimensions, which a narrower stream can tell (Back to basics: let denoising generative models denoise,
        2511.13720).

        Shapes: x video (B, Lv, Dv PATCH^2), audio (B, La, Da), one may be None; s (B, Kv), (B, Ka) the level
        of each run of L / K tokens; linked (B,) bool: False keeps that row's streams apart. Returns as x.
        """
        modulation, final = self.modulate(x, s, context, linked)  # (B, K, 6, W), (B, K, 2, W)
        barrier = self.barrier(x, linked)
        h = self.enter(x, context)  # (B, L, W)
        for block, words in zip(self.blocks, context.words, strict=True):
            h = block(h, modulation, context.rotary, words, context.mask, barrier)  # (B, L, W)
        clean = h.each(lambda h, m, read: read(h, m), final, Pair(*self.readout))  # (B, L, D)
        level = x.each(lambda x, s: spread(s, x.shape[1])[..., None], s)  # (B, L, 1)
        return x.each(lambda x, clean, level: velocity_of(x, clean.to(x), level), clean, level)  # (B, L, D)

    def enter(self, x: Pair[Tensor], context: Context) -> Pair[Tensor]:
        """Tokens (B, L, D) -> streams (B, L, W)."""
        return x.each(lambda x, embed, place: embed(x) + place, Pair(*self.embed), context.place)

    def barrier(self, x: Pair[Tensor], linked: Tensor | None) -> Tensor | None:
        """What keeps unlinked rows apart; None where all are linked or one modality is absent."""
        if linked is None or x.video is None or x.audio is None:
            return None
        return self.coupling.barrier(linked, (x.video.shape[1], x.audio.shape[1]))

    def modulate(
        self, x: Pair[Tensor], s: Pair[Tensor], context: Context, linked: Tensor | None
    ) -> tuple[Pair[Tensor], Pair[Tensor]]:
        """The modulation of blocks and of readouts, one row per distinct level."""
        meet = x.video is not None and x.audio is not None
        partner = at_the_same_time(s, context.seconds) if meet else Pair()
        both = [
            None if own is None else level(own, other, linked if meet else None)
            for own, other, level in zip(s, partner, self.level, strict=True)
        ]
        return Pair(*(m and m[0] for m in both)), Pair(*(m and m[1] for m in both))

    def compile(self, *args: Any, **options: Any) -> None:
        """Have torch compile block by block: all blocks are alike, so one compilation serves them all."""
        for block in self.blocks:
            block.compile(*args, **options)

    def hidden_matrices(self) -> Iterator[nn.Parameter]:
        """The blocks' matrices, which Muon trains; embeddings, readouts, modulation and text are AdamW's."""
        return (weight for weight in self.blocks.parameters() if weight.ndim == 2 and min(weight.shape) > 6)


def at_the_same_time(s: Pair[Tensor], seconds: Pair[Tensor]) -> Pair[Tensor]:
    """The partner's level at the moment of each own level: (B, Kv) of the sound, (B, Ka) of the picture."""
    centres = s.each(lambda s, at: at.unflatten(0, (s.shape[1], -1)).mean(1), seconds)  # (K,)
    apart = (centres.video[:, None] - centres.audio[None, :]).abs()  # (Kv, Ka)
    return Pair(s.audio[:, apart.argmin(1)], s.video[:, apart.argmin(0)])
