"""LTX-Video (2501.00103), diffusers' `LTXVideoTransformer3DModel`."""

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from avsim.clip import LatentSpec
from avsim.models.backbone import (
    Levels,
    State,
    clip_levels,
    padded_to_patches,
    patchified,
    run_block,
    token_grid,
    token_levels,
    unpatchified,
)


@dataclass(frozen=True)
class LTXVideoState(State):
    """Hidden tokens and what all blocks share."""

    text: Tensor  # (B, S, W)
    text_bias: Tensor | None  # (B, 1, S), added to attention scores
    modulation: Tensor  # (B, 1, 6 W) or (B, L, 6 W)
    temb: Tensor  # (B, 1, W) or (B, L, W)
    rotary: Any
    size: tuple[int, ...]  # (t, h, w) of the latents


class LTXVideoBackbone(nn.Module):
    """LTX-Video's transformer. Its positions are in seconds and pixels, from the spec's rates and strides.

    Args:
        transformer: the model of diffusers.
        levels: "token" allows a level per frame, as LTX-Video was trained; "clip" one per clip.
    """

    def __init__(self, transformer: Any, levels: Levels = "token") -> None:
        super().__init__()
        config = transformer.config
        self.transformer, self.levels = transformer, levels
        self.width = config.num_attention_heads * config.attention_head_dim
        self.depth, self.text_width = config.num_layers, config.caption_channels
        self.patch = (config.patch_size_t, config.patch_size, config.patch_size)
        self.channels = config.in_channels // (config.patch_size_t * config.patch_size**2)

    def begin(
        self, x_s: Tensor, s: Tensor, text: Tensor, spec: LatentSpec, text_mask: Tensor | None = None
    ) -> LTXVideoState:
        """The first block's input."""
        model, size = self.transformer, x_s.shape[2:]
        if s.ndim == 2:
            s = (
                clip_levels(s, "this LTX-Video")
                if self.levels == "clip"
                else token_levels(s, self.patch, size)
            )
        dtype = model.proj_in.weight.dtype
        x = patchified(padded_to_patches(x_s, self.patch), self.patch).to(dtype)  # (B, L, C pt ph pw)
        t, h, w = token_grid(size, self.patch)
        scale = (spec.time_stride / spec.clip.frames_per_second, spec.space_stride, spec.space_stride)
        rotary = model.rope(x, t, h, w, scale, None)
        hidden = model.proj_in(x)  # (B, L, W)
        modulation, temb = model.time_embed(
            (1000 * s).flatten(), batch_size=len(x), hidden_dtype=hidden.dtype
        )
        bias = None
        if text_mask is not None:
            bias = ((1 - text_mask.to(x.dtype)) * -10000.0)[:, None]  # (B, 1, S)
        return LTXVideoState(
            hidden=hidden,
            text=model.caption_projection(text.to(dtype)),
            text_bias=bias,
            modulation=modulation.unflatten(0, (len(x), -1)),
            temb=temb.unflatten(0, (len(x), -1)),
            rotary=rotary,
            size=tuple(size),
        )

    def block(self, index: int, state: LTXVideoState) -> LTXVideoState:
        """Run block `index`."""
        block = self.transformer.transformer_blocks[index]
        shared = state.text, state.modulation, state.rotary, state.text_bias
        return replace(state, hidden=run_block(self.transformer, block, state.hidden, *shared))  # (B, L, W)

    def end(self, state: LTXVideoState) -> Tensor:
        """The velocity (B, C, t, h, w)."""
        model = self.transformer
        shift, scale = (model.scale_shift_table + state.temb[:, :, None]).unbind(2)  # (B, 1 or L, W)
        x = model.proj_out(model.norm_out(state.hidden) * (1 + scale) + shift)  # (B, L, C pt ph pw)
        return unpatchified(x, self.patch, state.size)
