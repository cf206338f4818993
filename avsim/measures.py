"""How near an estimate comes to a reference, and how sure a mean is. Plain functions on tensors."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from avsim import seeds
from avsim.errors import InputError

BEST_PSNR = 100.0  # dB, given to estimates equal to their reference


def psnr(reference: Tensor, estimate: Tensor, weight: Tensor | None = None) -> Tensor:
    """Peak signal-to-noise ratio in dB of values in [0, 1], (B, ...) each -> (B,): `-10 log10 mse`.

    `weight`, which broadcasts to the values, says how much each counts (a mask of the things that move,
    say); a row whose weights are all 0 is undefined: nan. Equal rows are given 100 dB.
    """
    _same_shape(reference, estimate)
    error = (reference.double() - estimate.double()).square()
    if weight is None:
        mse = error.flatten(1).mean(1)
    else:
        share = weight.double().expand_as(error).flatten(1)
        mse = (error.flatten(1) * share).sum(1) / share.sum(1)
    return -10 * torch.log10(mse.clamp(min=10 ** (-BEST_PSNR / 10)))


def si_sdr(reference: Tensor, estimate: Tensor) -> Tensor:
    """Scale-invariant signal-to-distortion ratio in dB over the last axis, (..., N) each -> (...).

    `10 log10 |a r|^2 / |a r - e|^2` with `a = <e, r> / <r, r>` (Le Roux et al. 1811.02508, equation 3). It is
    undefined for a silent reference: nan.
    """
    _same_shape(reference, estimate)
    reference, estimate = reference.double(), estimate.double()
    scale = (estimate * reference).sum(-1) / reference.square().sum(-1)
    target = scale[..., None] * reference
    tiny = torch.finfo(torch.float64).tiny
    ratio = target.square().sum(-1) / (target - estimate).square().sum(-1).clamp(min=tiny)
    return 10 * torch.log10(ratio)


def log_spectral_distance(
    reference: Tensor, estimate: Tensor, n_fft: int = 512, hop: int = 128, floor: float = -80.0
) -> Tensor:
    """Log-spectral distance in dB, (..., N) each -> (...).

    The root mean square over bins of the difference of power spectra in dB, averaged over frames (Gray and
    Markel 1976). Powers below `floor` dB of a full-scale sine's count as `floor`.
    """
    _same_shape(reference, estimate)
    difference = _decibels(reference, n_fft, hop, floor) - _decibels(estimate, n_fft, hop, floor)
    return difference.square().mean(-2).sqrt().mean(-1)


def _decibels(wave: Tensor, n_fft: int, hop: int, floor: float) -> Tensor:
    """Power spectra in dB of a full-scale sine's peak, (..., N) -> (..., bins, frames)."""
    window = torch.hann_window(n_fft, device=wave.device)
    flat = torch.nn.functional.pad(wave.float().reshape(-1, wave.shape[-1]), (n_fft // 2, n_fft // 2))
    spectra = torch.stft(flat, n_fft, hop, window=window, center=False, return_complex=True)
    power = (2 * spectra / window.sum()).abs().square()
    return 10 * torch.log10(power.clamp(min=10 ** (floor / 10))).reshape(*wave.shape[:-1], *power.shape[1:])


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3g} [{self.low:.3g}, {self.high:.3g}]"

    def plain(self) -> dict[str, float | None]:
        """As JSON values; None for what is not finite, which JSON has no number for."""
        return {name: value if math.isfinite(value) else None for name, value in vars(self).items()}


def bootstrap(values: Tensor, seed: int = 0, draws: int = 2000) -> Interval:
    """Mean of `values` (any shape) with its 95 % percentile bootstrap interval; nan values are left out.

    Raises:
        InputError: no value is left.
    """
    values = values.detach().double().cpu().flatten()
    values = values[~values.isnan()]
    if not len(values):
        raise InputError("bootstrap needs at least one value that is not nan; found none")
    chosen = torch.randint(len(values), (draws, len(values)), generator=seeds.generator(seed, "bootstrap"))
    means = values[chosen].mean(1)
    low, high = torch.quantile(means, torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return Interval(values.mean().item(), low, high)


def jackknife(statistics: Callable[[Tensor], Tensor], group: Tensor) -> list[Interval]:
    """Statistics of all rows with 95 % intervals from leaving out one group of rows after the other.

    Args:
        statistics: of the rows kept (n,) bool, (k,).
        group: of each row (n,), numbered from 0.
    """
    count = int(group.max()) + 1
    values = statistics(torch.ones_like(group, dtype=torch.bool))  # (k,)
    parts = torch.stack([statistics(group != k) for k in range(count)])  # (groups, k)
    errors = ((count - 1) / count * (parts - parts.mean(0)).square().sum(0)).sqrt()
    return [
        Interval(value, value - 1.96 * error, value + 1.96 * error)
        for value, error in zip(values.tolist(), errors.tolist(), strict=True)
    ]


def _same_shape(reference: Tensor, estimate: Tensor) -> None:
    if reference.shape != estimate.shape:
        raise InputError(
            f"reference is {tuple(reference.shape)} and estimate {tuple(estimate.shape)}; expected one shape"
        )
