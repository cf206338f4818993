"""The audio half of a joint model: a diffusion transformer over audio latents, of its own width and depth."""

from functools import lru_cache

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from avsim.clip import LatentSpec
from avsim.errors import InputError
from avsim.models.attention import HeadNorm, fused_attend, zero_init
from avsim.models.level_only import wiener
from avsim.models.rope import Rotary, rotary, rotate
from avsim.models.tokens import Positions, patch_levels, patch_seconds, sinusoidal_embedding


def head_width_of(width: int, heads: int | None = None) -> int:
    """The width of a head: `width / heads`; without `heads`, the divisor of `width` nearest to 64.

    It is a multiple of 8.

    Raises:
        InputError: a width, or a number of heads, that allows no multiple of 8.
    """
    if heads is not None:
        if heads < 1 or width % heads or (width // heads) % 8:
            raise InputError(f"width {width} in {heads} heads: a head's width must be a multiple of 8")
        return width // heads
    fitting = [size for size in range(8, 129, 8) if width >= size and width % size == 0]
    if not fitting:
        raise InputError(f"width {width}: must be a positive multiple of 8, which rotary positions need")
    return min(fitting, key=lambda size: abs(size - 64))


class LevelModulation(nn.Module):
    """Noise levels -> shifts, scales and gates, shared by all blocks (adaLN-single, 2310.00426)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(256, width), nn.SiLU(), nn.Linear(width, width))
        self.out = zero_init(nn.Linear(width, 6 * width))

    def forward(self, s: Tensor) -> tuple[Tensor, Tensor]:
        """Levels (B, K) -> their embedding (B, K, W), and the modulation of all blocks (B, K, 6, W)."""
        with torch.autocast(s.device.type, enabled=False):
            embedding = self.embed(sinusoidal_embedding(s, 256).to(self.out.weight.dtype))  # (B, K, W)
            return embedding, self.out(F.silu(embedding)).unflatten(-1, (6, -1))


class AudioBlock(nn.Module):
    """Self-attention, cross-attention to the text, MLP; modulated by the noise level."""

    def __init__(self, width: int, head_width: int, mlp_ratio: float) -> None:
        super().__init__()
        hidden = int(mlp_ratio * width)
        self.head_width = head_width
        # Small but not zero, so that every weight has a gradient from the first step on.
        self.table = nn.Parameter(torch.randn(6, width) / width**0.5)  # added to the shared modulation
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.q_norm, self.k_norm = HeadNorm(head_width), HeadNorm(head_width)
        self.out = nn.Linear(width, width)
        self.text_q = nn.Linear(width, width, bias=False)
        self.text_kv = nn.Linear(width, 2 * width, bias=False)
        self.text_q_norm, self.text_k_norm = HeadNorm(head_width), HeadNorm(head_width)
        self.text_out = nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU("tanh"), nn.Linear(hidden, width))

    def forward(
        self, x: Tensor, modulation: Tensor, rotary: Rotary, text: Tensor, mask: Tensor | None
    ) -> Tensor:
        """Update x (B, L, W); modulation (B, 1 or L, 6, W), text (B, S, W), mask (B, 1, 1, S)."""
        dtype = self.qkv.weight.dtype  # the residual stream is float32 whatever the weights are
        shift1, scale1, gate1, shift2, scale2, gate2 = (modulation + self.table).unbind(2)
        h = F.layer_norm(x, x.shape[-1:]) * (1 + scale1) + shift1  # (B, L, W)
        q, k, v = rearrange(self.qkv(h.to(dtype)), "b l (n h d) -> n b h l d", n=3, d=self.head_width)
        h = fused_attend(rotate(self.q_norm(q), rotary), rotate(self.k_norm(k), rotary), v)  # (B, L, W)
        x = x + gate1 * self.out(h)  # (B, L, W)

        q = self.text_q(F.layer_norm(x, x.shape[-1:]).to(dtype))
        q = rearrange(q, "b l (h d) -> b h l d", d=self.head_width)
        k, v = rearrange(self.text_kv(text), "b s (n h d) -> n b h s d", n=2, d=self.head_width)
        x = x + self.text_out(fused_attend(self.text_q_norm(q), self.text_k_norm(k), v, mask))  # (B, L, W)

        h = F.layer_norm(x, x.shape[-1:]) * (1 + scale2) + shift2  # (B, L, W)
        return x + gate2 * self.mlp(h.to(dtype))  # (B, L, W)


class AudioTower(nn.Module):
    """A transformer over audio latents (B, Da, l), run block by block beside a video backbone.

    Args:
        channels: Da of the audio codec.
        text_width: E of the text embeddings.
        width: W, a multiple of 8.
        depth: number of blocks.
        heads: number of attention heads, which must divide the width; None: heads about 64 wide.
        patch: audio latents per token.
        mlp_ratio: hidden width of an MLP over `width`.

    Raises:
        InputError: a size that is not positive, or a width that can't be divided into heads.
    """

    def __init__(
        self,
        channels: int,
        text_width: int,
        width: int = 1024,
        depth: int = 24,
        heads: int | None = None,
        patch: int = 1,
        mlp_ratio: float = 4.0,
    ) -> None:
        super().__init__()
        for name, value in {"channels": channels, "width": width, "depth": depth, "patch": patch}.items():
            if value < 1:
                raise InputError(f"the audio tower's {name} is {value}; it must be at least 1")
        self.channels, self.text_width, self.width, self.depth = channels, text_width, width, depth
        self.patch, self.mlp_ratio, self.head_width = patch, mlp_ratio, head_width_of(width, heads)
        self.embed = nn.Linear(patch * channels, width)
        self.text = nn.Sequential(nn.Linear(text_width, width), nn.GELU("tanh"), nn.Linear(width, width))
        self.level = LevelModulation(width)
        self.blocks = nn.ModuleList(AudioBlock(width, self.head_width, mlp_ratio) for _ in range(depth))
        # Added to the level embedding: the output's shift and scale.
        self.out_table = nn.Parameter(torch.randn(2, width) / width**0.5)
        self.out = nn.Linear(width, patch * channels)
        nn.init.normal_(self.out.weight, std=0.02)
        nn.init.zeros_(self.out.bias)

    def tokens(self, z: Tensor) -> Tensor:
        """Latents (B, Da, l) -> tokens (B, L, patch Da), L = ceil(l / patch); the last latent is repeated."""
        z = F.pad(z, (0, -z.shape[-1] % self.patch), mode="replicate") if z.shape[-1] % self.patch else z
        return rearrange(z, "b d (l p) -> b l (d p)", p=self.patch)

    def token_levels(self, s: Tensor) -> Tensor:
        """Levels (B,) or (B, l) -> (B, 1) or (B, L); a token of several levels takes the highest."""
        return s[:, None] if s.ndim == 1 else patch_levels(s, self.patch)

    def velocity(self, hidden: Tensor, level_embedding: Tensor, z: Tensor, s: Tensor) -> Tensor:
        """The velocity (B, Da, l) from the last hidden tokens (B, L, W).

        The output times the standard error of the Wiener estimate of the velocity (`wiener`) is subtracted
        from that estimate, as with EDM's skip and output scales (2206.00364, section 5).

        Shapes: level_embedding (B, 1 or L, W); z (B, Da, l) noisy latents; s (B,) or (B, l).
        """
        shift, scale = (level_embedding[:, :, None] + self.out_table).unbind(2)  # (B, 1 or L, W)
        h = F.layer_norm(hidden, hidden.shape[-1:]) * (1 + scale) + shift  # (B, L, W)
        update = rearrange(self.out(h.to(self.out.weight.dtype)), "b l (d p) -> b d (l p)", p=self.patch)
        level = s.float()[:, None, None] if s.ndim == 1 else s.float()[:, None]  # (B, 1, 1 or l)
        factor, error = wiener(level)
        return (factor * z.float() - error * update[..., : z.shape[-1]].float()).to(z.dtype)


@lru_cache(maxsize=32)
def audio_rotary(spec: LatentSpec, patch: int, head_width: int, device: torch.device) -> Rotary:
    """RoPE cosines and sines of each audio token, which depend on its time alone."""
    with torch.inference_mode(False):  # training may use what inference cached
        seconds = patch_seconds(spec.audio_spans(), patch)
        zero = torch.zeros_like(seconds)
        return rotary(Positions(seconds, zero, zero), head_width, device)
