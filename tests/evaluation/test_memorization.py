import torch

from avsim.evaluation.memorization import Memorization, nearest
from avsim.seeds import generator


def cloud(count: int, name: str) -> torch.Tensor:
    return torch.randn(count, 5, generator=generator(0, name), dtype=torch.float64)


def test_distances_by_hand():
    training = torch.tensor([[0.0, 0.0], [10.0, 0.0]])
    assert nearest(torch.tensor([[3.0, 4.0], [10.0, 1.0]]), training).tolist() == [5, 1]


def test_a_copyist_is_found_and_new_clips_are_at_chance():
    training, held_out = cloud(300, "training"), cloud(200, "held out")
    name = "nearer to training than held-out truth is, share of pairs"
    copyist, honest = Memorization(training, held_out), Memorization(training, held_out)
    for row in training[:60]:
        copyist.update(row + 0.01)
    for row in cloud(60, "new"):
        honest.update(row)
    assert copyist.compute()[name] == 1
    score = honest.scores(draws=200)[name]
    assert score.low < 0.5 < score.high
    assert (copyist.each(copyist.rows) < 0.05).all()
