"""One block of the transformer: attention, coupling, text and MLP, modulated by the noise level."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from avsim.models.couplings import Coupling, HeadNorm, Heads, attend, start_at_zero
from avsim.models.pair import Pair
from avsim.models.rope import Rotary, rotate


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """LayerNorm(x) (1 + scale) + shift; x (B, L, W), shift and scale (B, K, W), each for L / K tokens."""
    runs = F.layer_norm(x, x.shape[-1:]).unflatten(1, (shift.shape[1], -1))  # (B, K, L / K, W)
    return (runs * (1 + scale[:, :, None]) + shift[:, :, None]).flatten(1, 2)


def gated(x: Tensor, update: Tensor, gate: Tensor) -> Tensor:
    """The residual step x + gate update; x and update (B, L, W), gate (B, K, W)."""
    return x + (update.unflatten(1, (gate.shape[1], -1)) * gate[:, :, None]).flatten(1, 2)


class Words(NamedTuple):
    """A block's keys and values of the text, (B, heads, S, head width); computed once per clip."""

    k: Tensor
    v: Tensor


class Prompt(nn.Module):
    """Cross-attention to the text; its output starts at zero."""

    def __init__(self, width: int, heads: int, text_width: int) -> None:
        super().__init__()
        self.width, self.heads = width, heads
        self.q = nn.Linear(width, width, bias=False)
        self.kv = nn.Linear(text_width, 2 * width, bias=False)
        self.q_norm, self.k_norm = HeadNorm(width // heads), HeadNorm(width // heads)
        self.out = start_at_zero(nn.Linear(width, width))

    def read(self, text: Tensor) -> Words:
        """Text (B, S, E) -> its keys and values."""
        k, v = rearrange(self.kv(text), "b s (n h d) -> n b h s d", n=2, h=self.heads)
        return Words(self.k_norm(k), v)

    def forward(self, x: Tensor, words: Words, mask: Tensor) -> Tensor:
        """What x (B, L, W) finds in the words that `mask` (B, 1, 1, S) lets it see: (B, L, W)."""
        q = rearrange(self.q(F.layer_norm(x, (self.width,))), "b l (h d) -> b h l d", h=self.heads)
        return self.out(attend(self.q_norm(q), *words, mask))


class Layer(nn.Module):
    """The weights that one stream (or, with shared weights, both) owns in a block."""

    def __init__(self, width: int, heads: int, text_width: int, mlp_ratio: float) -> None:
        super().__init__()
        hidden = int(mlp_ratio * width)
        self.heads = heads
        self.offset = nn.Parameter(torch.zeros(6, width))  # to the modulation that all blocks share
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.q_norm, self.k_norm = HeadNorm(width // heads), HeadNorm(width // heads)
        self.out = nn.Linear(width, width)
        self.prompt = Prompt(width, heads, text_width)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU("tanh"), nn.Linear(hidden, width))

    def modulation(self, shared: Tensor) -> tuple[Tensor, ...]:
        """Shared modulation (B, K, 6, W) -> shift, scale, gate of attention, then of the MLP, (B, K, W)."""
        return (shared + self.offset.type_as(shared)).unbind(2)

    def prepare(self, x: Tensor, rotary: Rotary) -> Heads:
        """Modulated x (B, L, W) -> normalised, rotated heads."""
        q, k, v = rearrange(self.qkv(x), "b l (n h d) -> n b h l d", n=3, h=self.heads)
        return Heads(rotate(self.q_norm(q), rotary), rotate(self.k_norm(k), rotary), v)


class Block(nn.Module):
    """Attention, coupling, text and MLP of both streams.

    Args:
        coupling: how the streams meet.
        width: of both streams.
        heads: that share the width.
        text_width: of the text's tokens.
        mlp_ratio: the MLP's hidden width over `width`.
    """

    def __init__(
        self, coupling: type[Coupling], width: int, heads: int, text_width: int, mlp_ratio: float
    ) -> None:
        super().__init__()
        streams = 1 if coupling.shared else 2
        self.layers = nn.ModuleList(Layer(width, heads, text_width, mlp_ratio) for _ in range(streams))
        self.coupling = coupling(width, heads)

    @property
    def weights(self) -> Pair[Layer]:
        """The layer of each stream; one and the same where they share."""
        return Pair(self.layers[0], self.layers[-1])  # type: ignore[arg-type]

    def read(self, text: Tensor) -> Pair[Words]:
        """What this block keeps of the text (B, S, E) for all steps of a clip."""
        return self.weights.each(lambda layer: layer.prompt.read(text))

    def prepare(
        self, x: Pair[Tensor], modulation: Pair[Tensor], rotary: Pair[Rotary]
    ) -> tuple[Pair[tuple[Tensor, ...]], Pair[Heads]]:
        """The block's own modulation and its heads, before any token has looked at another."""
        own = modulation.each(lambda shared, layer: layer.modulation(shared), self.weights)
        heads = x.each(
            lambda x, m, layer, turn: layer.prepare(modulate(x, m[0], m[1]), turn), own, self.weights, rotary
        )
        return own, heads

    def gather(
        self, x: Pair[Tensor], own: Pair[tuple[Tensor, ...]], heads: Pair[Heads], barrier: Tensor | None
    ) -> Pair[Tensor]:
        """The streams after attention, before they exchange."""
        gathered = self.coupling.attention(heads, barrier)
        return x.each(lambda x, new, m, layer: gated(x, layer.out(new), m[2]), gathered, own, self.weights)

    def forward(
        self,
        x: Pair[Tensor],  # (B, L, W)
        modulation: Pair[Tensor],  # (B, K, 6, W), one row per distinct level
        rotary: Pair[Rotary],
        words: Pair[Words],
        mask: Tensor,  # (B, 1, 1, S)
        barrier: Tensor | None,
    ) -> Pair[Tensor]:
        """Both streams (B, L, W) -> the same."""
        own, heads = self.prepare(x, modulation, rotary)
        x = self.gather(x, own, heads, barrier)  # (B, L, W)
        x = self.coupling.exchange(x, rotary, barrier)  # (B, L, W)
        x = x.each(lambda x, said, layer: x + layer.prompt(x, said, mask), words, self.weights)  # (B, L, W)
        return x.each(
            lambda x, m, layer: gated(x, layer.mlp(modulate(x, m[3], m[4])), m[5]), own, self.weights
        )  # (B, L, W)
