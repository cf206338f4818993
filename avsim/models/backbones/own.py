"""The video half of avsim's own `JointDiT`."""

from dataclasses import dataclass, replace

import torch
from einops import rearrange
from torch import Tensor, nn

from avsim.clip import LatentSpec
from avsim.models.backbone import State, run_block
from avsim.models.blocks import modulate
from avsim.models.joint import Context, JointDiT, standing
from avsim.models.pair import Pair
from avsim.models.tokens import spread


@dataclass(frozen=True)
class OwnState(State):
    """Hidden tokens and what all blocks share."""

    x: Tensor  # (B, L, D), the noisy tokens
    s: Tensor  # (B, K)
    context: Context
    modulation: Tensor  # (B, K, 6, W)
    final: Tensor  # (B, K, 2, W)
    size: tuple[int, ...]  # (t, h, w) of the latents


class OwnBackbone(nn.Module):
    """What a `JointDiT` does with video alone, as if it had no audio. Its text encoder runs outside.

    Args:
        transformer: the model, of any coupling. Its weights that video alone doesn't use are frozen.
    """

    levels = "token"
    patch = (1, 1, 1)

    def __init__(self, transformer: JointDiT) -> None:
        super().__init__()
        self.transformer = transformer
        self.width = transformer.place[0].out_features
        self.depth, self.channels = len(transformer.blocks), transformer.channels.video
        self.text_width = transformer.text.width
        transformer.requires_grad_(False)
        for part in (transformer.ends[0], transformer.place[0], transformer.level[0]):
            part.requires_grad_(True)
        if transformer.level[0].partner is not None:
            transformer.level[0].partner.requires_grad_(False)
        for block in transformer.blocks:
            block.weights.video.requires_grad_(True)

    def begin(
        self, x_s: Tensor, s: Tensor, text: Tensor, spec: LatentSpec, text_mask: Tensor | None = None
    ) -> OwnState:
        """What the first block takes."""
        model = self.transformer
        x = rearrange(x_s, "b d t h w -> b (t h w) d")
        s = s[:, None] if s.ndim == 1 else s
        waves, seconds = standing(spec, model.head_width, x.device)
        here = (
            torch.ones(text.shape[:2], dtype=torch.bool, device=x.device) if text_mask is None else text_mask
        )
        context = Context(
            words=tuple(Pair(block.weights.video.prompt.read(text)) for block in model.blocks),
            mask=here[:, None, None].bool(),
            rotary=Pair(waves.video),
            place=Pair(model.place[0](torch.cat(waves.video, dim=-1))),
            seconds=seconds,
            opening=x_s.shape[3] * x_s.shape[4],
        )
        modulation, final = model.modulate(Pair(x), Pair(s), context, None)
        hidden = model.enter(Pair(x), context).video  # (B, L, W)
        return OwnState(hidden, x, s, context, modulation.video, final.video, tuple(x_s.shape[2:]))

    def block(self, index: int, state: OwnState) -> OwnState:
        """Run block `index`."""
        context, block = state.context, self.transformer.blocks[index]
        streams = run_block(
            self.transformer, block, Pair(state.hidden), Pair(state.modulation), context.rotary,
            context.words[index], context.mask, None,
        )  # fmt: skip
        return replace(state, hidden=streams.video)  # (B, L, W)

    def end(self, state: OwnState) -> Tensor:
        """The velocity (B, Dv, t, h, w)."""
        h = modulate(state.hidden, *state.final.unbind(2))  # (B, L, W)
        level = spread(state.s, h.shape[1])[..., None]  # (B, L, 1)
        v = self.transformer.ends[0].velocity(h, state.x, level, state.context.opening)  # (B, L, Dv)
        return v.mT.unflatten(2, state.size)
