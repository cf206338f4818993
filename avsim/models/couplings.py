"""How picture and sound meet in a block. A coupling is one module, so that couplings compare at equal budget.

| coupling  | the two streams                                                                              |
|-----------|----------------------------------------------------------------------------------------------|
| `Apart`   | never meet: two models side by side, the baseline that a cascade is built from                |
| `Cross`   | each attends to itself, then to the other; starts at zero output, so a video model can get it |
| `Joint`   | share one softmax over all tokens, with weights of their own (as in MM-DiT, 2403.03206)       |
| `Single`  | share one softmax and all weights of the block                                                |

A row that is not `linked` keeps its streams apart: what the model draws then is what it draws for that
modality alone. Training unlinks some rows, so that guidance can ask for "without the other one".
"""

from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from avsim.models.pair import Pair
from avsim.models.rope import Rotary, rotate


class Heads(NamedTuple):
    """Queries, keys and values of one stream, (B, heads, L, head width) each; normalised and rotated."""

    q: Tensor
    k: Tensor
    v: Tensor


class HeadNorm(nn.Module):
    """RMS norm of every head's query or key, with one learned gain (QK-norm, 2302.05442)."""

    def __init__(self, head_width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(head_width))

    def forward(self, x: Tensor) -> Tensor:
        """(..., head width) -> the same."""
        return F.rms_norm(x, x.shape[-1:], self.gain.type_as(x))


def start_at_zero(linear: nn.Linear) -> nn.Linear:
    """The layer, with weights and bias of zero: what it adds is nothing until it is trained."""
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear


MANY = 1 << 26  # rows, heads, queries and keys multiplied, from which on no softmax is held


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Softmax attention, (B, heads, L, head width) -> (B, L, heads x head width); a mask as torch takes it.

    Training on a CPU spells it out: over a few hundred keys torch's fused kernel takes 2 to 5 times as long
    in bfloat16, over 640 as long (`experiments/benchmarks/attention.py`).
    """
    if q.device.type != "cpu" or not torch.is_grad_enabled() or q.shape[:-1].numel() * k.shape[-2] > MANY:
        return rearrange(F.scaled_dot_product_attention(q, k, v, mask), "b h l d -> b l (h d)")
    scores = (q * q.shape[-1] ** -0.5) @ k.mT  # (B, heads, Lq, Lk)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
    return rearrange(scores.softmax(-1).type_as(v) @ v, "b h l d -> b l (h d)")


def attention_map(q: Tensor, k: Tensor) -> Tensor:
    """The softmax itself, (B, heads, Lq, Lk): for looking at, never in the hot path."""
    return (q.float() @ k.float().mT / q.shape[-1] ** 0.5).softmax(-1)


class Coupling(nn.Module):
    """What one block does to bring its streams together: two steps, either may do nothing.

    Args of every coupling: width of the streams, number of heads.
    """

    shared: ClassVar[bool] = False  # both streams use one set of the block's weights
    meets: ClassVar[bool] = True  # a stream may know anything of its partner, its noise level included

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()

    @staticmethod
    def barrier(linked: Tensor, tokens: tuple[int, int]) -> Tensor | None:
        """What keeps rows that are not `linked` (B,) apart, in the coupling's own terms; once a pass."""
        return None

    def attention(self, heads: Pair[Heads], barrier: Tensor | None) -> Pair[Tensor]:
        """Heads -> what each token gathered, (B, L, width): here, from its own stream."""
        return heads.each(lambda own: attend(*own))

    def exchange(self, x: Pair[Tensor], rotary: Pair[Rotary], barrier: Tensor | None) -> Pair[Tensor]:
        """Streams (B, L, width) after attention -> the same: here, unchanged."""
        return x

    def attention_to_video(self, heads: Pair[Heads], x: Pair[Tensor], rotary: Pair[Rotary]) -> Tensor | None:
        """The attention that each audio token pays to each video token, (B, heads, La, Lv); None: none."""
        return None


class Apart(Coupling):
    """The streams never meet."""

    meets = False


class Joint(Coupling):
    """One attention over both streams."""

    @staticmethod
    def barrier(linked: Tensor, tokens: tuple[int, int]) -> Tensor:
        """0 where a query may look, -inf where not, (B, 1, L, L) with the picture's tokens first."""
        stream = torch.arange(sum(tokens), device=linked.device) < tokens[0]
        allowed = linked[:, None, None, None] | (stream[:, None] == stream[None, :])
        return torch.zeros(allowed.shape, device=linked.device).masked_fill(~allowed, -torch.inf)

    def attention(self, heads: Pair[Heads], barrier: Tensor | None) -> Pair[Tensor]:
        """Heads -> what each token gathered from both streams."""
        if heads.video is None or heads.audio is None:
            return super().attention(heads, barrier)
        q, k, v = (torch.cat(both, dim=2) for both in zip(heads.video, heads.audio, strict=True))
        mask = None if barrier is None else barrier.type_as(q)
        return Pair(*attend(q, k, v, mask).split([heads.video.q.shape[2], heads.audio.q.shape[2]], dim=1))

    def attention_to_video(self, heads: Pair[Heads], x: Pair[Tensor], rotary: Pair[Rotary]) -> Tensor:
        """The picture's part of the joint softmax; its sum over the picture is how much the sound looks."""
        weights = attention_map(heads.audio.q, torch.cat([heads.video.k, heads.audio.k], dim=2))
        return weights[..., : heads.video.k.shape[2]]


class Single(Joint):
    """One attention over both streams, and one set of weights for both."""

    shared = True


class Look(nn.Module):
    """Cross-attention from one stream to the other; its output starts at zero."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(width, width, bias=False)
        self.kv = nn.Linear(width, 2 * width, bias=False)
        self.q_norm, self.k_norm = HeadNorm(width // heads), HeadNorm(width // heads)
        self.out = start_at_zero(nn.Linear(width, width))

    def prepare(self, x: Tensor, other: Tensor, own_rotary: Rotary, other_rotary: Rotary) -> Heads:
        """Queries of normalised x (B, L, width), keys and values of the normalised other."""
        q = rearrange(self.q(x), "b l (h d) -> b h l d", h=self.heads)
        k, v = rearrange(self.kv(other), "b l (n h d) -> n b h l d", n=2, h=self.heads)
        return Heads(rotate(self.q_norm(q), own_rotary), rotate(self.k_norm(k), other_rotary), v)

    def forward(self, x: Tensor, other: Tensor, own_rotary: Rotary, other_rotary: Rotary) -> Tensor:
        """What x (B, L, width) learns from the other, both normalised: (B, L, width)."""
        return self.out(attend(*self.prepare(x, other, own_rotary, other_rotary)))


class Cross(Coupling):
    """Bidirectional cross-attention after self-attention, in rotary seconds."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__(width, heads)
        self.width = width
        self.to_video, self.to_audio = Look(width, heads), Look(width, heads)

    @staticmethod
    def barrier(linked: Tensor, tokens: tuple[int, int]) -> Tensor:
        """1 where a row's streams meet, 0 where not, (B, 1, 1)."""
        return linked[:, None, None].float()

    def exchange(self, x: Pair[Tensor], rotary: Pair[Rotary], barrier: Tensor | None) -> Pair[Tensor]:
        """Each stream adds what it learns from the other."""
        if x.video is None or x.audio is None:
            return x
        video, audio = x.each(self._norm)
        learned = Pair(
            self.to_video(video, audio, rotary.video, rotary.audio),
            self.to_audio(audio, video, rotary.audio, rotary.video),
        )
        if barrier is not None:
            learned = learned.each(lambda new: new * barrier.type_as(new))
        return x.each(torch.add, learned)

    def attention_to_video(self, heads: Pair[Heads], x: Pair[Tensor], rotary: Pair[Rotary]) -> Tensor:
        """The softmax of the sound's look at the picture."""
        video, audio = x.each(self._norm)
        look = self.to_audio.prepare(audio, video, rotary.audio, rotary.video)
        return attention_map(look.q, look.k)

    def _norm(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, (self.width,))
