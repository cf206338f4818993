"""The separator's audio input: an STFT on bands whose width grows with frequency.

Windows, hops and bands are fixed in seconds and hertz, so one model reads sound of any sample rate without
resampling: a lower rate leaves the upper bands empty, a higher one extends the highest band's share upwards.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

FLOOR = 1e-8  # power below the clip's mean that counts as silence: -80 dB


@dataclass(frozen=True)
class Scale:
    """Where the bins of a spectrogram lie: `bands` centres, even in log(1 + hertz / knee) from 0 to `top`."""

    hop_seconds: float = 0.016  # a window is four hops
    bands: int = 128  # F
    top: float = 8000.0  # Hz, the centre of the highest band
    knee: float = 400.0  # Hz; below it bands are nearly even, above it nearly logarithmic

    def hop(self, sample_rate: int) -> int:
        """Samples from one column of the STFT to the next."""
        return max(1, round(self.hop_seconds * sample_rate))

    def columns(self, samples: int, sample_rate: int) -> int:
        """J, the columns of a wave's STFT."""
        return 1 + samples // self.hop(sample_rate)

    def column_seconds(self, samples: int, sample_rate: int) -> Tensor:
        """The moment at each column's centre, (J,), float64."""
        columns = self.columns(samples, sample_rate)
        return torch.arange(columns, dtype=torch.float64) * self.hop(sample_rate) / sample_rate

    def pool(self, sample_rate: int) -> Tensor:
        """(F, M): the mean over the linear bins of each band, triangles no narrower than a linear bin."""
        return _matrices(self, sample_rate)[0]

    def spread(self, sample_rate: int) -> Tensor:
        """(M, F): what each linear bin takes from the bands around it; rows sum to 1, as shares do."""
        return _matrices(self, sample_rate)[1]


@lru_cache(maxsize=16)
def _matrices(scale: Scale, sample_rate: int) -> tuple[Tensor, Tensor]:
    n_fft = 4 * scale.hop(sample_rate)
    hertz = torch.arange(n_fft // 2 + 1, dtype=torch.float64) * sample_rate / n_fft  # (M,)
    place = torch.log1p(hertz / scale.knee)
    centres = torch.linspace(
        0, float(torch.log1p(torch.tensor(scale.top / scale.knee))), scale.bands
    ).double()
    step = centres[1] - centres[0]
    one_bin = torch.log1p((torch.expm1(centres) * scale.knee + sample_rate / n_fft) / scale.knee) - centres
    half = torch.maximum(one_bin, step)[:, None]
    pool = (1 - (place - centres[:, None]).abs() / half).clamp(min=0)  # (F, M)
    pool = pool / pool.sum(1, keepdim=True).clamp(min=1e-12)
    position = (place / step).clamp(max=scale.bands - 1)
    spread = (1 - (position[:, None] - torch.arange(scale.bands)).abs()).clamp(min=0)  # (M, F)
    return pool.float(), (spread / spread.sum(1, keepdim=True)).float()


def transform(wave: Tensor, sample_rate: int, scale: Scale) -> Tensor:
    """Wave (..., N) -> complex STFT (..., M, J): Hann windows of four hops, centred, zeros outside."""
    hop = scale.hop(sample_rate)
    window = torch.hann_window(4 * hop, device=wave.device, dtype=wave.dtype)
    flat = wave.reshape(-1, wave.shape[-1])
    bins = torch.stft(
        flat, 4 * hop, hop, window=window, center=True, pad_mode="constant", return_complex=True
    )
    return bins.unflatten(0, wave.shape[:-1])


def inverse(bins: Tensor, samples: int, sample_rate: int, scale: Scale) -> Tensor:
    """Complex STFT (..., M, J) -> wave (..., N), the exact inverse of `transform`."""
    hop = scale.hop(sample_rate)
    window = torch.hann_window(4 * hop, device=bins.device, dtype=bins.real.dtype)
    wave = torch.istft(bins.flatten(0, -3), 4 * hop, hop, window=window, center=True, length=samples)
    return wave.unflatten(0, bins.shape[:-2])


def band_power(bins: Tensor, pool: Tensor) -> Tensor:
    """Complex STFT (..., A, M, J) -> power in each band, the mean over its bins and channels, (..., F, J)."""
    return pool.to(bins.device) @ (bins.real.square() + bins.imag.square()).mean(-3)


def features(bins: Tensor, pool: Tensor) -> Tensor:
    """Input features of a mixture: (B, A, M, J) -> (B, 4, F, J).

    Level (log power against the clip's mean), level difference left to right in [-1, 1], and the coherence of
    the two channels (real and imaginary part, which hold their phase difference). Mono has no difference and
    full coherence; of more than two channels the first two are compared.
    """
    pool = pool.to(bins.device)
    left, right = bins[:, 0], bins[:, min(1, bins.shape[1] - 1)]
    power = band_power(bins, pool)  # (B, F, J)
    mean = power.mean((1, 2), keepdim=True).clamp(min=1e-20)
    left_power, right_power = (pool @ (x.real.square() + x.imag.square()) / mean for x in (left, right))
    cross = left * right.conj()
    norm = (left_power * right_power).sqrt() + FLOOR
    return torch.stack(
        [
            torch.log10(power / mean + FLOOR) / 4 + 1,
            (left_power - right_power) / (left_power + right_power + FLOOR),
            pool @ cross.real / mean / norm,
            pool @ cross.imag / mean / norm,
        ],
        dim=1,
    )


def frames_of(seconds: Tensor, frames: int, frames_per_second: float) -> Tensor:
    """The index of the frame at each moment, clamped to a clip of `frames`."""
    return (seconds * frames_per_second + 1e-6).floor().long().clamp(0, frames - 1)
