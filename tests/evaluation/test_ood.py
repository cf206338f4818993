import torch

from avsim.evaluation.ood import OOD_CHECK, OOD_MARGIN, OODCheck


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


def test_the_shipped_check_is_of_one_detector_alone():
    shipped = OODCheck.load(OOD_CHECK)
    found = OODCheck.of(shipped.sha256)
    assert found is not None and torch.equal(found.known, shipped.known) and len(shipped.sha256) == 64
    assert OODCheck.of("another's") is None and OODCheck.of(None) is None
