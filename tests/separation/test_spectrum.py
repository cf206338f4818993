"""The spectrum is inverted exactly, shares stay shares on it, and it reads any rate alike."""

import math

import pytest
import torch

from avsim.separation.loss import ideal_shares, share_loss, share_out, spectrum_loss, stem_power
from avsim.separation.spectrum import Scale, band_power, features, frames_of, inverse, transform

SCALE = Scale()
RATES = [100, 8000, 11025, 16000, 44100, 48000, 96000]


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("samples", [1, 7, 5000])
def test_the_inverse_is_exact(rate, samples):
    wave = torch.randn(2, 1, samples, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    back = inverse(transform(wave, rate, SCALE), samples, rate, SCALE)
    assert back.shape == wave.shape and (back - wave).abs().max() < 1e-12


@pytest.mark.parametrize("rate", RATES)
def test_linear_bins_take_whole_shares(rate):
    spread = SCALE.spread(rate)
    assert (spread >= 0).all() and torch.allclose(spread.sum(1), torch.ones(len(spread)), atol=1e-6)
    hertz = torch.arange(len(spread)) * rate / (2 * (len(spread) - 1))
    above = hertz > SCALE.top
    assert torch.equal(spread[above], spread[above][:1].expand(int(above.sum()), -1))  # the highest band's


@pytest.mark.parametrize("rate", RATES)
def test_every_band_below_nyquist_hears_something(rate):
    heard = SCALE.pool(rate).sum(1)
    knee, bands = SCALE.knee, SCALE.bands
    centres = knee * torch.expm1(torch.linspace(0, math.log1p(SCALE.top / knee), bands).double())
    assert torch.allclose(heard[centres < rate / 2], torch.ones(()), atol=1e-5)


@pytest.mark.parametrize("rate", [8000, 44100])
def test_a_tone_is_heard_alike_at_any_rate(rate):
    def heard(rate):
        seconds = torch.arange(rate // 2) / rate
        wave = torch.sin(2 * math.pi * 900 * seconds)[None, None]
        return features(transform(wave, rate, SCALE), SCALE.pool(rate))[0, 0, :, 12]

    assert (heard(rate).argmax() - heard(16000).argmax()).abs() <= 1


def test_features_see_stereo_and_not_loudness():
    wave = torch.randn(1, 1, 4000, generator=torch.Generator().manual_seed(0))
    pool = SCALE.pool(16000)

    def heard(wave):
        return features(transform(wave, 16000, SCALE), pool)

    mono, double = heard(wave), heard(wave.expand(1, 2, 4000))
    assert torch.allclose(mono, double, atol=1e-5) and torch.allclose(mono, heard(1e-3 * wave), atol=1e-3)
    left = heard(torch.cat([wave, 0.1 * wave], 1))
    assert torch.allclose(left[:, 1], torch.full_like(left[:, 1], 0.99 / 1.01), atol=1e-3)
    opposite = heard(torch.cat([wave, -wave], 1))
    assert torch.allclose(opposite[:, 2], -torch.ones(()), atol=1e-3)
    assert torch.isfinite(heard(torch.zeros(1, 2, 4000))).all()


def test_ideal_shares_take_sounds_apart_and_cost_nothing():
    rate, samples = 16000, 16000
    seconds = torch.arange(samples) / rate
    stems = torch.stack([torch.sin(2 * math.pi * hertz * seconds) for hertz in (300, 2500)])[None, :, None]
    power = stem_power(stems, rate, SCALE)
    ideal = ideal_shares(power)
    assert torch.allclose(ideal.sum(1), torch.ones(()), atol=1e-4)
    back = share_out(transform(stems.sum(1), rate, SCALE), ideal, samples, rate, SCALE)
    error = (back - stems)[..., 2000:-2000].square().mean() / stems.square().mean()
    assert 10 * math.log10(error) < -30
    half = torch.full_like(ideal, 0.5)
    assert share_loss(ideal, power) < 1e-4 and share_loss(half, power) > 0.3
    assert spectrum_loss(ideal, power) < 0.1 * spectrum_loss(half, power)


def test_silence_weighs_nothing():
    power = torch.zeros(1, 3, SCALE.bands, 5)
    assert share_loss(torch.full_like(power, 1 / 3), power) == 0
    assert torch.equal(band_power(torch.zeros(1, 2, 513, 5) + 0j, SCALE.pool(16000)), power[:, 0])


def test_frames_are_those_shown_at_a_moment():
    seconds = torch.tensor([0.0, 0.0624, 0.0625, 0.99, 1.0, 7.0], dtype=torch.float64)
    assert frames_of(seconds, 16, 16.0).tolist() == [0, 0, 1, 15, 15, 15]
