"""The joint diffusion transformer: noisy tokens of picture and sound, and their levels -> their velocity.

What a clip needs once (`JointDiT.context`: text, positions) is apart from what runs at every step
(`JointDiT.forward`). Either modality may be absent: then it is an image or video model, or a sound model.
"""

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avsim.clip import LatentSpec
from avsim.errors import InputError
from avsim.models.blocks import Block, Words, modulate
from avsim.models.couplings import Coupling, Joint, start_at_zero
from avsim.models.level_only import wiener
from avsim.models.pair import Pair
from avsim.models.rope import Rotary, rotary
from avsim.models.text import TextEncoder, WordEncoder
from avsim.models.tokens import positions, spread
from avsim.weights import configured


class Context(NamedTuple):
    """What is known of clips before the first step, and stays as it is until the last."""

    words: tuple[Pair[Words], ...]  # the text as each block reads it
    mask: Tensor  # (B, 1, 1, S), which words are there
    rotary: Pair[Rotary]
    place: Pair[Tensor]  # (L, W), a learned function of where a token stands
    seconds: Pair[Tensor]  # (L,)
    opening: int  # video tokens of frame 0


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


QUICK = 8  # by which a rate of 1e-3 is raised for what lies several units from its start
LOUDEST = 4.0  # how far a token's energy may lie from its kind's, in logarithms


class Ends(nn.Module):
    """Where tokens of one kind enter a stream, and where it tells their velocity.

    The stream adds to what a Wiener filter takes of the noisy token (`wiener`), whose energies are those of
    the kind's channels, learned, times what the stream says of this token: in a picture most of what comes
    after frame 0 stands still, and a few tokens hold all that moves. What it adds is in units of the filter's
    error: EDM's skip and output scales (2206.00364, section 5), token by token. At high noise that is the
    clean token itself (2511.13720); near the data, detail passes by the stream.
    """

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.embed = nn.Linear(channels, width)
        self.out = start_at_zero(nn.Linear(width, channels))
        self.loud = start_at_zero(nn.Linear(width, channels))
        self.energy = nn.Parameter(torch.zeros(channels))  # of the kind: its logarithm, over QUICK

    def velocity(self, h: Tensor, x: Tensor, s: Tensor) -> Tensor:
        """What the stream ends with (B, L, W), noisy tokens (B, L, D), levels (B, L, 1) -> (B, L, D)."""
        louder = LOUDEST * (self.loud(h).to(x) / LOUDEST).tanh()  # (B, L, D)
        factor, error = wiener(s, (QUICK * self.energy + louder).exp())
        return factor * x - error * self.out(h)


class VideoEnds(nn.Module):
    """The picture's ends: frame 0 tells what there is, later latents tell how it changes."""

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.first, self.later = Ends(width, channels), Ends(width, channels)

    def embed(self, x: Tensor, opening: int) -> Tensor:
        """Noisy tokens (B, L, Dv), of which `opening` are of frame 0 -> their stream (B, L, W)."""
        return torch.cat([self.first.embed(x[:, :opening]), self.later.embed(x[:, opening:])], dim=1)

    def velocity(self, h: Tensor, x: Tensor, s: Tensor, opening: int) -> Tensor:
        """What the stream ends with (B, L, W), noisy tokens (B, L, Dv), levels (B, L, 1) -> (B, L, Dv)."""
        first = self.first.velocity(h[:, :opening], x[:, :opening], s[:, :opening])
        return torch.cat([first, self.later.velocity(h[:, opening:], x[:, opening:], s[:, opening:])], dim=1)


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
        self.channels = Pair(video_channels, audio_channels)  # of a token, D
        self.text = WordEncoder() if text is None else text
        self.ends: Any = nn.ModuleList([VideoEnds(width, video_channels), Ends(width, audio_channels)])
        self.place = nn.ModuleList(nn.Linear(self.head_width, width) for _ in self.channels)
        self.level = nn.ModuleList(Modulation(width, coupling.meets) for _ in self.channels)
        self.blocks: Any = nn.ModuleList(
            Block(coupling, width, heads, self.text.width, mlp_ratio) for _ in range(blocks)
        )

    def context(
        self, captions: Sequence[str] | Tensor, spec: LatentSpec, uncond: Tensor | None = None
    ) -> Context:
        """Once per clip: B captions, and the spec whose tokens will be generated. "" means no caption.

        They may also be token ids, as `text.tokenize` makes them. Rows of `uncond` (B,) bool have no caption.
        """
        text, here = self.text(captions)  # (B, S, E), (B, S)
        if uncond is not None:
            none = captions.new_zeros(1, *captions.shape[1:]) if isinstance(captions, Tensor) else [""]
            empty, there = self.text(none)  # (1, S, E), (1, S)
            text = torch.where(uncond[:, None, None], empty, text)
            here = torch.where(uncond[:, None], there, here)
        waves, seconds = standing(spec, self.head_width, text.device)
        return Context(
            words=tuple(block.read(text) for block in self.blocks),
            mask=here[:, None, None],
            rotary=waves,
            place=waves.each(lambda wave, embed: embed(torch.cat(wave, dim=-1)), Pair(*self.place)),
            seconds=seconds,
            opening=math.prod(spec.video[1:]),
        )

    def forward(
        self, x: Pair[Tensor], s: Pair[Tensor], context: Context, linked: Tensor | None = None
    ) -> Pair[Tensor]:
        """The velocity of every token; of one that is given (level 0) it means nothing.

        Shapes: x video (B, Lv, Dv), audio (B, La, Da), one may be None; s (B, Kv), (B, Ka) the level
        of each run of L / K tokens; linked (B,) bool: False keeps that row's streams apart. Returns as x.
        """
        modulation, final = self.modulate(x, s, context, linked)  # (B, K, 6, W), (B, K, 2, W)
        h = self.enter(x, context)  # (B, L, W)
        barrier = self.barrier(h, linked)
        for block, words in zip(self.blocks, context.words, strict=True):
            h = block(h, modulation, context.rotary, words, context.mask, barrier)  # (B, L, W)
        h = h.each(lambda h, m: modulate(h, *m.unbind(2)), final)
        level = h.each(lambda h, s: spread(s, h.shape[1])[..., None], s)  # (B, L, 1)
        video, audio = self.ends
        return Pair(
            None if x.video is None else video.velocity(h.video, x.video, level.video, context.opening),
            None if x.audio is None else audio.velocity(h.audio, x.audio, level.audio),
        )  # (B, L, D)

    def enter(self, x: Pair[Tensor], context: Context) -> Pair[Tensor]:
        """Tokens (B, L, D) -> streams (B, L, W)."""
        video, audio = self.ends
        return Pair(
            None if x.video is None else video.embed(x.video, context.opening) + context.place.video,
            None if x.audio is None else audio.embed(x.audio) + context.place.audio,
        )

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


@lru_cache(maxsize=32)
def standing(spec: LatentSpec, head_width: int, device: torch.device) -> tuple[Pair[Rotary], Pair[Tensor]]:
    """Where the tokens stand, as heads are turned; and their seconds, (L,)."""
    with torch.inference_mode(False):  # a training may ask for them next
        at = positions(spec)
        waves = at.each(lambda at: rotary(at, head_width, device))  # (L, head width / 2)
        return waves, at.each(lambda at: at.seconds.to(device))


def at_the_same_time(s: Pair[Tensor], seconds: Pair[Tensor]) -> Pair[Tensor]:
    """The partner's level at the moment of each own level: (B, Kv) of the sound, (B, Ka) of the picture."""
    runs = seconds.each(lambda at, s: at.unflatten(0, (s.shape[1], -1)), s)  # (K, L / K), in order of time
    centres = runs.each(lambda at: (at[:, 0] + at[:, -1]) / 2)  # (K,)
    apart = (centres.video[:, None] - centres.audio[None, :]).abs()  # (Kv, Ka)
    return Pair(s.audio[:, apart.argmin(1)], s.video[:, apart.argmin(0)])
