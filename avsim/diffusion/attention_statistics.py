"""Statistics of the attention from audio to video, recomputed outside of the hot path."""

from typing import NamedTuple

import torch
from torch import Tensor

from avsim.models.joint import Context, JointDiT
from avsim.models.pair import Pair

NEAR = 0.125  # seconds: what counts as the same moment


@torch.no_grad()
def attention_maps(model: JointDiT, x: Pair[Tensor], s: Pair[Tensor], context: Context) -> Tensor | None:
    """The attention of each audio token to each video token in every block and head.

    Arguments as of `JointDiT.forward`, both modalities present. Returns (blocks, B, heads, La, Lv); a row
    sums to 1 (`Cross`) or to 1 less the audio's attention to itself (`Joint`, `Single`); None without
    cross-modal attention.
    """
    modulation, _ = model.modulate(x, s, context, None)
    h, maps = model.enter(x, context), []
    for block, words in zip(model.blocks, context.words, strict=True):
        own, heads = block.prepare(h, modulation, context.rotary)
        gathered = block.gather(h, own, heads, None)
        maps.append(block.coupling.attention_to_video(heads, gathered, context.rotary))
        h = block(h, modulation, context.rotary, words, context.mask, None)
    return None if maps[0] is None else torch.stack(maps)


class AttentionStatistics(NamedTuple):
    """Of each clip, averaged over its audio tokens; each (B,)."""

    offset: Tensor  # seconds by which the attended video is later than the audio; 0 when in step
    spread: Tensor  # seconds, root mean square distance from the audio token's own moment
    near: Tensor  # attention within NEAR of that moment, over what uniform attention has there
    sharpest: Tensor  # the same of the one head in which it is highest


def attention_statistics(maps: Tensor, seconds: Pair[Tensor]) -> AttentionStatistics:
    """Summarise maps (blocks, B, heads, La, Lv) of tokens at `seconds` (Lv,), (La,)."""
    weights = maps / maps.sum(-1, keepdim=True)
    later = seconds.video[None, :] - seconds.audio[:, None]  # (La, Lv)
    close = (later.abs() <= NEAR).float()
    chance = close.mean()
    by_head = (weights * close).sum(-1).mean(-1) / chance  # (blocks, B, heads)
    weights = weights.mean((0, 2))  # (B, La, Lv)
    return AttentionStatistics(
        offset=(weights * later).sum(-1).mean(-1),
        spread=(weights * later.square()).sum(-1).mean(-1).sqrt(),
        near=by_head.mean((0, 2)),
        sharpest=by_head.amax((0, 2)),
    )
