import pytest
import torch

from avsim.clip import Clip
from avsim.evaluation import ood
from avsim.evaluation.ood import OOD_CHECK, OOD_MARGIN, OODCheck, is_out_of_distribution


def drawn(count, seed, mean=0.0):
    return torch.randn(count, 8, generator=torch.Generator().manual_seed(seed)).double() + mean


def test_distances_by_hand():
    known = OODCheck(torch.tensor([[0.0, 0.0], [3.0, 4.0]]).double())
    spread = torch.tensor([4.5, 8.0]).double().sqrt() + 1e-3
    assert torch.allclose(known.distances(torch.tensor([[3.0, 0.0]])), 3 / spread[0] / 2**0.5)


def test_clips_of_the_same_kind_are_familiar_and_others_are_not(tmp_path):
    known = OODCheck.load(OODCheck(drawn(200, 0), "ab").save(tmp_path / "known.safetensors"))
    assert known.sha256 == "ab"
    assert sum(known.warning(list(drawn(16, seed))) is not None for seed in range(1, 21)) <= 2
    warning = known.warning(list(drawn(16, 1, mean=3.0)))
    assert warning is not None and "not calibrated" in warning


def test_one_clip_a_fifth_farther_than_known_ones_ever_are_is_foreign():
    """Most real videos were 1.15 times or more as far away, true clips of the world up to 1.02 times."""
    known = OODCheck(drawn(300, 0))
    own = known._away(known.known).fill_diagonal_(torch.inf).amin(1).quantile(0.99)
    along = torch.linspace(0, 20, 4000)[:, None] * torch.ones(8)
    distances = known.distances(along)
    for share, foreign in ((1.0, False), (1.2, True)):
        clip = along[(distances > share * own).nonzero()[0, 0]]
        assert (known.warning([clip], OOD_MARGIN) is not None) == foreign


def test_the_shipped_check_is_of_one_detector_alone(monkeypatch, tmp_path):
    shipped = OODCheck.load(OOD_CHECK)
    found = OODCheck.of(shipped.sha256)
    assert found is not None and torch.equal(found.known, shipped.known) and len(shipped.sha256) == 64
    assert OODCheck.of("another's") is None and OODCheck.of(None) is None
    monkeypatch.setattr(ood, "OOD_CHECK", tmp_path / "absent")
    assert OODCheck.of(shipped.sha256) is None


def test_a_clip_is_compared_only_with_video_a_detector_and_a_check(monkeypatch):
    monkeypatch.setattr(ood, "video_features", lambda detector: lambda clip: clip.frames.flatten()[:8])
    known, detector = OODCheck(drawn(300, 0)), object()
    like, unlike = (Clip(torch.full((3, 1, 2, 2), value), None) for value in (0.0, 9.0))
    silent = Clip(None, torch.zeros(1, 100))
    assert is_out_of_distribution(unlike, detector, known)
    assert not is_out_of_distribution(like, detector, known)
    for given in ((silent, detector, known), (unlike, None, known), (unlike, detector, None)):
        assert not is_out_of_distribution(*given)


def test_what_a_warning_says():
    """Of 40 known embeddings of one number, 0, 1, 2 … 39, whose spread is 11.69."""
    known = OODCheck(torch.arange(40.0).double()[:, None])
    warning = known.warning([torch.tensor([39 + 3 * 11.6913])])
    assert warning is not None and warning.startswith(
        "these clips look unlike those that the metrics were calibrated on (3.00 standard deviations from "
        "the nearest; those are 0.09 from each other, sets of as many rarely 0.09)"
    )
    assert known.distances(torch.tensor([[50.0]])).item() == pytest.approx(11 / (11.6905 + 1e-3), rel=1e-4)
