"""How a video backbone and an audio tower exchange information: zero-initialised cross-attention."""

from functools import lru_cache

import torch
import torch.nn.functional as F
from einops import repeat
from torch import Tensor, nn

from avsim.clip import LatentSpec
from avsim.models.attention import CrossAttention, fused_attend
from avsim.models.backbone import Patch, token_grid
from avsim.models.rope import Rotary, rotary
from avsim.models.tokens import Positions, patch_seconds


class SDPACrossAttention(CrossAttention):
    """`CrossAttention` that always uses torch's fused kernels, even in training on a CPU.

    The streams of pretrained models are so long that their attention scores would not fit in memory.
    """

    def forward(self, x: Tensor, other: Tensor, rotary: Rotary, other_rotary: Rotary) -> Tensor:
        """The residual update of x, (B, L, W); x and `other` are already layer-normalised."""
        return self.out(fused_attend(*self.qkv(x, other, rotary, other_rotary)))


class CrossAttentionFusion(nn.Module):
    """Audio attends to video, and video to audio, with RoPE in seconds; each result is added to its stream.

    Args:
        video_width: of the backbone's hidden tokens.
        audio_width: of the tower's, and of the attention.
        head_width: of the attention, a multiple of 8.
        to_video: whether video attends to audio; False keeps the video model's output unchanged.
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
        heads = audio_width // head_width
        self.to_video = SDPACrossAttention(video_width, heads, audio_width, audio_width) if to_video else None
        self.to_audio = SDPACrossAttention(audio_width, heads, video_width) if to_audio else None

    def forward(
        self, video: Tensor, audio: Tensor, video_rotary: Rotary, audio_rotary: Rotary
    ) -> tuple[Tensor, Tensor]:
        """Hidden video (B, Lv, Wv) and audio (B, La, Wa) -> the same, after an exchange."""
        v, a = F.layer_norm(video, video.shape[-1:]), F.layer_norm(audio, audio.shape[-1:])
        dtype = next(self.parameters()).dtype if self.to_video or self.to_audio else v.dtype
        v, a = v.to(dtype), a.to(dtype)
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
        unit = (spec.clip.height * spec.clip.width) ** 0.5
        rows = ((torch.arange(h) + 0.5) * spec.space_stride * patch[1] - spec.clip.height / 2) / unit
        columns = ((torch.arange(w) + 0.5) * spec.space_stride * patch[2] - spec.clip.width / 2) / unit
        at = Positions(
            repeat(patch_seconds(spec.video_spans(), patch[0]), "t -> (t h w)", h=h, w=w),
            repeat(rows, "h -> (t h w)", t=t, w=w),
            repeat(columns, "w -> (t h w)", t=t, h=h),
        )
        return rotary(at, head_width, device)
