import math

import pytest
import torch

from avsim.errors import InputError
from avsim.measures import Interval, bootstrap, jackknife, log_spectral_distance, psnr, si_sdr


def test_psnr_of_a_known_error():
    reference = torch.zeros(2, 3, 4, 4)
    estimate = torch.stack([torch.full((3, 4, 4), 0.1), torch.full((3, 4, 4), 0.01)])
    assert psnr(reference, estimate).tolist() == pytest.approx([20.0, 40.0], abs=1e-5)


def test_psnr_of_equal_rows_is_100():
    x = torch.rand(2, 3)
    assert psnr(x, x).tolist() == [100.0, 100.0]


def test_psnr_counts_only_what_weighs():
    reference, estimate = torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2)
    estimate[..., 0, 0], estimate[..., 1, 1] = 0.1, 0.9
    mask = torch.zeros(1, 1, 2, 2)
    mask[..., 0, 0] = 1
    assert psnr(reference, estimate, mask).item() == pytest.approx(20.0, abs=1e-5)
    assert psnr(reference, estimate, 0 * mask).isnan().all()


def test_si_sdr_by_hand():
    # e = r + n with n orthogonal to r and a tenth of its length: 20 dB; scaling e changes nothing.
    reference = torch.tensor([[1.0, 0.0, 0.0, 1.0]])
    noise = torch.tensor([[0.0, 0.1, 0.1, 0.0]])
    for gain in (1.0, 3.0, -0.5):
        assert si_sdr(reference, gain * (reference + noise)).item() == pytest.approx(20.0, abs=1e-4)


def test_si_sdr_keeps_leading_axes_and_is_nan_for_silence():
    reference = torch.randn(2, 3, 100)
    reference[1, 2] = 0
    found = si_sdr(reference, reference + torch.randn(2, 3, 100))
    assert found.shape == (2, 3)
    assert found.isnan().nonzero().tolist() == [[1, 2]]


def test_log_spectral_distance_of_a_gain_is_the_gain():
    wave = 0.3 * torch.randn(2, 2, 8000)
    assert log_spectral_distance(wave, wave).abs().max() == 0
    # Ten times quieter is 20 dB in every bin of every frame: white noise stays above the floor.
    assert log_spectral_distance(wave, wave / 10).numpy() == pytest.approx(20.0, abs=0.05)


def test_log_spectral_distance_floor():
    sine = torch.sin(2 * math.pi * 1000 * torch.arange(4096) / 16000)[None]
    silence = torch.zeros_like(sine)
    assert log_spectral_distance(silence, 1e-9 * sine).item() == 0
    assert log_spectral_distance(silence, sine, floor=-40).max() <= 40


def test_bootstrap_of_a_normal_sample():
    values = torch.randn(400, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    interval = bootstrap(values)
    half = 1.96 * values.std().item() / 20
    assert interval.mean == pytest.approx(values.mean().item())
    assert interval.low == pytest.approx(interval.mean - half, abs=0.02)
    assert interval.high == pytest.approx(interval.mean + half, abs=0.02)
    assert bootstrap(values) == interval != bootstrap(values, seed=1)


def test_bootstrap_leaves_nan_out():
    assert bootstrap(torch.tensor([2.0, float("nan"), 2.0])) == Interval(2.0, 2.0, 2.0)
    with pytest.raises(InputError, match="at least one value"):
        bootstrap(torch.tensor([float("nan")]))


def test_the_jackknife_of_a_mean_is_its_standard_error():
    values = torch.randn(100, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    found, twice = jackknife(lambda kept: values[kept].mean() * torch.tensor([1, 2]), torch.arange(100) % 10)
    assert found.mean == pytest.approx(values.mean().item())
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * values.std().item() / 10, rel=0.5)
    assert twice.high == pytest.approx(2 * found.high)
    (exact,) = jackknife(lambda kept: values[kept].mean()[None], torch.arange(100))
    assert exact.high - exact.mean == pytest.approx(1.96 * values.std().item() / 10)  # exact


def test_shapes_must_agree():
    for measure in (psnr, si_sdr, log_spectral_distance):
        with pytest.raises(InputError, match=r"\(2, 600\).*\(1, 600\)"):
            measure(torch.zeros(2, 600), torch.zeros(1, 600))
