"""An onset detector without training: peaks of the spectral flux.

    flux(j) = mean over mel bands of max(0, dB(j) - dB(j - 1))

(Böck and Widmer, DAFx 2013, without their maximum filter, as librosa's `onset_strength` has it). Levels are
absolute: a quiet clip's noise is not made loud, and one loud onset hides no other.
"""

import math

import torch
import torch.nn.functional as F
import torchaudio
from torch import Tensor

from avsim.clip import Clip
from avsim.errors import InputError
from avsim.perception.detections import Onset

RATE = 16000  # Hz, that sounds are brought to
WINDOW, HOP = 512, 64  # samples: 32 and 4 ms
BANDS = 40
FLOOR = -70.0  # dB, of a full-scale sine's peak in a band, below which nothing is heard
LAG = 4  # hops between the two columns that are compared: half a window
LEAST = 3.0  # dB of mean flux: a peak
ABOVE = 2.0  # dB above the mean of what surrounds it
AROUND = 25  # hops before and after that surround a peak: 0.1 s
APART = 0.05  # s between onsets, at least
ATTACK = 0.06  # s, whose level is an onset's
EARLY = 0.006  # s: dB rise most while a window only begins to meet a sound (the median on the world)


def flux_onsets(clip: Clip) -> list[Onset]:
    """Onsets of a clip, in order of time, without kinds.

    The probability is a monotone measure of the peak, not a calibrated one.

    Raises:
        InputError: the clip has no audio.
    """
    if clip.wave is None:
        raise InputError("the clip has no audio to find onsets in")
    wave = torchaudio.functional.resample(clip.wave.float().mean(0), clip.sample_rate, RATE)
    found = [(column * HOP / RATE + EARLY, peak) for column, peak in peaks(spectral_flux(wave))]
    return [
        Onset(seconds, _level(clip, seconds), "", "", 1 - math.exp(-peak / LEAST)) for seconds, peak in found
    ]


def spectral_flux(wave: Tensor) -> Tensor:
    """Mean rise of the mel bands in dB over half a window, (N,) at 16 kHz -> (1 + N // hop,).

    Column j is centred on sample j hop.
    """
    window = torch.hann_window(WINDOW, device=wave.device)
    padded = F.pad(wave, (WINDOW // 2, WINDOW // 2))
    spectrum = torch.stft(padded, WINDOW, HOP, window=window, center=False, return_complex=True)
    power = (2 * spectrum / window.sum()).abs().square()  # (bins, columns)
    mel = torchaudio.functional.melscale_fbanks(WINDOW // 2 + 1, 30.0, RATE / 2, BANDS, RATE).to(power)
    level = 10 * torch.log10((mel.T @ power).clamp(min=10 ** (FLOOR / 10)))
    rise = (level[:, LAG:] - level[:, :-LAG]).clamp(min=0).mean(0)
    return F.pad(rise, (LAG // 2, LAG - LAG // 2))  # the middle between both columns


def peaks(flux: Tensor) -> list[tuple[int, float]]:
    """Columns that rise above all within `APART`, above what surrounds them, and high enough."""
    apart = max(1, round(APART * RATE / HOP))
    highest = F.max_pool1d(flux[None], 2 * apart + 1, 1, apart)[0]
    weights = torch.ones_like(flux)[None]
    summed = F.avg_pool1d(flux[None], 2 * AROUND + 1, 1, AROUND)
    surround = (summed / F.avg_pool1d(weights, 2 * AROUND + 1, 1, AROUND))[0]
    found: list[tuple[int, float]] = []
    chosen = (flux == highest) & (flux >= LEAST) & (flux >= surround + ABOVE)
    for column in chosen.nonzero()[:, 0].tolist():
        if not found or column - found[-1][0] > apart:  # of equals, the first
            found.append((column, flux[column].item()))
    return found


def _level(clip: Clip, seconds: float) -> float:
    """Root mean square of an attack in dB of full scale."""
    assert clip.wave is not None
    first = min(int(seconds * clip.sample_rate), clip.wave.shape[1] - 1)
    attack = clip.wave[:, first : first + math.ceil(ATTACK * clip.sample_rate)]
    return 10 * math.log10(max(attack.double().square().mean().item(), 1e-12))
