"""Paired intervals: they cover the truth as often as they say, and pairs matter."""

import math

import pytest
import torch

from avsim.evaluation.metric import ClipScorer
from avsim.evaluation.suite import Metric
from avsim.report.paired import DRAWS, Difference, Judged, difference, interval, wilson

SIMULATIONS = 2000


class Mean(ClipScorer):
    """The mean of one number."""

    width = 1

    def update(self, value: float) -> None:
        self.keep([value])

    def numbers(self, rows):
        return {"mean": rows[..., 0].mean(-1)}


METRIC = Metric("a mean", "The mean.", Mean, lambda scorer, found: None)


@pytest.mark.parametrize("prompts", [16, 32])
def test_intervals_cover_the_truth_as_often_as_they_say(prompts):
    """Bounded, skewed scores that share their prompt's difficulty; the second is better by a tenth of it."""
    random = torch.Generator().manual_seed(prompts)
    shape = (SIMULATIONS, prompts)
    difficulty = torch.rand(shape, generator=random)
    first = (difficulty + 0.2 * torch.randn(shape, generator=random)).clamp(0, 1)
    second = (difficulty * 1.1 + 0.2 * torch.randn(shape, generator=random)).clamp(0, 1)
    many = 4_000_000
    wide = torch.rand(many, generator=random)
    noise = 0.2 * torch.randn(2, many, generator=random)
    truth = float(((wide * 1.1 + noise[1]).clamp(0, 1) - (wide + noise[0]).clamp(0, 1)).mean())
    covered = 0
    for a, b in zip(first, second, strict=True):
        low, high = interval(lambda chosen, gap=b - a: gap[chosen].mean(-1), prompts, draws=1000)
        covered += low <= truth <= high
    assert abs(covered / SIMULATIONS - 0.95) <= 0.015


def judged(values) -> list[Judged]:
    return [Judged(None, "is silent") if v is None else Judged(torch.tensor([v]).double()) for v in values]


def test_pairs_decide_what_columns_alone_can_not():
    random = torch.Generator().manual_seed(0)
    difficulty = torch.rand(40, generator=random).tolist()
    better = [value + 0.05 + 0.01 * (k % 3) for k, value in enumerate(difficulty)]
    found = difference(METRIC, judged(difficulty), judged(better))
    assert found.verdict == "better" and found.low > 0.05 and found.high < 0.07
    assert abs(found.value - 0.06) < 0.002 and (found.judged, found.total) == (40, 40)
    shuffled = difference(METRIC, judged(difficulty), judged(better[20:] + better[:20]))
    assert shuffled.verdict == "undecided" and shuffled.high - shuffled.low > 5 * (found.high - found.low)
    assert difference(METRIC, judged(better), judged(difficulty)).verdict == "worse"


def test_what_was_not_judged_is_counted_and_few_pairs_decide_nothing():
    found = difference(METRIC, judged([1.0, None, 2.0, 3.0]), judged([2.0, 5.0, None, 4.0]))
    assert (found.judged, found.total, found.why) == (2, 4, {"is silent": 2})
    assert found.first == 2.0 and found.second == 3.0 and found.verdict == "undecided"
    nothing = difference(METRIC, judged([None]), judged([1.0]))
    assert nothing.verdict == "not judged" and math.isnan(nothing.value)
    lower = Difference("m", "n", 2.0, 1.0, -1.2, -0.8, 20, 20, False, {})
    assert lower.verdict == "better"


def test_one_seed_gives_one_interval():
    gap = torch.randn(20, generator=torch.Generator().manual_seed(1))
    found = [interval(lambda chosen: gap[chosen].mean(-1), 20, draws=DRAWS) for _ in range(2)]
    assert found[0] == found[1] and interval(lambda chosen: gap[chosen].mean(-1), 1) != found[0]


def test_win_rates_have_wilsons_interval():
    low, high = wilson(0.5, 10)
    assert abs(low - 0.2366) < 1e-3 and abs(high - 0.7634) < 1e-3  # Newcombe 1998, method 3
    low, high = wilson(1.0, 10)
    assert abs(low - 0.7225) < 1e-3 and high == pytest.approx(1.0)
    assert math.isnan(wilson(0.5, 0)[0])
