"""Wan 2.1 and 2.2 (2503.20314), diffusers' `WanTransformer3DModel`."""

from dataclasses import dataclass, replace
from typing import Any

from einops import rearrange
from torch import Tensor, nn

from avsim.clip import LatentSpec
from avsim.errors import InputError
from avsim.models.backbone import (
    Levels,
    State,
    clip_levels,
    padded_to_patches,
    run_block,
    token_grid,
    token_levels,
)


@dataclass(frozen=True)
class WanState(State):
    """Hidden tokens and what all blocks share."""

    text: Tensor  # (B, S, W)
    temb: Tensor  # (B, W) or (B, L, W)
    modulation: Tensor  # (B, 6, W) or (B, L, 6, W)
    rotary: Any
    size: tuple[int, ...]  # (t, h, w) of the latents


class WanBackbone(nn.Module):
    """Wan's text-to-video transformer.

    Args:
        transformer: the model of diffusers.
        levels: "token" allows a level per frame, as Wan 2.2 TI2V was trained; "clip" one per clip,
            as Wan 2.1 was trained.

    Raises:
        InputError: an image-to-video model, which takes more than noisy latents and text.
    """

    def __init__(self, transformer: Any, levels: Levels = "token") -> None:
        super().__init__()
        config = transformer.config
        if config.in_channels != config.out_channels or config.image_dim is not None:
            raise InputError(
                f"this Wan transformer takes {config.in_channels} channels and returns {config.out_channels}"
                f"{' and takes an image' if config.image_dim is not None else ''}; expected text-to-video"
            )
        self.transformer, self.levels = transformer, levels
        self.width = config.num_attention_heads * config.attention_head_dim
        self.depth, self.channels = config.num_layers, config.in_channels
        self.text_width, self.patch = config.text_dim, tuple(config.patch_size)

    def begin(
        self, x_s: Tensor, s: Tensor, text: Tensor, spec: LatentSpec, text_mask: Tensor | None = None
    ) -> WanState:
        """The first block's input; padding of the text is zero, as in Wan's pipeline."""
        model, size = self.transformer, x_s.shape[2:]
        if s.ndim == 2:
            s = clip_levels(s, "this Wan") if self.levels == "clip" else token_levels(s, self.patch, size)
        if text_mask is not None:
            text = text * text_mask[..., None]
        dtype = model.patch_embedding.weight.dtype
        x, text = padded_to_patches(x_s, self.patch).to(dtype), text.to(dtype)
        hidden = rearrange(model.patch_embedding(x), "b w t h x -> b (t h x) w").contiguous()  # (B, L, W)
        tokens = s.shape[1] if s.ndim == 2 else None
        temb, projected, text, _ = model.condition_embedder(
            (1000 * s).flatten(), text, None, timestep_seq_len=tokens
        )
        return WanState(hidden, text, temb, projected.unflatten(-1, (6, -1)), model.rope(x), tuple(size))

    def block(self, index: int, state: WanState) -> WanState:
        """Run block `index`."""
        block = self.transformer.blocks[index]
        hidden = run_block(
            self.transformer, block, state.hidden, state.text, state.modulation, state.rotary
        )  # (B, L, W)
        return replace(state, hidden=hidden)

    def end(self, state: WanState) -> Tensor:
        """The velocity (B, C, t, h, w)."""
        model, (t, h, w) = self.transformer, token_grid(state.size, self.patch)
        table = model.scale_shift_table if state.temb.ndim == 2 else model.scale_shift_table[:, None]
        shift, scale = (table + state.temb.unsqueeze(-2)).unbind(-2)  # (B, W) or (B, L, W)
        if state.temb.ndim == 2:
            shift, scale = shift[:, None], scale[:, None]
        x = model.norm_out(state.hidden.float()) * (1 + scale) + shift  # (B, L, W)
        x = model.proj_out(x.type_as(state.hidden))  # (B, L, pt ph pw C)
        pt, ph, pw = self.patch
        v = rearrange(
            x, "b (t h w) (pt ph pw c) -> b c (t pt) (h ph) (w pw)", t=t, h=h, w=w, pt=pt, ph=ph, pw=pw
        )
        return v[:, :, : state.size[0], : state.size[1], : state.size[2]]
