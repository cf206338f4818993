import math

import pytest
import torch
from sklearn.metrics import roc_auc_score

from avsim.clip import ClipSpec
from avsim.errors import InputError
from avsim.evaluation.calibration import Against, Calibration, Range, Weights, auroc
from avsim.seeds import generator
from avsim.weights import hash_of


def calibration(**changes) -> Calibration:
    plain = dict(
        judge="synchrony of events",
        frames_per_second=Range(12, 30),
        height=Range(64, 128),
        sample_rate=Range(16000, 48000),
        seconds=Range(1, 8),
        clips=300,
        truth=0.9,
        through_codecs=0.88,
        lies=(Against("shuffled", 0.4, 0.98, own=True), Against("mirrored", 0.9, 0.5)),
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
    lie = torch.randint(0, 10, (50,), generator=random).double()
    expected = roc_auc_score([1] * 80 + [0] * 50, torch.cat([truth, lie]))
    assert auroc(truth, lie) == pytest.approx(expected, abs=1e-12)


def test_it_refuses_what_it_was_not_shown_to_judge():
    judge = calibration()
    assert judge.refusal(ClipSpec()) is None
    assert judge.refusal(ClipSpec(frames_per_second=8)) == (
        "not calibrated for 8 fps (synchrony of events was for 12 to 30 fps)"
    )
    assert "32 pixels" in judge.refusal(ClipSpec(height=32))
    assert "8000 Hz" in judge.refusal(ClipSpec(sample_rate=8000))
    assert "60 s" in judge.refusal(ClipSpec(seconds=60))


def test_a_judge_fails_by_its_own_lies_alone():
    assert calibration().failures == ()
    weak = Against("shuffled", 0.7, 0.89, own=True)
    assert calibration(lies=(weak,)).failures == (weak,)
    unknown = Against("shuffled", math.nan, math.nan, own=True)
    assert calibration(lies=(unknown,)).failures == (unknown,)


def test_without_a_lie_of_its_own_it_is_not_proven():
    assert calibration().proven
    assert not calibration(lies=(Against("mirrored", 0.9, 0.99),)).proven
    assert not calibration(lies=(Against("shuffled", 0.9, 0.5, own=True),)).proven


def test_floor_and_ceiling():
    assert calibration().floor == 0.4 and calibration().ceiling == 0.9
    less = calibration(truth=20.0, through_codecs=25.0, higher_is_better=False)  # ms
    assert less.ceiling == 20.0
    assert math.isnan(calibration(lies=()).floor)
    assert calibration(truth=0.8).ceiling == 0.88 and calibration(through_codecs=None).ceiling == 0.9


def test_saved_and_loaded(tmp_path):
    path = calibration().save(tmp_path / "judges" / "synchrony.json")
    assert Calibration.load(path) == calibration()
    (tmp_path / "bad.json").write_text('{"judge": 3}')
    for name in ("bad.json", "missing.json"):
        with pytest.raises(InputError, match="no calibration"):
            Calibration.load(tmp_path / name)


def test_other_weights_than_those_it_was_made_with(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"weights")
    judge = calibration(weights=(Weights("picture", hash_of(path)), Weights("sound", "1" * 64)))
    loaded = {"picture": hash_of(path), "sound": "1" * 64, "offset": "2" * 64}
    assert judge.other_weights(loaded) is None  # the judge doesn't ask the third
    assert "this sound: it has weights of sha256 3333" in judge.other_weights({**loaded, "sound": "3" * 64})
    assert "this picture: it has none" in judge.other_weights({"sound": "1" * 64})
    assert calibration().other_weights(loaded) is None
    assert Calibration.load(judge.save(tmp_path / "judge.json")) == judge


def test_a_judge_may_have_to_reach_more():
    good = Against("shuffled", 0.4, 0.93, own=True)
    assert calibration(lies=(good,)).proven and not calibration(lies=(good,), least=0.95).proven
