"""Where the video codec starts: at the principal components of blocks of pixels, the best linear codec.

A linear map runs beside the networks of `VideoAutoencoder`, from blocks of 8 x 8 x 4 pixels to latents and
back. Set to principal components before the first step, it lets the networks learn only what is not linear:
on a CPU that is hours ahead of learning both.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from avsim.codecs.video import VideoAutoencoder

SPREAD = 0.5  # standard deviation of raw latents at the start, well within the bound of 3


@torch.no_grad()
def block_moments(frames: Tensor, time_stride: int = 4, space_stride: int = 8) -> list[Tensor]:
    """Mean outer products of (1, block) over frames (B, 3, T, H, W): for single frames, and for runs.

    Shapes: (1 + 192, 1 + 192) and (1 + 768, 1 + 768), float64; blocks are ordered as the codec's linear map
    takes them, (frame, channel of `pixel_unshuffle`).
    """
    x = F.pixel_unshuffle(rearrange(4 * frames.double() - 2, "b c t h w -> (b t) c h w"), space_stride)
    x = rearrange(x, "(b t) c h w -> b t c h w", b=len(frames))
    whole = x.shape[1] // time_stride * time_stride
    single = rearrange(x, "b t c h w -> (b t h w) c")
    run = rearrange(x[:, :whole], "b (k s) c h w -> (b k h w) (s c)", s=time_stride)
    return [
        rows.T @ rows / len(rows)
        for rows in (F.pad(single, (1, 0), value=1.0), F.pad(run, (1, 0), value=1.0))
    ]


@torch.no_grad()
def start_at_principal_components(model: VideoAutoencoder, moments: list[Tensor]) -> None:
    """Set the linear map of `model` to the components that `block_moments` give it, and note that it was."""
    down, up = model.encoder.straight, model.decoder.straight
    for moment, into, back in zip(moments, (down.first, down.rest), (up.first, up.rest), strict=True):
        mean = moment[0, 1:]
        values, vectors = torch.linalg.eigh(moment[1:, 1:] - torch.outer(mean, mean))
        axes, scale = vectors[:, -model.channels :], values[-model.channels :].clamp(min=1e-9).sqrt()
        axes = axes * axes.gather(0, axes.abs().argmax(0)[None]).sign()  # a component has no sign of its own
        analysis = SPREAD * axes.T / scale[:, None]  # (D, block)
        _set(into, analysis, -analysis @ mean)
        _set(
            back, axes * scale / SPREAD / 4, mean / 4
        )  # the decoder speaks of frames - 0.5, the block of 4 x that
    model.started.fill_(True)


def _set(conv: nn.Conv2d, weight: Tensor, bias: Tensor) -> None:
    conv.weight.copy_(weight[:, :, None, None])
    assert conv.bias is not None
    conv.bias.copy_(bias)
