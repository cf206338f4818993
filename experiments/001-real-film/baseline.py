"""The floor under the video codec: a PCA of blocks of 4 x 8 x 8 pixels, as many channels as its latents."""

import torch
from einops import rearrange
from heldout import picked

from avsim.measures import psnr

CHANNELS = 16
BLOCK = (4, 8, 8)  # frames, rows, columns


def blocks(frames: torch.Tensor) -> torch.Tensor:
    """(3, T, H, W), T, H, W multiples of the block -> (blocks, 3 x 4 x 8 x 8)."""
    t, h, w = BLOCK
    return rearrange(frames, "c (t i) (h j) (w k) -> (t h w) (c i j k)", i=t, j=h, k=w)


def pca_scores(shards: str) -> list[float]:
    """PSNR in dB of every held-out clip, by axes fitted to the training shots."""
    gathered, square, count = 0.0, 0.0, 0
    for _, sample in picked(shards, ("train",)):
        rows = blocks(sample.frames).double()
        gathered, square, count = gathered + rows.sum(0), square + rows.T @ rows, count + len(rows)
    mean = gathered / count
    axes = torch.linalg.eigh(square / count - mean[:, None] * mean).eigenvectors[:, -CHANNELS:]
    scores = []
    for _, sample in picked(shards):
        rows = blocks(sample.frames).double() - mean
        back = (rows @ axes) @ axes.T + mean
        scores.append(psnr(blocks(sample.frames)[None], back[None].clamp(0, 1).float()).item())
    return scores
