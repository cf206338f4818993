import torch

from avsim.evaluation.ood import OODCheck


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
