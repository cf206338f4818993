"""What the codecs' trainings minimise; each function returns its parts, by name."""

import torch
from torch import Tensor

from avsim.codecs.spectra import compressed, stft

RESOLUTIONS = (128, 512, 2048)  # samples per window; the hop is a quarter


def video_parts(frames: Tensor, estimate: Tensor, motion: float) -> dict[str, Tensor]:
    """Charbonnier distance and distance of spatial gradients, (B, 3, T, H, W) each.

    A pixel that changes by a tenth or more since the frame before weighs `1 + motion` times one that stays.
    """
    weight = moving(frames) * motion + 1
    weight = weight / weight.mean()
    error = estimate - frames
    parts = {"charbonnier": (weight * (error.square() + 1e-6).sqrt()).mean()}
    across, down = error.diff(dim=-1).abs(), error.diff(dim=-2).abs()
    parts["gradient"] = (weight[..., 1:] * across).mean() + (weight[..., 1:, :] * down).mean()
    return parts


def moving(frames: Tensor) -> Tensor:
    """How much each pixel moves, in [0, 1], (B, 1, T, H, W): its change since the frame before, 0.1 for 1.

    Frame 0 takes frame 1's; one frame alone does not move.
    """
    if frames.shape[2] == 1:
        return torch.zeros_like(frames[:, :1])
    change = frames.diff(dim=2).abs().amax(1, keepdim=True)
    return (torch.cat([change[:, :, :1], change], 2) * 10).clamp(max=1)


def audio_parts(wave: Tensor, estimate: Tensor) -> dict[str, Tensor]:
    """Distances of waves and of spectra at three resolutions, for mid and side (B, 2, N) each.

    Spectra are compared for mid, side, left and right: log-magnitudes ("level"), and complex spectra with
    magnitudes to the power 0.4 ("spectrum"), without which phase, and so SI-SDR, would be free. The wave's
    own distance is a share of the clip's loudness.
    """
    loudness = wave.square().mean((1, 2), keepdim=True).sqrt().clamp(min=1e-2)
    parts = {"wave": ((estimate - wave).abs() / loudness).mean()}
    level, spectrum = wave.new_zeros(()), wave.new_zeros(())
    for size in RESOLUTIONS:
        window = torch.hann_window(size, device=wave.device)
        with torch.no_grad():
            true = _views(stft(wave, size, size // 4, window))
        made = _views(stft(estimate, size, size // 4, window))
        level = level + (_log_magnitude(made) - _log_magnitude(true)).abs().mean()
        difference = compressed(made) - compressed(true)
        spectrum = spectrum + (difference.real.abs() + difference.imag.abs()).mean()
    return parts | {"level": level / len(RESOLUTIONS), "spectrum": spectrum / len(RESOLUTIONS)}


def _views(spectra: Tensor) -> Tensor:
    """Mid and side (B, 2, bins, F) -> mid, side, left and right, (B, 4, bins, F)."""
    mid, side = spectra.unbind(1)
    return torch.stack([mid, side, mid + side, mid - side], 1)


def _log_magnitude(spectra: Tensor) -> Tensor:
    energy = spectra.real.square() + spectra.imag.square()
    return 0.5 * (energy + 1e-9).log()  # a floor 84 dB below a full-scale sine
