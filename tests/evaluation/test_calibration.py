import math

import pytest
import torch
from sklearn.metrics import roc_auc_score

from avsim.clip import ClipSpec
from avsim.errors import InputError
from avsim.evaluation.calibration import Calibration, CorruptionResult, Range, Weights, auroc
from avsim.seeds import generator
from avsim.weights import hash_of


def calibration(**changes) -> Calibration:
    plain = dict(
        metric="synchrony of events",
        frames_per_second=Range(12, 30),
        height=Range(64, 128),
        sample_rate=Range(16000, 48000),
        seconds=Range(1, 8),
        clips=300,
        truth=0.9,
        through_codecs=0.88,
        corruptions=(
            CorruptionResult("shuffled", 0.4, 0.98, own=True),
            CorruptionResult("mirrored", 0.9, 0.5),
        ),
        weights=(),
        made_by="calibrate.py at 1234567",
    )
    return Calibration(**{**plain, **changes})


def test_auroc_by_hand_and_as_scikit_learn_has_it():
    assert auroc(torch.tensor([3.0, 2.0]), torch.tensor([1.0])) == 1
    assert auroc(torch.tensor([1.0, 3.0]), torch.tensor([2.0])) == 0.5
    assert auroc(torch.tensor([2.0]), torch.tensor([2.0])) == 0.5  # a tie
    assert auroc(torch.tensor([2.0, torch.nan]), torch.tensor([3.0, 1.0])) == 0.5
    assert math.isnan(auroc(torch.tensor([torch.nan]), torch.tensor([3.0])))
    random = generator(0, "auroc")
    truth = torch.randint(0, 10, (80,), generator=random).double() + 2
    corruption = torch.randint(0, 10, (50,), generator=random).double()
    expected = roc_auc_score([1] * 80 + [0] * 50, torch.cat([truth, corruption]))
    assert auroc(truth, corruption) == pytest.approx(expected, abs=1e-12)


def test_it_refuses_what_it_was_not_shown_to_judge():
    scorer = calibration()
    assert scorer.refusal(ClipSpec()) is None
    assert scorer.refusal(ClipSpec(frames_per_second=8)) == (
        "not calibrated for 8 fps (synchrony of events was for 12 to 30 fps)"
    )
    assert "32 pixels" in scorer.refusal(ClipSpec(height=32))
    assert "8000 Hz" in scorer.refusal(ClipSpec(sample_rate=8000))
    assert "60 s" in scorer.refusal(ClipSpec(seconds=60))


def test_a_judge_fails_by_its_own_lies_alone():
    assert calibration().failures == ()
    weak = CorruptionResult("shuffled", 0.7, 0.89, own=True)
    assert calibration(corruptions=(weak,)).failures == (weak,)
    unknown = CorruptionResult("shuffled", math.nan, math.nan, own=True)
    assert calibration(corruptions=(unknown,)).failures == (unknown,)


def test_without_a_lie_of_its_own_it_is_not_proven():
    assert calibration().calibrated
    assert not calibration(corruptions=(CorruptionResult("mirrored", 0.9, 0.99),)).calibrated
    assert not calibration(corruptions=(CorruptionResult("shuffled", 0.9, 0.5, own=True),)).calibrated


def test_floor_and_ceiling():
    assert calibration().floor == 0.4 and calibration().ceiling == 0.9
    less = calibration(truth=20.0, through_codecs=25.0, higher_is_better=False)  # ms
    assert less.ceiling == 20.0
    assert math.isnan(calibration(corruptions=()).floor)
    assert calibration(truth=0.8).ceiling == 0.88 and calibration(through_codecs=None).ceiling == 0.9


def test_saved_and_loaded(tmp_path):
    path = calibration().save(tmp_path / "scorers" / "synchrony.json")
    assert Calibration.load(path) == calibration()
    (tmp_path / "bad.json").write_text('{"scorer": 3}')
    for name in ("bad.json", "missing.json"):
        with pytest.raises(InputError, match="no calibration"):
            Calibration.load(tmp_path / name)


def test_other_weights_than_those_it_was_made_with(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"weights")
    scorer = calibration(
        weights=(Weights("video_detector", hash_of(path)), Weights("audio_detector", "1" * 64))
    )
    loaded = {"video_detector": hash_of(path), "audio_detector": "1" * 64, "sync_model": "2" * 64}
    assert scorer.other_weights(loaded) is None  # the scorer doesn't ask the third
    assert "this audio_detector: it has weights of sha256 3333" in scorer.other_weights(
        {**loaded, "audio_detector": "3" * 64}
    )
    assert "this video_detector: it has none" in scorer.other_weights({"audio_detector": "1" * 64})
    assert calibration().other_weights(loaded) is None
    assert Calibration.load(scorer.save(tmp_path / "scorer.json")) == scorer


def test_a_judge_may_have_to_reach_more():
    good = CorruptionResult("shuffled", 0.4, 0.93, own=True)
    assert (
        calibration(corruptions=(good,)).calibrated
        and not calibration(corruptions=(good,), least=0.95).calibrated
    )
