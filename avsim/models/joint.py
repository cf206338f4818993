"""The joint diffusion transformer: noisy video and audio tokens and their noise levels -> their velocity.

`JointDiT.context` computes text and positions once per clip, `JointDiT.forward` runs at every step. Either
modality may be absent: then it is an image or video model, or an audio model.
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
from avsim.models.attention import TextKV, zero_init
from avsim.models.blocks import Block, modulate
from avsim.models.couplings import Coupling, JointCoupling
from avsim.models.level_only import wiener
from avsim.models.pair import Pair
from avsim.models.rope import Rotary, rotary
from avsim.models.text import TextEncoder, WordEncoder
from avsim.models.tokens import positions, repeat_levels, sinusoidal_embedding
from avsim.weights import configured


class Context(NamedTuple):
    """What is computed once per clip and used in all sampling steps."""

    text: tuple[Pair[TextKV], ...]  # keys and values of the caption, for each block
    text_mask: Tensor  # (B, 1, 1, S), which text tokens are present
    rotary: Pair[Rotary]
    pos_embed: Pair[Tensor]  # (L, W), a learned function of each token's position
    seconds: Pair[Tensor]  # (L,)
    first_frame_tokens: int  # number of video tokens of frame 0


class LevelEmbedding(nn.Module):
    """A noise level -> a vector: 64 cosines and sines, two linear layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(64, width), nn.Linear(width, width)

    def forward(self, s: Tensor) -> Tensor:
        """(B, K) -> (B, K, W)."""
        return self.out(F.silu(self.hidden(sinusoidal_embedding(s, 64))))


class Modulation(nn.Module):
    """Noise levels of a stream and of the other one -> shifts, scales and gates, computed once per level.

    All start at zero (adaLN-zero, 2212.09748) and are shared by all blocks (adaLN-single, 2310.00426). The
    contribution of the other stream's level starts at zero too, so that a stream can be added to a trained
    one. Computed in float32, also under autocast.
    """

    def __init__(self, width: int, cross_modal: bool) -> None:
        super().__init__()
        self.level = LevelEmbedding(width)
        self.other_level = LevelEmbedding(width) if cross_modal else None
        self.other_absent = nn.Parameter(torch.zeros(width)) if cross_modal else None
        self.out = zero_init(nn.Linear(width, 8 * width))
        if self.other_level is not None:
            zero_init(self.other_level.out)

    def forward(self, s: Tensor, other: Tensor | None) -> tuple[Tensor, Tensor]:
        """Levels of this and of the other stream (B, K) -> the modulation of this stream.

        Returns that of blocks (B, K, 6, W) and of the output (B, K, 2, W). `other` is None where the other
        modality is absent.
        """
        with torch.autocast(s.device.type, enabled=False):
            level = self.level(s)  # (B, K, W)
            if self.other_level is not None:
                level = level + (self.other_absent if other is None else self.other_level(other))  # (B, K, W)
            out = self.out(F.silu(level)).unflatten(-1, (8, -1))  # (B, K, 8, W)
        return out[:, :, :6], out[:, :, 6:]


LOG_VARIANCE_RATE = 8  # unit in which channels' log variances are learned: they end up far from 0
MAX_LOG_VARIANCE = 4.0  # the most by which a token's log variance may differ from its channel's


class OutputHead(nn.Module):
    """A stream's hidden state -> the velocity of its tokens, preconditioned by a Wiener filter.

    The filter estimates the velocity from the noisy token alone (`wiener`), for channels of learned variance
    times a variance predicted per token: after frame 0 most tokens hardly change, and a few hold all motion.
    The layer's output times the filter's standard error is subtracted from that estimate: the skip and output
    scales of EDM (2206.00364, section 5), token by token. So at high noise the layer predicts the clean token
    (2511.13720).
    """

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.out = zero_init(nn.Linear(width, channels))
        self.log_variance = zero_init(nn.Linear(width, channels))  # of each token
        self.channel_log_variance = nn.Parameter(torch.zeros(channels))  # in units of LOG_VARIANCE_RATE

    def forward(self, h: Tensor, x: Tensor, s: Tensor) -> Tensor:
        """Hidden state (B, L, W), noisy tokens (B, L, D), levels (B, L, 1) -> velocity (B, L, D)."""
        of_token = MAX_LOG_VARIANCE * (self.log_variance(h).to(x) / MAX_LOG_VARIANCE).tanh()  # (B, L, D)
        factor, error = wiener(s, (LOG_VARIANCE_RATE * self.channel_log_variance + of_token).exp())
        return factor * x - error * self.out(h)


class VideoInput(nn.Module):
    """Input projection of video tokens, with separate weights for frame 0, which is encoded as an image."""

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.first_frame, self.later_frames = nn.Linear(channels, width), nn.Linear(channels, width)

    def forward(self, x: Tensor, first: int) -> Tensor:
        """Noisy tokens (B, L, Dv), of which `first` tokens at the beginning are frame 0's -> (B, L, W)."""
        return torch.cat([self.first_frame(x[:, :first]), self.later_frames(x[:, first:])], dim=1)


class VideoOutput(nn.Module):
    """Output heads of the video stream: one for frame 0, one for the frames after it."""

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.first_frame, self.later_frames = OutputHead(width, channels), OutputHead(width, channels)

    def forward(self, h: Tensor, x: Tensor, s: Tensor, first: int) -> Tensor:
        """Hidden state (B, L, W), noisy tokens (B, L, Dv), levels (B, L, 1) -> velocity (B, L, Dv).

        `first`: number of tokens of frame 0.
        """
        v_first = self.first_frame(h[:, :first], x[:, :first], s[:, :first])
        return torch.cat([v_first, self.later_frames(h[:, first:], x[:, first:], s[:, first:])], dim=1)


@configured
class JointDiT(nn.Module):
    """A diffusion transformer with a video and an audio stream on one time axis.

    Args:
        video_channels: Dv of the video codec.
        audio_channels: Da of the audio codec.
        width: W of both streams.
        blocks: number of blocks.
        heads: number of attention heads; width / heads must be a multiple of 8.
        mlp_ratio: hidden width of an MLP over `width`.
        coupling: how the streams are coupled.
        text: the text encoder; by default one that is trained jointly.
        video_shift: timestep shift of the video (`diffusion.levels`); above 1, more steps at high noise.
        audio_shift: timestep shift of the audio.

    Raises:
        InputError: a width that can't be divided into such heads.
    """

    def __init__(
        self,
        video_channels: int = 16,
        audio_channels: int = 16,
        width: int = 160,
        blocks: int = 6,
        heads: int = 5,
        mlp_ratio: float = 3.0,
        coupling: type[Coupling] = JointCoupling,
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
        self.video_input = VideoInput(width, video_channels)
        self.audio_input = nn.Linear(audio_channels, width)
        self.video_pos_embed = nn.Linear(self.head_width, width)
        self.audio_pos_embed = nn.Linear(self.head_width, width)
        self.video_modulation = Modulation(width, coupling.cross_modal)
        self.audio_modulation = Modulation(width, coupling.cross_modal)
        self.blocks: Any = nn.ModuleList(
            Block(coupling, width, heads, self.text.width, mlp_ratio) for _ in range(blocks)
        )
        self.video_output = VideoOutput(width, video_channels)
        self.audio_output = OutputHead(width, audio_channels)

    def context(
        self, captions: Sequence[str] | Tensor, spec: LatentSpec, uncond: Tensor | None = None
    ) -> Context:
        """Text and positions of B clips of `spec`, computed once per clip; "" is no caption.

        Captions may also be token ids, as from `text.tokenize`. Rows where `uncond` (B,) bool is True have no
        caption.
        """
        text, present = self.text(captions)  # (B, S, E), (B, S)
        if uncond is not None:
            none = captions.new_zeros(1, *captions.shape[1:]) if isinstance(captions, Tensor) else [""]
            empty, empty_present = self.text(none)  # (1, S, E), (1, S)
            text = torch.where(uncond[:, None, None], empty, text)
            present = torch.where(uncond[:, None], empty_present, present)
        rotary, seconds = cached_positions(spec, self.head_width, text.device)
        return Context(
            text=tuple(block.encode_text(text) for block in self.blocks),
            text_mask=present[:, None, None],
            rotary=rotary,
            pos_embed=Pair(
                self.video_pos_embed(torch.cat(rotary.video, dim=-1)),  # (Lv, W)
                self.audio_pos_embed(torch.cat(rotary.audio, dim=-1)),  # (La, W)
            ),
            seconds=seconds,
            first_frame_tokens=math.prod(spec.video[1:]),
        )

    def forward(self, x: Pair[Tensor], s: Pair[Tensor], context: Context) -> Pair[Tensor]:
        """The velocity of every token; that of a given token (a condition, at level 0) has no meaning.

        Shapes: x video (B, Lv, Dv), audio (B, La, Da), one may be None; s (B, Kv), (B, Ka) the level of each
        run of L / K tokens. Returns the shapes of x.
        """
        video, audio = self.embed(x, context)  # (B, Lv, W), (B, La, W)
        modulation, final = self.modulation(s, context)  # (B, K, 6, W), (B, K, 2, W)
        for block, text in zip(self.blocks, context.text, strict=True):
            video, audio = block(video, audio, modulation, context.rotary, text, context.text_mask)
        v: Pair[Any] = Pair()
        if video is not None:
            video = modulate(video, *final.video.unbind(2))  # (B, Lv, W)
            level = repeat_levels(s.video, video.shape[1])[..., None]  # (B, Lv, 1)
            v = v._replace(video=self.video_output(video, x.video, level, context.first_frame_tokens))
        if audio is not None:
            audio = modulate(audio, *final.audio.unbind(2))  # (B, La, W)
            level = repeat_levels(s.audio, audio.shape[1])[..., None]  # (B, La, 1)
            v = v._replace(audio=self.audio_output(audio, x.audio, level))
        return v  # (B, Lv, Dv), (B, La, Da)

    def embed(self, x: Pair[Tensor], context: Context) -> tuple[Tensor | None, Tensor | None]:
        """Tokens (B, L, D) -> streams (B, L, W), in the tokens' dtype also under autocast."""
        video = audio = None
        if x.video is not None:
            video = self.video_input(x.video, context.first_frame_tokens) + context.pos_embed.video
            video = video.to(x.video)  # (B, Lv, W)
        if x.audio is not None:
            audio = self.audio_input(x.audio) + context.pos_embed.audio
            audio = audio.to(x.audio)  # (B, La, W)
        return video, audio

    def modulation(self, s: Pair[Tensor], context: Context) -> tuple[Pair[Tensor], Pair[Tensor]]:
        """Levels (B, K) -> modulation of blocks (B, K, 6, W) and of outputs (B, K, 2, W)."""
        if s.video is None:
            audio, audio_final = self.audio_modulation(s.audio, None)
            return Pair(None, audio), Pair(None, audio_final)
        if s.audio is None:
            video, video_final = self.video_modulation(s.video, None)
            return Pair(video, None), Pair(video_final, None)
        other = level_of_other(s, context.seconds)  # (B, Kv), (B, Ka)
        video, video_final = self.video_modulation(s.video, other.video)
        audio, audio_final = self.audio_modulation(s.audio, other.audio)
        return Pair(video, audio), Pair(video_final, audio_final)

    def compile(self, *args: Any, **options: Any) -> None:
        """Have torch compile block by block: all blocks are alike, so one compilation serves them all."""
        for block in self.blocks:
            block.compile(*args, **options)

    def hidden_matrices(self) -> Iterator[nn.Parameter]:
        """The blocks' matrices, trained by Muon; AdamW trains embeddings, outputs, modulation and text."""
        # `scale_shift_table`, (6, W), is no matrix of a layer.
        return (weight for weight in self.blocks.parameters() if weight.ndim == 2 and min(weight.shape) > 6)


@lru_cache(maxsize=32)
def cached_positions(
    spec: LatentSpec, head_width: int, device: torch.device
) -> tuple[Pair[Rotary], Pair[Tensor]]:
    """Rotary cosines and sines (L, head width / 2), and seconds (L,), of all tokens."""
    with torch.inference_mode(False):  # training may use what inference cached
        video, audio = positions(spec)
        both = Pair(rotary(video, head_width, device), rotary(audio, head_width, device))
        return both, Pair(video.seconds.to(device), audio.seconds.to(device))


def level_of_other(s: Pair[Tensor], seconds: Pair[Tensor]) -> Pair[Tensor]:
    """The other stream's level nearest in time: (B, Kv) levels of the audio, (B, Ka) of the video."""
    runs = seconds.each(lambda at, s: at.unflatten(0, (s.shape[1], -1)), s)  # (K, L / K), in order of time
    centers = runs.each(lambda at: (at[:, 0] + at[:, -1]) / 2)  # (K,)
    distance = (centers.video[:, None] - centers.audio[None, :]).abs()  # (Kv, Ka)
    return Pair(s.audio[:, distance.argmin(1)], s.video[:, distance.argmin(0)])
