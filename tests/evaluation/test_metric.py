"""Rows, intervals, processes: what all scorers share."""

import math

import pytest
import scipy.stats
import torch
import torch.distributed
import torch.multiprocessing

from avsim.evaluation.metric import ClipScorer, correlation, mean, rank_correlation, ranks
from avsim.evaluation.result import Reason, Score
from avsim.measures import bootstrap
from avsim.seeds import generator


class Mean(ClipScorer):
    """The mean of one number of each clip."""

    width = 2

    def update(self, value: float) -> None:
        self.keep([value, value**2])

    def numbers(self, rows):
        return {"mean": mean(rows[..., 0]), "square": mean(rows[..., 1])}


def filled(values) -> Mean:
    scorer = Mean()
    for value in values:
        scorer.update(float(value))
    return scorer


def test_share_of_the_way_from_floor_to_ceiling():
    score = Score(0.7, 0.6, 0.8, 10, floor=0.2, ceiling=0.9)
    assert score.of_ceiling == pytest.approx(5 / 7)
    assert math.isnan(Score(0.7, 0.6, 0.8, 10, floor=0.61, ceiling=0.9).of_ceiling)  # a gap of 0.29 is void
    assert math.isnan(Score(0.7, 0.6, 0.8, 10).of_ceiling)
    error = Score(20.0, 15.0, 25.0, 10, floor=100.0, ceiling=10.0)  # ms: less is better
    assert error.of_ceiling == pytest.approx(8 / 9)
    assert Score(math.nan, 0, math.inf, 0, {"is silent": 3}).plain() == {
        "value": None, "low": 0, "high": None, "floor": None, "ceiling": None, "of_ceiling": None,
        "clips": 0, "skipped": {"is silent": 3},
    }  # fmt: skip


def test_numbers_intervals_and_skipped_clips():
    values = torch.randn(40, generator=generator(1, "values"), dtype=torch.float64)
    scorer = filled(values)
    scorer.skip(Reason.SILENT)
    scorer.skip(Reason.SILENT)
    scorer.skip(Reason.NO_AUDIO)
    assert scorer.compute()["mean"].item() == pytest.approx(values.mean().item(), abs=1e-12)
    score = scorer.scores()["mean"]
    assert (score.clips, score.skipped) == (40, {"has no audio": 1, "is silent": 2})
    expected = bootstrap(values.sort().values)
    assert (score.low, score.high) == pytest.approx((expected.low, expected.high))
    assert scorer.each(scorer.rows).tolist() == sorted(values.tolist())


def test_the_order_of_clips_changes_no_bit():
    values = torch.randn(200, generator=generator(2, "values"))
    one, other = filled(values), filled(values.flip(0))
    assert one.scores() == other.scores()


def test_nothing_judged_is_nan():
    score = Mean().scores()["mean"]
    assert math.isnan(score.value) and math.isnan(score.low) and score.clips == 0
    assert filled([1.0]).scores()["mean"] == Score(1.0, 1.0, 1.0, 1)


def test_reset_and_forward_are_those_of_any_metric():
    scorer = filled([1.0, 2.0])
    assert scorer(6.0)["mean"] == 6 and scorer.compute()["mean"] == 3
    scorer.reset()
    scorer.update(5.0)
    assert scorer.compute()["mean"] == 5


def _process(rank: int, shares: list[list[float]], path: str) -> None:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{path}/meet", rank=rank, world_size=len(shares)
    )
    scorer = filled(shares[rank])
    if rank:
        scorer.skip(Reason.MONO)
    score = scorer.scores()["mean"]
    assert len(scorer.kept) == len(shares[rank])  # what is gathered doesn't stay
    torch.save([score.value, score.low, score.high, score.clips, dict(score.skipped)], f"{path}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("shares", [[[3.0, 1.0, 2.5], [7.0]], [[3.0, 1.0, 2.5, 7.0], []]])
def test_two_processes_give_the_same_bits_as_one(tmp_path, shares):
    torch.multiprocessing.spawn(_process, (shares, str(tmp_path)), nprocs=2)
    alone = filled(shares[0] + shares[1]).scores()["mean"]
    for rank in (0, 1):
        found = torch.load(tmp_path / f"{rank}.pt")
        assert found == [alone.value, alone.low, alone.high, 4, {"has one audio channel": 1}]


def test_correlations_agree_with_scipy_and_know_nan_and_constants():
    x = torch.randint(0, 9, (3, 50), generator=generator(3, "x")).double()
    y = x + 3 * torch.randn(3, 50, generator=generator(3, "y"), dtype=torch.float64)
    for k in range(3):
        assert correlation(x, y)[k].item() == pytest.approx(scipy.stats.pearsonr(x[k], y[k])[0])
        assert rank_correlation(x, y)[k].item() == pytest.approx(scipy.stats.spearmanr(x[k], y[k])[0])
    x[:, ::2] = torch.nan
    assert correlation(x, y)[0].item() == pytest.approx(scipy.stats.pearsonr(x[0, 1::2], y[0, 1::2])[0])
    assert rank_correlation(x, y)[0].item() == pytest.approx(scipy.stats.spearmanr(x[0, 1::2], y[0, 1::2])[0])
    assert correlation(torch.full((4,), 0.1), torch.arange(4.0)).isnan()
    assert correlation(torch.full((4,), torch.nan), torch.arange(4.0)).isnan()


def test_ranks_share_ties():
    assert ranks(torch.tensor([3.0, 1.0, 3.0, torch.nan, 2.0]))[[0, 1, 2, 4]].tolist() == [3.5, 1, 3.5, 2]
    assert ranks(torch.tensor([3.0, torch.nan]))[1].isnan()
