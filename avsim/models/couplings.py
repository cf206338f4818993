"""How the video and the audio stream are coupled in a block. Couplings are modules, compared at equal cost.

| coupling         | the two streams                                                                     |
|------------------|-------------------------------------------------------------------------------------|
| `NoCoupling`     | exchange nothing: a video and an audio model side by side, as a baseline            |
| `CrossCoupling`  | attend to themselves, then to each other; starts at zero output, so that it can be  |
|                  | added to a trained video model                                                      |
| `JointCoupling`  | share one softmax over all tokens, with weights of their own (MM-DiT, 2403.03206)   |
| `SingleCoupling` | share one softmax and all weights of the block (single-stream)                      |

Where one modality is absent no coupling applies: the other stream attends to itself.
"""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avsim.models.attention import QKV, CrossAttention, attend
from avsim.models.pair import Pair
from avsim.models.rope import Rotary


class Coupling(nn.Module):
    """The exchange between the two streams of a block: joint attention, cross-attention, or neither.

    Args of every coupling: width of the streams, number of heads.
    """

    shared_weights: ClassVar[bool] = False  # both streams use one set of the block's weights
    cross_modal: ClassVar[bool] = True  # each stream depends on the other one and on its noise level

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()

    def attention(self, video: QKV, audio: QKV) -> tuple[Tensor, Tensor]:
        """Attention output of both streams, (B, Lv, W) and (B, La, W): here, self-attention."""
        return attend(*video), attend(*audio)

    def exchange(self, video: Tensor, audio: Tensor, rotary: Pair[Rotary]) -> tuple[Tensor, Tensor]:
        """Both streams after attention, (B, Lv, W) and (B, La, W) -> the same: here, unchanged."""
        return video, audio

    def audio_queries_video_keys(
        self, video_qkv: QKV, audio_qkv: QKV, video: Tensor, audio: Tensor, rotary: Pair[Rotary]
    ) -> tuple[Tensor, Tensor] | None:
        """The audio's queries and the video's keys, (B, heads, L, head width): for statistics of attention.

        None without cross-modal attention.
        """
        return None


class NoCoupling(Coupling):
    """No exchange between the streams."""

    cross_modal = False


class JointCoupling(Coupling):
    """One attention over the tokens of both streams."""

    def attention(self, video: QKV, audio: QKV) -> tuple[Tensor, Tensor]:
        """Attention output of both streams, each token attending to both."""
        q, k, v = (torch.cat(both, dim=2) for both in zip(video, audio, strict=True))  # (B, heads, L, d)
        from_video, from_audio = attend(q, k, v).split([video.q.shape[2], audio.q.shape[2]], dim=1)
        return from_video, from_audio

    def audio_queries_video_keys(
        self, video_qkv: QKV, audio_qkv: QKV, video: Tensor, audio: Tensor, rotary: Pair[Rotary]
    ) -> tuple[Tensor, Tensor]:
        """As `Coupling.audio_queries_video_keys`, from the joint attention."""
        return audio_qkv.q, video_qkv.k


class SingleCoupling(JointCoupling):
    """One attention over the tokens of both streams, and one set of weights for both."""

    shared_weights = True


class CrossCoupling(Coupling):
    """Cross-attention in both directions after self-attention, with rotary positions in seconds."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__(width, heads)
        self.width = width
        self.to_video, self.to_audio = CrossAttention(width, heads), CrossAttention(width, heads)

    def exchange(self, video: Tensor, audio: Tensor, rotary: Pair[Rotary]) -> tuple[Tensor, Tensor]:
        """Add to each stream what its cross-attention gathers from the other."""
        v, a = self._norm(video), self._norm(audio)  # (B, Lv, W), (B, La, W)
        video = video + self.to_video(v, a, rotary.video, rotary.audio)  # (B, Lv, W)
        audio = audio + self.to_audio(a, v, rotary.audio, rotary.video)  # (B, La, W)
        return video, audio

    def audio_queries_video_keys(
        self, video_qkv: QKV, audio_qkv: QKV, video: Tensor, audio: Tensor, rotary: Pair[Rotary]
    ) -> tuple[Tensor, Tensor]:
        """As `Coupling.audio_queries_video_keys`, from the audio's cross-attention."""
        a, v = self._norm(audio), self._norm(video)
        qkv = self.to_audio.qkv(a, v, rotary.audio, rotary.video)
        return qkv.q, qkv.k

    def _norm(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, (self.width,))
