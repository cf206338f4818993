"""The video half of avsim's own `JointDiT`."""

from dataclasses import dataclass, replace

import torch
from einops import rearrange
from torch import Tensor, nn

from avsim.clip import LatentSpec
from avsim.models.backbone import State, run_block
from avsim.models.blocks import modulate
from avsim.models.joint import Context, JointDiT, cached_positions
from avsim.models.pair import Pair
from avsim.models.tokens import repeat_levels


@dataclass(frozen=True)
class JointDiTState(State):
    """Hidden tokens and what all blocks share."""

    x: Tensor  # (B, L, D), the noisy tokens
    s: Tensor  # (B, K)
    context: Context
    modulation: Tensor  # (B, K, 6, W)
    final: Tensor  # (B, K, 2, W)
    size: tuple[int, ...]  # (t, h, w) of the latents


class JointDiTBackbone(nn.Module):
    """A `JointDiT` on video alone, without audio. Its text encoder runs outside.

    Args:
        transformer: the model, of any coupling. Its weights that video alone doesn't use are frozen.
    """

    levels = "token"
    patch = (1, 1, 1)

    def __init__(self, transformer: JointDiT) -> None:
        super().__init__()
        self.transformer = transformer
        self.width = transformer.video_pos_embed.out_features
        self.depth, self.channels = len(transformer.blocks), transformer.channels.video
        self.text_width = transformer.text.width
        transformer.requires_grad_(False)
        parts = (
            transformer.video_input, transformer.video_pos_embed, transformer.video_modulation,
            transformer.video_output, *(block.video for block in transformer.blocks),
        )  # fmt: skip
        for part in parts:
            part.requires_grad_(True)
        if transformer.video_modulation.other_level is not None:
            transformer.video_modulation.other_level.requires_grad_(False)

    def begin(
        self, x_s: Tensor, s: Tensor, text: Tensor, spec: LatentSpec, text_mask: Tensor | None = None
    ) -> JointDiTState:
        """The first block's input."""
        model = self.transformer
        x = rearrange(x_s, "b d t h w -> b (t h w) d")
        s = s[:, None] if s.ndim == 1 else s
        rotary, seconds = cached_positions(spec, model.head_width, x.device)
        present = (
            torch.ones(text.shape[:2], dtype=torch.bool, device=x.device) if text_mask is None else text_mask
        )
        context = Context(
            text=tuple(Pair(block.video.text.encode(text)) for block in model.blocks),
            text_mask=present[:, None, None].bool(),
            rotary=Pair(rotary.video),
            pos_embed=Pair(model.video_pos_embed(torch.cat(rotary.video, dim=-1))),
            seconds=seconds,
            first_frame_tokens=x_s.shape[3] * x_s.shape[4],
        )
        modulation, final = model.modulation(Pair(s), context)
        hidden, _ = model.embed(Pair(x), context)  # (B, L, W)
        assert hidden is not None
        return JointDiTState(hidden, x, s, context, modulation.video, final.video, tuple(x_s.shape[2:]))

    def block(self, index: int, state: JointDiTState) -> JointDiTState:
        """Run block `index`."""
        context, block = state.context, self.transformer.blocks[index]
        hidden, _ = run_block(
            self.transformer, block, state.hidden, None, Pair(state.modulation), context.rotary,
            context.text[index], context.text_mask,
        )  # fmt: skip
        return replace(state, hidden=hidden)  # (B, L, W)

    def end(self, state: JointDiTState) -> Tensor:
        """The velocity (B, Dv, t, h, w)."""
        h = modulate(state.hidden, *state.final.unbind(2))  # (B, L, W)
        level = repeat_levels(state.s, h.shape[1])[..., None]  # (B, L, 1)
        v = self.transformer.video_output(h, state.x, level, state.context.first_frame_tokens)  # (B, L, Dv)
        return v.mT.unflatten(2, state.size)
