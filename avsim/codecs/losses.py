"""What the codecs' trainings minimise; each function returns its parts, by name."""

import torch
from torch import Tensor

from avsim.codecs.spectra import stft

RESOLUTIONS = (128, 512, 2048)  # samples per window; the hop is a quarter


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


def audio_parts(wave: Tensor, estimate: Tensor) -> dict[str, Tensor]:
    """Distances of waves and of spectra at three resolutions, for mid and side (B, 2, N) each.

    Spectra are compared for mid, left and right: log-magnitudes ("level"), and complex spectra with the root
    of their magnitudes ("spectrum"), without which phase, and so SI-SDR, would be free. The wave's own
    distance is a share of the clip's loudness.
    """
    loudness = wave.square().mean((1, 2), keepdim=True).sqrt().clamp(min=1e-2)
    parts = {"wave": ((estimate - wave).abs() / loudness).mean()}
    level, spectrum = wave.new_zeros(()), wave.new_zeros(())
    for size in RESOLUTIONS:
        window = torch.hann_window(size, device=wave.device)
        with torch.no_grad():
            true_level, true_spectrum = _heard(stft(wave, size, size // 4, window))
        made_level, made_spectrum = _heard(stft(estimate, size, size // 4, window))
        level = level + (made_level - true_level).abs().mean()
        spectrum = spectrum + 2 * (made_spectrum - true_spectrum).abs().mean()
    return parts | {"level": level / len(RESOLUTIONS), "spectrum": spectrum / len(RESOLUTIONS)}


def _heard(spectra: Tensor) -> tuple[Tensor, Tensor]:
    """Of mid and side (B, 2, bins, F): log-magnitudes (B, 3, bins, F) of mid, left and right, and their
    spectra with the root of their magnitudes, real and imaginary, (2, B, 3, bins, F).

    In real arithmetic and roots alone, which is 5 times quicker here than complex powers.
    """
    mid, side = torch.stack([spectra.real, spectra.imag]).unbind(2)  # (2, B, bins, F) each
    views = torch.stack([mid, mid + side, mid - side], 2)  # (2, B, 3, bins, F)
    energy = views[0].square() + views[1].square() + 1e-9  # a floor 84 dB below a full-scale sine
    return 0.5 * energy.log(), views * energy.sqrt().rsqrt()
