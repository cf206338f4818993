import math

import pytest
import torch

from avsim.codecs.spectra import stft
from avsim.codecs.stereo import cues, spectra, waveform

WINDOW = torch.hann_window(500)


def heard(wave):
    return cues(stft(wave, 512, 125, WINDOW))


def tone(frequency, left=1.0, right=1.0, late=0.0, samples=16000):
    """One tone on both sides, the right one `late` s later."""
    seconds = torch.arange(samples, dtype=torch.float64) / 16000
    sides = [
        gain * torch.sin(2 * torch.pi * frequency * (seconds - shift))
        for gain, shift in ((left, 0), (right, late))
    ]
    return torch.stack(sides)[None].float()


def test_cues_of_a_tone_by_hand():
    # Bin 16 of 512 at 16 kHz is 500 Hz; a full-scale sine has magnitude 1/2 in its bin.
    found = heard(tone(500, left=1.0, right=0.5, late=0.0005))[0, :, 16, 20:100].mean(-1)
    level = 0.5 * math.log((0.25 + 0.0625) / 2)
    assert torch.allclose(found[:2], torch.tensor([level, math.log(2)]), atol=1e-3)
    assert torch.allclose(found[2:], torch.tensor([0.0, 1.0]), atol=1e-2)  # a quarter of its period ahead


def test_silence_has_no_side():
    found = heard(torch.zeros(1, 2, 4000))
    assert torch.allclose(found[:, 0], torch.tensor(0.5 * math.log(1e-9)))
    assert found[:, 1:].abs().max() == 0


def test_spectra_are_those_that_the_cues_are_of():
    wave = 0.1 * torch.randn(2, 2, 4000, generator=torch.Generator().manual_seed(0))
    true = stft(wave, 512, 125, WINDOW)
    made = spectra(cues(true), true[:, 1] / true[:, 1].abs())
    assert torch.allclose(made, true, atol=2e-5)


@pytest.mark.parametrize("frequency", [300.0, 440.0, 2000.0])
def test_a_tone_comes_back_as_it_was_but_for_its_phase(frequency):
    wave = tone(frequency, 0.4, 0.2, 0.0001)
    made = waveform(heard(wave), 512, 125, WINDOW)
    assert made.shape == wave.shape
    spectrum = torch.fft.rfft(made[0] * torch.hann_window(16000)).abs()
    assert abs(int(spectrum[0].argmax()) - frequency) <= 2  # a bin is 1 Hz
    level = made.square().mean(-1).sqrt() / wave.square().mean(-1).sqrt()
    assert (20 * level.log10()).abs().max() < 0.5


def test_levels_that_no_phases_fit_sound_nearly_as_loud_as_they_say():
    found = heard(tone(440.0, 0.4, 0.2))
    found[:, 0] += torch.randn(found[:, 0].shape, generator=torch.Generator().manual_seed(0))
    made = stft(waveform(found, 512, 125, WINDOW), 512, 125, WINDOW).abs().square().mean(1)
    told = (2 * found[:, 0]).exp()
    assert (10 * (made.sum() / told.sum()).log10()).abs() < 1


def test_a_click_stays_where_it_was():
    wave = torch.zeros(1, 2, 8000)
    wave[..., 4000:4050] = 0.5 * torch.randn(50, generator=torch.Generator().manual_seed(0))
    made = waveform(heard(wave), 512, 125, WINDOW)
    energy = made.square().sum((0, 1)).cumsum(0)
    first, last = (int((energy < share * energy[-1]).sum()) for share in (0.05, 0.95))
    assert 3800 < first and last < 4250  # within a window of it


def test_the_same_cues_are_the_same_samples():
    found = heard(0.1 * torch.randn(3, 2, 4000, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(waveform(found, 512, 125, WINDOW), waveform(found, 512, 125, WINDOW))
    # In another batch sums are rounded otherwise, and the rounds make more of it.
    whole, alone = waveform(found, 512, 125, WINDOW)[2:], waveform(found[2:], 512, 125, WINDOW)
    assert (whole - alone).square().mean() < 1e-3 * whole.square().mean()
