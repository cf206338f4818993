"""The interface of interchangeable video models: a transformer that is run block by block.

A backbone takes latents and noise levels and returns velocities in avsim's convention, v = noise - x, which
is also that of Wan and LTX-Video. Between blocks its hidden tokens are accessible: audio is fused there.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from avsim.clip import LatentSpec
from avsim.errors import InputError
from avsim.models.tokens import patch_levels

Levels = Literal["clip", "frame", "token"]
Patch = tuple[int, int, int]


@dataclass(frozen=True)
class State:
    """What one block passes to the next: a block returns a copy with a new `hidden`. Adapters add fields."""

    hidden: Tensor  # (B, L, W), tokens in the order (t, h, w)


class VideoBackbone(Protocol):
    """A video transformer that can be run block by block."""

    width: int  # W of its hidden tokens
    depth: int  # number of blocks
    patch: Patch  # latents per token in time, height and width
    levels: Levels  # what a noise level applies to: the whole clip, a latent frame or a token
    channels: int  # C of its latents
    text_width: int  # E of its text embeddings

    def begin(
        self, x_s: Tensor, s: Tensor, text: Tensor, spec: LatentSpec, text_mask: Tensor | None = None
    ) -> Any:
        """Patchify, embed, modulate, compute RoPE: the first block's input.

        Shapes: x_s (B, C, t, h, w) noisy latents; s (B,) or (B, t) noise levels, 0 clean, 1 noise; text
        (B, S, E) embeddings; text_mask (B, S) bool, which of them are not padding (None: all).
        """
        ...

    def block(self, index: int, state: Any) -> Any:
        """Run block `index`."""
        ...

    def end(self, state: Any) -> Tensor:
        """The velocity v = noise - x, (B, C, t, h, w)."""
        ...


def padded_to_patches(x: Tensor, patch: Patch) -> Tensor:
    """Latents (B, C, t, h, w), padded to whole patches by repeating the last frame, row and column."""
    t, h, w = (-size % step for size, step in zip(x.shape[2:], patch, strict=True))
    if not (t or h or w):
        return x
    return F.pad(x, (0, w, 0, h, 0, t), mode="replicate")


def token_grid(size: tuple[int, ...], patch: Patch) -> Patch:
    """Tokens in time, height and width of latents (t, h, w), rounded up."""
    t, h, w = (math.ceil(length / step) for length, step in zip(size, patch, strict=True))
    return t, h, w


def patchified(x: Tensor, patch: Patch) -> Tensor:
    """Latents (B, C, t, h, w) of whole patches -> (B, L, C pt ph pw), tokens in the order (t, h, w)."""
    pt, ph, pw = patch
    return rearrange(x, "b c (t pt) (h ph) (w pw) -> b (t h w) (c pt ph pw)", pt=pt, ph=ph, pw=pw)


def unpatchified(x: Tensor, patch: Patch, size: tuple[int, ...]) -> Tensor:
    """The inverse of `patchified`, cropped to latents of `size` (t, h, w)."""
    (pt, ph, pw), (t, h, w) = patch, token_grid(size, patch)
    whole = rearrange(
        x, "b (t h w) (c pt ph pw) -> b c (t pt) (h ph) (w pw)", t=t, h=h, w=w, pt=pt, ph=ph, pw=pw
    )
    return whole[:, :, : size[0], : size[1], : size[2]]


def clip_levels(s: Tensor, name: str) -> Tensor:
    """Levels (B,) or (B, t) -> the one level of each clip, (B,).

    Raises:
        InputError: levels that differ within a clip.
    """
    if s.ndim == 1:
        return s
    if not bool((s == s[:, :1]).all()):
        raise InputError(
            f"{name} takes one noise level per clip; these differ from frame to frame, so animate, "
            "extend and training with given frames are not possible"
        )
    return s[:, 0]


def token_levels(s: Tensor, patch: Patch, size: tuple[int, ...]) -> Tensor:
    """Levels per latent frame (B, t) of latents of `size` (t, h, w) -> levels per token, (B, L).

    A token that covers frames of several levels takes the highest.
    """
    _, h, w = token_grid(size, patch)
    return patch_levels(s, patch[0]).repeat_interleave(h * w, dim=1)


def run_block(transformer: Any, block: Callable[..., Any], *arguments: Any) -> Any:
    """Run a block of a diffusers transformer, with gradient checkpointing if the model enables it."""
    if torch.is_grad_enabled() and getattr(transformer, "gradient_checkpointing", False):
        return transformer._gradient_checkpointing_func(block, *arguments)
    return block(*arguments)


def as_backbone(model: Any) -> VideoBackbone:
    """Wrap a transformer of diffusers, or avsim's own, in its adapter; return a `VideoBackbone` unchanged.

    Raises:
        InputError: a model of another architecture; the message lists the supported ones.
    """
    from avsim.models.backbones import ADAPTERS, REFUSED, adapter_of

    if all(hasattr(model, name) for name in ("begin", "block", "end", "width", "depth", "patch")):
        return model
    adapter = adapter_of(type(model))
    if type(model).__name__ in REFUSED:
        raise InputError(f"{type(model).__name__} can't be used: {REFUSED[type(model).__name__]}")
    if adapter is None:
        known = ", ".join(ADAPTERS)
        raise InputError(f"{type(model).__name__} is no known video transformer; known are {known}")
    return adapter(model)
