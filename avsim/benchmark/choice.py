"""Forced choice between the true audio of the two clips of a pair, without any network.

Around each true hit, band levels of both channels in dB are averaged over three windows of time. For the
videos A and B, a model is right if its outputs o differ in the direction in which the truths t differ,

    <o_A - o_B, t_A - t_B> > 0,

which is the same as |o_A - t_A|^2 + |o_B - t_B|^2 < |o_A - t_B|^2 + |o_B - t_A|^2. Errors that both outputs
share (gain, coloration) cancel. Audio that ignores the video counts as half right.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torchaudio
from torch import Tensor

from avsim.clip import Clip

RATE = 16000  # Hz
WINDOW, HOP = 512, 128  # samples
BANDS = 32
FLOOR = -70.0  # dB of a full-scale sine
STRETCHES = ((-0.02, 0.06), (0.06, 0.16), (0.16, 0.34))  # s after a hit: attack, early and late decay
TIE = 1e-6  # dB^2, per level


def levels(clip: Clip, hits: Sequence[float]) -> Tensor:
    """Mean band levels in dB around each hit, (hits, 3, 2, BANDS); mono counts as two equal channels."""
    assert clip.wave is not None
    wave = clip.wave.float()[:2]
    wave = torchaudio.functional.resample(wave.expand(2, -1), clip.sample_rate, RATE)
    wave = torch.nn.functional.pad(wave, (WINDOW // 2, WINDOW))
    window = torch.hann_window(WINDOW)
    spectrum = torch.stft(wave, WINDOW, HOP, window=window, center=False, return_complex=True)
    power = (2 * spectrum / window.sum()).abs().square()  # (2, bins, columns)
    mel = torchaudio.functional.melscale_fbanks(WINDOW // 2 + 1, 60.0, RATE / 2, BANDS, RATE)
    power = mel.T @ power  # (2, BANDS, columns)
    rows = []
    for hit in hits:
        ends = [[round((hit + moment) * RATE / HOP) for moment in stretch] for stretch in STRETCHES]
        rows.append(torch.stack([_mean(power, *between) for between in ends]))
    found = torch.stack(rows) if rows else torch.zeros(0, len(STRETCHES), 2, BANDS)
    return 10 * torch.log10(found.clamp(min=10 ** (FLOOR / 10)))


def _mean(power: Tensor, first: int, last: int) -> Tensor:
    """Mean power of some columns, (2, BANDS); zeros where the clip has none."""
    part = power[..., max(0, first) : max(0, last)]
    return part.mean(-1) if part.shape[-1] else torch.zeros(power.shape[:-1])


def is_right(outputs: Sequence[Tensor], truths: Sequence[Tensor]) -> float:
    """1 if the outputs (A, B) fit the truths (A, B) better than (B, A), 0 if worse, 1/2 if equally."""
    (a, b), (true_a, true_b) = outputs, truths
    agreement = ((a - b) * (true_a - true_b)).mean().item()
    return 0.5 if abs(agreement) < TIE else float(agreement > 0)
