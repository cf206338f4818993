"""What the codecs' trainings minimise; each function returns its parts, by name."""

import torch
import torch.nn.functional as F
from torch import Tensor


def distortion(frames: Tensor, estimate: Tensor, motion: float) -> Tensor:
    """Error of frames (B, 3, T, H, W) in dB, less its PSNR: the mean over clips, so that easy ones count too.

    A pixel that changes by a tenth or more since the frame before weighs `1 + motion` times one that stays.
    """
    weight = moving(frames) * motion + 1
    weight = weight / weight.mean((1, 2, 3, 4), keepdim=True)  # in each clip: processes can share a batch
    error = (weight * (estimate - frames).square()).mean((1, 2, 3, 4))
    return 10 * (error + 1e-5).log10().mean()


def moving(frames: Tensor) -> Tensor:
    """How much each pixel moves, in [0, 1], (B, 1, T, H, W): its change since the frame before, 0.1 for 1.

    Frame 0 takes frame 1's; one frame alone does not move.
    """
    if frames.shape[2] == 1:
        return torch.zeros_like(frames[:, :1])
    change = frames.diff(dim=2).abs().amax(1, keepdim=True)
    return (torch.cat([change[:, :, :1], change], 2) * 10).clamp(max=1)


def cue_parts(found: Tensor, estimate: Tensor) -> dict[str, Tensor]:
    """Distances of cues (B, 4, M, F), as `avsim.codecs.stereo` has them, from estimated ones.

    Levels are compared bin by bin in logarithms ("level": squared, as in the median of clips no bin has a
    tone), by the root of their magnitudes, which asks for what is loud ("root"), and by the power of patches
    of 4 bins and 4 spectra ("patch") and of whole spectra ("frame"): the bins of noise can't be predicted,
    and their logarithm's mean is too soft. Sides are compared where a bin is loud ("balance", "delay").
    """
    level, made = found[:, 0], estimate[:, 0]  # (B, M, F)
    power, made_power = (2 * level).exp(), (2 * made).exp()
    root = (0.5 * level).exp()
    weight = level.exp() / level.exp().mean((1, 2), keepdim=True)
    patch = _patches(power).log() - _patches(made_power).log()
    frame = power.mean(1).log() - made_power.mean(1).log()
    return {
        "level": 0.5 * (made - level).square().mean(),
        "root": (((0.5 * made).exp() - root).abs() / root.mean((1, 2), keepdim=True)).mean(),
        "patch": 0.5 * patch.abs().mean(),
        "frame": 0.5 * frame.abs().mean(),
        "balance": (weight * (estimate[:, 1] - found[:, 1]).abs()).mean(),
        "delay": (weight[:, None] * (estimate[:, 2:] - found[:, 2:]).abs()).mean(),
    }


def _patches(power: Tensor) -> Tensor:
    """Mean of every 4 x 4, (B, M, F) -> (B, M / 4, F / 4)."""
    return F.avg_pool2d(power, 4)
