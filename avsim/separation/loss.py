"""What the shares of regions should have been, and how far they are from it."""

import torch
from torch import Tensor

from avsim.separation.spectrum import FLOOR, Scale, band_power, inverse, transform

TINY = 1e-12


def with_off_screen(stems: Tensor, wave: Tensor) -> Tensor:
    """Stems (B, R, A, N) and the mixture (B, A, N) -> (B, R + 1, A, N), last what no region makes."""
    return torch.cat([stems, (wave - stems.sum(1))[:, None]], 1)


def stem_power(stems: Tensor, sample_rate: int, scale: Scale) -> Tensor:
    """Power of each stem in each bin, (B, R, A, N) -> (B, R, F, J)."""
    return band_power(transform(stems, sample_rate, scale), scale.pool(sample_rate))


def ideal_shares(power: Tensor) -> Tensor:
    """The ideal ratio of each stem, its part of all stems' power, (B, R, F, J); even where all is silent."""
    floor = FLOOR * power.sum(1, keepdim=True).mean((2, 3), keepdim=True) + TINY
    return (power + floor / power.shape[1]) / (power.sum(1, keepdim=True) + floor)


def share_loss(shares: Tensor, power: Tensor) -> Tensor:
    """Kullback-Leibler divergence of `shares` from the ideal ones, weighted by magnitude, (B,).

        sum_fj w sum_r q_r log(q_r / p_r) / sum_fj w,    w = sqrt(sum_r power_r)

    Shapes: shares and power (B, R, F, J). A silent clip weighs nothing.
    """
    ideal = ideal_shares(power)
    weight = power.sum(1).sqrt()  # (B, F, J)
    divergence = (ideal * (ideal.clamp(min=1e-6).log() - shares.clamp(min=1e-6).log())).sum(1)
    return (weight * divergence).sum((1, 2)) / weight.sum((1, 2)).clamp(min=TINY)


def spectrum_loss(shares: Tensor, power: Tensor) -> Tensor:
    """L1 distance between each stem's magnitudes and its share of all power's, against the sum, (B,)."""
    magnitude = power.sum(1, keepdim=True).sqrt()
    distance = (shares * magnitude - power.sqrt()).abs().sum((1, 2, 3))
    return distance / magnitude.sum((1, 2, 3)).clamp(min=TINY)


def share_out(bins: Tensor, shares: Tensor, samples: int, sample_rate: int, scale: Scale) -> Tensor:
    """The stems that shares give: bins (B, A, M, J), shares (B, R, F, J) -> (B, R, A, N)."""
    linear = scale.spread(sample_rate).to(shares) @ shares  # (B, R, M, J)
    return inverse(bins[:, None] * linear[:, :, None], samples, sample_rate, scale)
