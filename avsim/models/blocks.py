"""One block of the transformer: attention, coupling, text and MLP, modulated by the noise level."""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from avsim.models.attention import QKV, HeadNorm, TextCrossAttention, TextKV, attend
from avsim.models.couplings import Coupling
from avsim.models.pair import Pair
from avsim.models.rope import Rotary, rotate

ModulationParts = tuple[Tensor, ...]
"""Shift, scale and gate of attention, then of the MLP: six (B, K, W), a row per run of L / K tokens."""


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """LayerNorm(x) (1 + scale) + shift; x (B, L, W), shift and scale (B, K, W), for runs of L / K tokens."""
    runs = F.layer_norm(x, x.shape[-1:]).unflatten(1, (shift.shape[1], -1))  # (B, K, L / K, W)
    return (runs * (1 + scale[:, :, None]) + shift[:, :, None]).flatten(1, 2)


def gated(x: Tensor, update: Tensor, gate: Tensor) -> Tensor:
    """The residual step x + gate * update; x and update (B, L, W), gate (B, K, W)."""
    return x + (update.unflatten(1, (gate.shape[1], -1)) * gate[:, :, None]).flatten(1, 2)


class StreamBlock(nn.Module):
    """The layers of one stream in a block, or of both streams if these share weights.

    Args:
        width: W of the stream.
        heads: number of attention heads, which must divide the width.
        text_width: E of the text tokens.
        mlp_ratio: hidden width of the MLP over `width`.
    """

    def __init__(self, width: int, heads: int, text_width: int, mlp_ratio: float) -> None:
        super().__init__()
        hidden = int(mlp_ratio * width)
        self.heads = heads
        self.scale_shift_table = nn.Parameter(torch.zeros(6, width))  # added to the shared modulation
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.q_norm, self.k_norm = HeadNorm(width // heads), HeadNorm(width // heads)
        self.out = nn.Linear(width, width)
        self.text = TextCrossAttention(width, heads, text_width)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU("tanh"), nn.Linear(hidden, width))

    def modulation(self, shared: Tensor) -> ModulationParts:
        """The modulation shared by all blocks (B, K, 6, W) -> this block's."""
        return (shared + self.scale_shift_table.type_as(shared)).unbind(2)

    def project(self, x: Tensor, m: ModulationParts, rotary: Rotary) -> QKV:
        """Project x (B, L, W) to queries, keys and values, normalised and rotated."""
        q, k, v = rearrange(self.qkv(modulate(x, m[0], m[1])), "b l (n h d) -> n b h l d", n=3, h=self.heads)
        return QKV(rotate(self.q_norm(q), rotary), rotate(self.k_norm(k), rotary), v)

    def add_attention(self, x: Tensor, attended: Tensor, m: ModulationParts) -> Tensor:
        """Add the output of attention to x; both and the result (B, L, W)."""
        return gated(x, self.out(attended), m[2])

    def add_text_and_mlp(self, x: Tensor, m: ModulationParts, text: TextKV, mask: Tensor) -> Tensor:
        """Add text cross-attention and the MLP to x, (B, L, W) -> (B, L, W)."""
        x = x + self.text(x, text, mask)  # (B, L, W)
        return gated(x, self.mlp(modulate(x, m[3], m[4])), m[5])

    def forward(self, x: Tensor, shared: Tensor, rotary: Rotary, text: TextKV, mask: Tensor) -> Tensor:
        """The stream alone, (B, L, W) -> (B, L, W): self-attention, text and MLP."""
        m = self.modulation(shared)  # 6 x (B, K, W)
        x = self.add_attention(x, attend(*self.project(x, m, rotary)), m)  # (B, L, W)
        return self.add_text_and_mlp(x, m, text, mask)


class Block(nn.Module):
    """Attention, coupling, text and MLP of both streams.

    Args:
        coupling: how the streams are coupled.
        width: W of both streams.
        heads: number of attention heads, which must divide the width.
        text_width: E of the text tokens.
        mlp_ratio: hidden width of the MLP over `width`.
    """

    def __init__(
        self, coupling: type[Coupling], width: int, heads: int, text_width: int, mlp_ratio: float
    ) -> None:
        super().__init__()
        names = ["both"] if coupling.shared_weights else ["video", "audio"]
        self.streams = nn.ModuleDict(
            {name: StreamBlock(width, heads, text_width, mlp_ratio) for name in names}
        )
        self.coupling = coupling(width, heads)

    @property
    def video(self) -> StreamBlock:
        """The layers of the video stream."""
        return self.streams["both" if "both" in self.streams else "video"]  # type: ignore[return-value]

    @property
    def audio(self) -> StreamBlock:
        """The layers of the audio stream; with shared weights, the same as the video stream's."""
        return self.streams["both" if "both" in self.streams else "audio"]  # type: ignore[return-value]

    def encode_text(self, text: Tensor) -> Pair[TextKV]:
        """Text tokens (B, S, E) -> keys and values of both streams, reused in all sampling steps."""
        return Pair(self.video.text.encode(text), self.audio.text.encode(text))

    def forward(
        self,
        video: Tensor | None,  # (B, Lv, W)
        audio: Tensor | None,  # (B, La, W)
        modulation: Pair[Tensor],  # (B, K, 6, W), one row per distinct level
        rotary: Pair[Rotary],
        text: Pair[TextKV],
        mask: Tensor,  # (B, 1, 1, S)
    ) -> tuple[Tensor | None, Tensor | None]:
        """Update both streams; shapes stay. If one is absent, the other attends to itself alone."""
        if video is None or audio is None:
            if video is not None:
                video = self.video(video, modulation.video, rotary.video, text.video, mask)
            if audio is not None:
                audio = self.audio(audio, modulation.audio, rotary.audio, text.audio, mask)
            return video, audio
        video_m = self.video.modulation(modulation.video)  # 6 x (B, Kv, W)
        audio_m = self.audio.modulation(modulation.audio)  # 6 x (B, Ka, W)
        from_video, from_audio = self.coupling.attention(
            self.video.project(video, video_m, rotary.video), self.audio.project(audio, audio_m, rotary.audio)
        )
        video = self.video.add_attention(video, from_video, video_m)  # (B, Lv, W)
        audio = self.audio.add_attention(audio, from_audio, audio_m)  # (B, La, W)
        video, audio = self.coupling.exchange(video, audio, rotary)  # (B, Lv, W), (B, La, W)
        video = self.video.add_text_and_mlp(video, video_m, text.video, mask)  # (B, Lv, W)
        audio = self.audio.add_text_and_mlp(audio, audio_m, text.audio, mask)  # (B, La, W)
        return video, audio

    def audio_queries_video_keys(
        self, video: Tensor, audio: Tensor, modulation: Pair[Tensor], rotary: Pair[Rotary]
    ) -> tuple[Tensor, Tensor] | None:
        """Queries and keys of the attention from audio to video (`Coupling.audio_queries_video_keys`)."""
        video_m, audio_m = self.video.modulation(modulation.video), self.audio.modulation(modulation.audio)
        video_qkv = self.video.project(video, video_m, rotary.video)
        audio_qkv = self.audio.project(audio, audio_m, rotary.audio)
        from_video, from_audio = self.coupling.attention(video_qkv, audio_qkv)
        video = self.video.add_attention(video, from_video, video_m)  # (B, Lv, W)
        audio = self.audio.add_attention(audio, from_audio, audio_m)  # (B, La, W)
        return self.coupling.audio_queries_video_keys(video_qkv, audio_qkv, video, audio, rotary)
