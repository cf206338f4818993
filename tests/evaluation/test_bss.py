"""BSS-eval agrees with mir_eval's, scores what can be scored, and is quick."""

import warnings

import numpy as np
import pytest
import torch

from avsim.errors import InputError
from avsim.evaluation.bss import bss_eval


def sounds(rows, sources, samples, seed=0, colour=0.0):
    """Noise (B, S, N), smoothed by one pole at `colour`."""
    noise = torch.randn(
        rows, sources, samples, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )
    powers = colour ** torch.arange(200, dtype=torch.float64)
    kernel = torch.nn.functional.pad(powers, (0, samples))
    spectrum = torch.fft.rfft(noise, samples + 200) * torch.fft.rfft(kernel, samples + 200)
    return torch.fft.irfft(spectrum, samples + 200)[..., :samples]


def mixed(reference, level, seed=1):
    """Estimates that hear a little of each other and of noise."""
    noise = sounds(*reference.shape, seed=seed) * reference.std()
    return reference + level * (0.5 * reference.roll(1, 1) + 0.2 * noise)


def judged(reference, estimate, permutation):
    separation = pytest.importorskip("mir_eval.separation")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = [
            separation.bss_eval_sources(r.numpy(), e.numpy(), permutation)[:3]
            for r, e in zip(reference, estimate, strict=True)
        ]
    return torch.from_numpy(np.array(rows)).transpose(0, 1)  # (3, B, S)


@pytest.mark.parametrize(
    ("sources", "colour", "level", "permutation"),
    [(1, 0.0, 1.0, False), (2, 0.0, 1e-3, False), (2, 0.98, 1e-3, True), (3, 0.98, 1.0, True)],
)
def test_agrees_with_mir_eval(sources, colour, level, permutation):
    reference = sounds(1, sources, 3000, colour=colour)
    estimate = mixed(reference, level)
    if permutation:
        estimate = estimate.roll(1, 1)
    ours, theirs = (
        torch.stack(bss_eval(reference, estimate, permutation)),
        judged(reference, estimate, permutation),
    )
    if sources == 1:  # nothing interferes; mir_eval finds rounding
        assert ours[1].isposinf().all() and (theirs[1] > 100).all()
        ours, theirs = ours[[0, 2]], theirs[[0, 2]]
    assert (ours - theirs).abs().max() < 1e-3


def test_float32_and_any_batch_give_the_same():
    reference = sounds(10, 2, 1000)
    estimate = mixed(reference, 0.3)
    whole = torch.stack(bss_eval(reference.float(), estimate.float()))
    rows = torch.cat(
        [torch.stack(bss_eval(reference[i : i + 1], estimate[i : i + 1])) for i in range(0, 10, 3)], 1
    )
    assert whole.dtype == torch.float64 and (whole[:, ::3] - rows).abs().max() < 1e-4


def test_filters_of_512_taps_are_forgiven_and_later_echoes_are_not():
    reference = sounds(1, 2, 6000)
    near, far = (reference + 0.5 * reference.roll(delay, 2) for delay in (511, 513))
    near[..., :511], far[..., :513] = reference[..., :511], reference[..., :513]  # echoes, not a circle
    assert bss_eval(reference, near)[0].min() > 15  # only what the end cuts off is lost
    assert bss_eval(reference, far)[0].max() < 10


def test_silent_sources_have_no_score_and_spoil_no_other():
    reference = sounds(2, 3, 1500)
    estimate = mixed(reference, 0.1)
    reference[0, 1] = 0
    estimate[1, 2] = 0
    for permutation in (False, True):
        scores = torch.stack(bss_eval(reference, estimate, permutation))
        unheard = torch.zeros(2, 3, dtype=torch.bool)
        unheard[0, 1] = unheard[1, 2] = True
        assert scores[:, unheard].isnan().all() and scores[:, ~unheard].isfinite().all()
    pair = torch.stack(bss_eval(reference[:1, [0, 2]], estimate[:1, [0, 2]]))
    assert (torch.stack(bss_eval(reference[:1], estimate[:1]))[:, :, [0, 2]] - pair).abs().max() < 1e-6


def test_equal_sources_are_singular_and_still_judged():
    reference = sounds(1, 1, 2000).expand(1, 2, 2000)
    sdr, sir, _ = bss_eval(reference, mixed(reference, 0.5))
    assert (sdr > 5).all() and (sir > 60).all()  # one cannot interfere with its equal


def test_bad_input():
    good = torch.randn(1, 2, 100)
    for reference, estimate in ((good, good[:, :1]), (good[0], good[0]), (good[..., :0], good[..., :0])):
        with pytest.raises(InputError, match="shape"):
            bss_eval(reference, estimate)
    with pytest.raises(InputError, match="finite"):
        bss_eval(good, good.log())


def test_a_silent_estimate_has_no_score_whatever_its_reference_is():
    random = torch.Generator().manual_seed(0)
    reference = torch.randn(1, 2, 4000, generator=random)
    estimate = reference + 0.1 * torch.randn(1, 2, 4000, generator=random)
    estimate[:, 1] = 1e-12  # below what counts as sound, and not zero
    for score in bss_eval(reference, estimate):
        assert torch.isfinite(score[0, 0]) and torch.isnan(score[0, 1])
    for score in bss_eval(reference[:, 1:], estimate[:, 1:]):
        assert torch.isnan(score).all()
