"""Short-time Fourier transforms whose frames tile the samples: N // hop of them, frame i centred on hop i.

They always run in float32, whatever autocast says.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def stft(wave: Tensor, n_fft: int, hop: int, window: Tensor) -> Tensor:
    """Complex spectra (..., n_fft / 2 + 1, N // hop) of (..., N).

    Frame i is centred on sample (i + 1/2) hop; outside the wave there is silence. A full-scale sine has
    magnitude 1/2 in its bin, for every window.
    """
    with torch.autocast(wave.device.type, enabled=False):
        window = window.float()
        before, after = _margins(len(window), hop)
        frames = F.pad(wave.float(), (before, after)).unfold(-1, len(window), hop)  # (..., F, window)
        return torch.fft.rfft(frames * (window / window.sum()), n=n_fft).transpose(-1, -2)


def istft(spectra: Tensor, n_fft: int, hop: int, window: Tensor) -> Tensor:
    """The wave (..., F hop) whose `stft` is nearest (least squares) to complex `spectra` (..., bins, F).

    The window's length must be a multiple of `hop`. Source: Griffin and Lim 1984, equation 6.
    """
    with torch.autocast(spectra.device.type, enabled=False):
        window = window.float()
        frames = torch.fft.irfft(spectra.transpose(-1, -2), n=n_fft)[..., : len(window)] * window.sum()
        weight = window.square().expand(frames.shape[-2], -1)
        before, _ = _margins(len(window), hop)
        span = slice(before, before + frames.shape[-2] * hop)
        return overlap_add(frames * window, hop)[..., span] / overlap_add(weight, hop)[span]


def overlap_add(frames: Tensor, hop: int) -> Tensor:
    """Sum of frames (..., F, k hop), each `hop` samples after the one before: (..., (F + k - 1) hop)."""
    count, length = frames.shape[-2:]
    parts = frames.reshape(*frames.shape[:-1], length // hop, hop)  # (..., F, k, hop)
    k = length // hop
    total = sum(F.pad(parts[..., i, :], (0, 0, i, k - 1 - i)) for i in range(k))  # (..., F + k - 1, hop)
    assert isinstance(total, Tensor)
    return total.reshape(*total.shape[:-2], (count + k - 1) * hop)


def _margins(window: int, hop: int) -> tuple[int, int]:
    before = (window - hop) // 2
    return before, window - hop - before
