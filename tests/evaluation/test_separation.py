import math

import mir_eval
import pytest
import torch

from avsim.errors import InputError
from avsim.evaluation.separation import Separation
from avsim.measures import si_sdr
from avsim.seeds import generator


def sounds(rows: int, sources: int, samples: int = 2000):
    random = generator(0, "separation")
    reference = torch.randn(rows, sources, samples, generator=random, dtype=torch.float64)
    noise = torch.randn(rows, sources, samples, generator=random, dtype=torch.float64)
    return reference, reference + 0.2 * reference.flip(1) + 0.1 * noise


def test_means_over_sources_and_gains_as_mir_eval_has_them():
    reference, estimate = sounds(2, 2)
    mixture = reference.sum(1)
    scorer = Separation()
    scorer.update(reference, estimate, mixture)
    found = scorer.compute()
    theirs, before = [], []
    for r, e, m in zip(reference.numpy(), estimate.numpy(), mixture.numpy(), strict=True):
        scores = mir_eval.separation.bss_eval_sources(r, e, compute_permutation=False)
        theirs.append([each.mean() for each in scores[:3]])
        scores = mir_eval.separation.bss_eval_sources(r, [m, m] + 0 * r, compute_permutation=False)
        before.append([each.mean() for each in scores[:3]])
    theirs, before = torch.tensor(theirs).mean(0), torch.tensor(before).mean(0)
    for k, name in enumerate(("SDR (BSS-eval 3, 512 taps), dB", "SIR (BSS-eval 3), dB")):
        assert found[name].item() == pytest.approx(theirs[k].item(), abs=1e-3)
        assert found[f"gain in {name}"].item() == pytest.approx((theirs - before)[k].item(), abs=1e-3)
    expected = si_sdr(reference, estimate) - si_sdr(reference, mixture[:, None].expand(2, 2, -1))
    assert found["gain in SI-SDR, dB"].item() == pytest.approx(expected.mean().item())
    assert found["silent references"] == 0


def test_the_mixture_gains_nothing():
    reference, _ = sounds(2, 3)
    scorer = Separation()
    scorer.update(reference, reference.sum(1, keepdim=True).expand_as(reference), reference.sum(1))
    assert scorer.compute()["gain in SDR (BSS-eval 3, 512 taps), dB"] == 0


def test_silence_is_counted_and_spoils_no_mean():
    reference, estimate = sounds(3, 2)
    mixture = reference.sum(1)
    reference[0, 1] = 0  # a source that doesn't sound
    estimate[1, 0] = 0  # a stem that should
    reference[2] = 0
    scorer = Separation()
    scorer.update(reference, estimate, mixture)
    score = scorer.scores()["SDR (BSS-eval 3, 512 taps), dB"]
    assert score.clips == 2 and score.skipped == {"is silent": 1} and math.isfinite(score.value)
    assert scorer.compute()["silent references"] == 1 and scorer.compute()["silent estimates"] == 1
    alone = Separation()
    alone.update(reference[:2], estimate[:2], mixture[:2])
    assert alone.scores()["SI-SDR, dB"].value == scorer.scores()["SI-SDR, dB"].value


def test_one_source_has_no_interference():
    reference, estimate = sounds(1, 1)
    scorer = Separation()
    scorer.update(reference, estimate, reference[:, 0])
    assert scorer.compute()["SIR (BSS-eval 3), dB"].isnan()
    assert scorer.compute()["SDR (BSS-eval 3, 512 taps), dB"].isfinite()


def test_bad_input():
    reference, estimate = sounds(2, 2)
    with pytest.raises(InputError, match="the mixture is"):
        Separation().update(reference, estimate, reference)
