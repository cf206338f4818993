"""Multi-head attention: queries, keys and values, QK-norm, self- and cross-attention."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from avsim.models.rope import Rotary, rotate


class QKV(NamedTuple):
    """Queries, keys and values of one stream, (B, heads, L, head width) each; normalised and rotated."""

    q: Tensor
    k: Tensor
    v: Tensor


class HeadNorm(nn.Module):
    """RMS norm of every head's query or key, with one learned weight (QK-norm, 2302.05442)."""

    def __init__(self, head_width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(head_width))

    def forward(self, x: Tensor) -> Tensor:
        """(..., head width) -> the same."""
        return F.rms_norm(x, x.shape[-1:], self.weight.type_as(x))


def zero_init(linear: nn.Linear) -> nn.Linear:
    """The layer with zero weights and bias: it adds nothing until it is trained."""
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear


MAX_SCORES = 1 << 26  # attention scores in memory at a time; beyond it the fused kernel is used


def fused_attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Softmax attention by torch's fused kernels, (B, heads, L, head width) -> (B, L, heads x head width).

    No (Lq, Lk) tensor is stored, not even in training.
    """
    return rearrange(F.scaled_dot_product_attention(q, k, v.to(q.dtype), mask), "b h l d -> b l (h d)")


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Softmax attention, (B, heads, L, head width) -> (B, L, heads x head width); `mask` as in torch.

    For training on a CPU the softmax is written out: in bfloat16, torch's fused kernel takes 2 to 5 times as
    long for a few hundred keys, and the same time for 640 (`experiments/benchmarks/attention.py`).
    """
    scores_held = q.shape[:-1].numel() * k.shape[-2]
    if q.device.type != "cpu" or not torch.is_grad_enabled() or scores_held > MAX_SCORES:
        return fused_attend(q, k, v, mask)
    scores = (q * q.shape[-1] ** -0.5) @ k.mT  # (B, heads, Lq, Lk)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
    return rearrange(scores.softmax(-1).type_as(v) @ v, "b h l d -> b l (h d)")


class TextKV(NamedTuple):
    """A block's keys and values of the text, (B, heads, S, head width); computed once per clip."""

    k: Tensor
    v: Tensor


class TextCrossAttention(nn.Module):
    """Cross-attention from a stream to the text; its output starts at zero."""

    def __init__(self, width: int, heads: int, text_width: int) -> None:
        super().__init__()
        self.width, self.heads = width, heads
        self.q = nn.Linear(width, width, bias=False)
        self.kv = nn.Linear(text_width, 2 * width, bias=False)
        self.q_norm, self.k_norm = HeadNorm(width // heads), HeadNorm(width // heads)
        self.out = zero_init(nn.Linear(width, width))

    def encode(self, text: Tensor) -> TextKV:
        """Text tokens (B, S, E) -> keys and values."""
        k, v = rearrange(self.kv(text), "b s (n h d) -> n b h s d", n=2, h=self.heads)
        return TextKV(self.k_norm(k), v)

    def forward(self, x: Tensor, text: TextKV, mask: Tensor) -> Tensor:
        """The residual update of x (B, L, W), same shape; mask (B, 1, 1, S): present text tokens."""
        q = rearrange(self.q(F.layer_norm(x, (self.width,))), "b l (h d) -> b h l d", h=self.heads)
        return self.out(attend(self.q_norm(q), text.k, text.v, mask))


class CrossAttention(nn.Module):
    """Cross-attention from one stream to another; its output starts at zero.

    Args:
        width: W of the stream.
        heads: number of attention heads.
        other_width: V, the width of the other stream; None: as `width`.
        attention_width: of all heads together; None: as `width`.
    """

    def __init__(
        self, width: int, heads: int, other_width: int | None = None, attention_width: int | None = None
    ) -> None:
        super().__init__()
        inner = width if attention_width is None else attention_width
        self.heads = heads
        self.q = nn.Linear(width, inner, bias=False)
        self.kv = nn.Linear(width if other_width is None else other_width, 2 * inner, bias=False)
        self.q_norm, self.k_norm = HeadNorm(inner // heads), HeadNorm(inner // heads)
        self.out = zero_init(nn.Linear(inner, width))

    def qkv(self, x: Tensor, other: Tensor, rotary: Rotary, other_rotary: Rotary) -> QKV:
        """Queries of the normalised x (B, L, W), keys and values of the normalised other (B, M, V)."""
        q = rearrange(self.q(x), "b l (h d) -> b h l d", h=self.heads)
        k, v = rearrange(self.kv(other), "b l (n h d) -> n b h l d", n=2, h=self.heads)
        return QKV(rotate(self.q_norm(q), rotary), rotate(self.k_norm(k), other_rotary), v)

    def forward(self, x: Tensor, other: Tensor, rotary: Rotary, other_rotary: Rotary) -> Tensor:
        """The residual update of x, (B, L, W); x and `other` are already layer-normalised."""
        return self.out(attend(*self.qkv(x, other, rotary, other_rotary)))
