"""How a video backbone and an audio tower exchange information: cross-attention, of zero output at first."""

from functools import lru_cache

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor, nn

from avsim.clip import LatentSpec
from avsim.models.attention import HeadNorm
from avsim.models.audio_tower import attention, split_heads
from avsim.models.backbone import Patch, token_grid
from avsim.models.rope import Rotary, rotary, rotate
from avsim.models.tokens import Positions


class CrossAttention(nn.Module):
    """Cross-attention from one stream to another of another width; its output starts at zero."""

    def __init__(self, width: int, other_width: int, attention_width: int, head_width: int) -> None:
        super().__init__()
        self.head_width = head_width
        self.q = nn.Linear(width, attention_width, bias=False)
        self.kv = nn.Linear(other_width, 2 * attention_width, bias=False)
        self.q_norm, self.k_norm = HeadNorm(head_width), HeadNorm(head_width)
        self.out = nn.Linear(attention_width, width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, other: Tensor, x_rotary: Rotary, other_rotary: Rotary) -> Tensor:
        """Normalised x (B, L, W) and other (B, M, V) -> what x takes from it, (B, L, W)."""
        dtype = self.out.weight.dtype
        q = split_heads(self.q(x.to(dtype)), self.head_width)  # (B, heads, L, head width)
        k, v = rearrange(self.kv(other.to(dtype)), "b m (n h d) -> n b h m d", n=2, d=self.head_width)
        return self.out(attention(rotate(self.q_norm(q), x_rotary), rotate(self.k_norm(k), other_rotary), v))


class CrossAttentionFusion(nn.Module):
    """Audio attends to video, and video to audio, with RoPE in seconds; each result is added to its stream.

    Args:
        video_width: of the backbone's hidden tokens.
        audio_width: of the tower's, and of the attention.
        head_width: of the attention, a multiple of 8.
        to_video: whether video attends to audio. False keeps the video model's output unchanged.
        to_audio: whether audio attends to video.
    """

    def __init__(
        self,
        video_width: int,
        audio_width: int,
        head_width: int = 64,
        to_video: bool = True,
        to_audio: bool = True,
    ) -> None:
        super().__init__()
        inner = audio_width, head_width
        self.to_video = CrossAttention(video_width, audio_width, *inner) if to_video else None
        self.to_audio = CrossAttention(audio_width, video_width, *inner) if to_audio else None

    def forward(
        self, video: Tensor, audio: Tensor, video_rotary: Rotary, audio_rotary: Rotary
    ) -> tuple[Tensor, Tensor]:
        """Hidden video (B, Lv, Wv) and audio (B, La, Wa) -> the same, after an exchange."""
        v, a = F.layer_norm(video, video.shape[-1:]), F.layer_norm(audio, audio.shape[-1:])
        if self.to_audio is not None:
            audio = audio + self.to_audio(a, v, audio_rotary, video_rotary).to(audio.dtype)  # (B, La, Wa)
        if self.to_video is not None:
            video = video + self.to_video(v, a, video_rotary, audio_rotary).to(video.dtype)  # (B, Lv, Wv)
        return video, audio


@lru_cache(maxsize=32)
def video_rotary(spec: LatentSpec, patch: Patch, head_width: int, device: torch.device) -> Rotary:
    """RoPE cosines and sines of each video token, by the seconds, row and column of its centre.

    Row and column are measured from the middle of the image in units of sqrt(height x width).
    """
    with torch.inference_mode(False):  # training may use what inference cached
        t, h, w = token_grid(spec.video, patch)
        spans = spec.video_spans()
        starts, ends = spans[:: patch[0], 0], spans[patch[0] - 1 :: patch[0], 1]
        ends = torch.cat([ends, spans[-1:, 1]])[:t]
        unit = (spec.clip.height * spec.clip.width) ** 0.5
        rows = ((torch.arange(h) + 0.5) * spec.space_stride * patch[1] - spec.clip.height / 2) / unit
        columns = ((torch.arange(w) + 0.5) * spec.space_stride * patch[2] - spec.clip.width / 2) / unit
        at = Positions(
            repeat(((starts + ends) / 2).float(), "t -> (t h w)", h=h, w=w),
            repeat(rows, "h -> (t h w)", t=t, w=w),
            repeat(columns, "w -> (t h w)", t=t, h=h),
        )
        return rotary(at, head_width, device)
