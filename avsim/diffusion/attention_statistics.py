"""Statistics of the attention from audio to video, recomputed in validation.

The attention weights are never stored as a whole: blocks are processed one by one, audio queries in chunks.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from avsim.models.joint import Context, JointDiT
from avsim.models.pair import Pair

NEAR = 0.125  # seconds: the window that counts as the same moment
MAX_SCORES = 1 << 24  # attention scores in memory at a time


class AttentionStatistics(NamedTuple):
    """Statistics of each clip, averaged over its audio tokens and over blocks and heads; each (B,)."""

    offset: Tensor  # seconds by which the attended video is later than the audio; 0 when in sync
    spread: Tensor  # seconds, root mean square distance from the audio token's own time
    near: Tensor  # attention within NEAR of that time, over that of uniform attention
    sharpest: Tensor  # `near` of the head in which it is highest


@torch.no_grad()
def attention_statistics(
    model: JointDiT, x: Pair[Tensor], s: Pair[Tensor], context: Context
) -> AttentionStatistics | None:
    """Where in time audio tokens attend to the video, in one forward pass of `model`.

    Arguments as of `JointDiT.forward`, both modalities present. None without cross-modal attention.
    """
    modulation, _ = model.modulation(s, context)
    video, audio = model.embed(x, context)
    found = []
    for block, text in zip(model.blocks, context.text, strict=True):
        attention = block.audio_queries_video_keys(video, audio, modulation, context.rotary)
        if attention is None:
            return None
        q, k = attention
        found.append(attention_moments(q, k, context.seconds))
        video, audio = block(video, audio, modulation, context.rotary, text, context.text_mask)
    offset, square, near = (torch.stack(each) for each in zip(*found, strict=True))  # (blocks, B, heads)
    return AttentionStatistics(
        offset=offset.mean((0, 2)),
        spread=square.mean((0, 2)).sqrt(),
        near=near.mean((0, 2)),
        sharpest=near.amax((0, 2)),
    )


def attention_moments(q: Tensor, k: Tensor, seconds: Pair[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Mean offset, mean squared offset and relative weight near 0 of one attention, (B, heads) each.

    Shapes: audio queries q (B, heads, La, d), video keys k (B, heads, Lv, d); seconds (Lv,), (La,). Weights
    are normalised over the video's keys.
    """
    later = seconds.video[None, :] - seconds.audio[:, None]  # (La, Lv)
    close = (later.abs() <= NEAR).float()
    chunk = max(1, MAX_SCORES // (k.shape[:-1].numel()))
    sums = torch.zeros(3, *q.shape[:2], device=q.device)
    for rows in torch.arange(q.shape[2], device=q.device).split(chunk):
        scores = q[:, :, rows].float() @ k.float().mT / q.shape[-1] ** 0.5
        weights = scores.softmax(-1)  # (B, heads, chunk, Lv)
        for i, values in enumerate((later[rows], later[rows].square(), close[rows])):
            sums[i] += (weights * values).sum((-1, -2))
    offset, square, near = sums / q.shape[2]
    return offset, square, near / close.mean()
