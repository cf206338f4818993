"""Paired differences of metrics between two columns of clips, with bootstrap intervals over prompts.

The interval is the expanded percentile interval: percentiles of the paired bootstrap, moved outwards by what
Student's t and the small-sample variance ask for (Hesterberg, "What Teachers Should Know about the
Bootstrap", 2015, section 4.3); plain percentiles cover too little at a few dozen prompts.

    alpha' / 2 = Phi(-sqrt(n / (n - 1)) t(1 - alpha / 2, n - 1))
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from scipy.stats import norm, t
from torch import Tensor

from avsim import seeds
from avsim.evaluation.features import Features
from avsim.evaluation.metric import AT_ONCE, REASONS, ClipScorer
from avsim.evaluation.suite import Metric, score_clip

DRAWS = 4000  # bootstrap samples
FEWEST = 6  # prompts below which nothing is decided


@dataclass(frozen=True)
class Judged:
    """What a metric finds in a clip: its row of numbers, or why there is none."""

    row: Tensor | None
    reason: str = ""


@dataclass(frozen=True)
class Difference:
    """A metric of two columns, over the prompts for which both clips were judged."""

    metric: str
    number: str  # of the metric
    first: float
    second: float
    low: float  # of second - first
    high: float
    judged: int  # pairs
    total: int  # pairs there are
    higher_is_better: bool
    why: Mapping[str, int]  # reasons for pairs that were not judged
    warning: str = ""

    @property
    def value(self) -> float:
        """Second - first."""
        return self.second - self.first

    @property
    def verdict(self) -> str:
        """Whether the second is "better" or "worse", "undecided", or "not judged"."""
        if not math.isfinite(self.value):
            return "not judged"
        if self.judged < FEWEST or not math.isfinite(self.low) or self.low <= 0 <= self.high:
            return "undecided"
        return "better" if (self.low > 0) == self.higher_is_better else "worse"


def judge(metric: Metric, found: Features) -> Judged:
    """One clip's row of a metric."""
    scorer = metric.scorer()
    score_clip(metric, scorer, found, metric.calibration)
    if len(rows := scorer.rows):
        return Judged(rows[0])
    skipped = [str(reason) for reason, count in zip(REASONS, scorer.skips.tolist(), strict=True) if count]
    return Judged(None, ", ".join(skipped) or "nothing in it to judge")


def difference(
    metric: Metric, first: Sequence[Judged], second: Sequence[Judged], warning: str = ""
) -> Difference:
    """The paired difference of a metric's main number; clips of one index are of one prompt and seed."""
    pairs = list(zip(first, second, strict=True))
    both = [(a.row, b.row) for a, b in pairs if a.row is not None and b.row is not None]
    why = Counter(" and ".join(sorted({a.reason, b.reason} - {""})) for a, b in pairs if a.reason or b.reason)
    scorer = metric.scorer()
    name = next(iter(scorer.numbers(torch.full((1, scorer.width), torch.nan, dtype=torch.float64))))
    values, low, high = [math.nan, math.nan], math.nan, math.nan
    if both:
        rows = [torch.stack(each) for each in zip(*both, strict=True)]  # (n, width) each
        values = [float(scorer.numbers(each)[name]) for each in rows]
        low, high = interval(partial(_resampled, scorer, name, *rows), len(both))
    return Difference(
        metric.name, name, values[0], values[1], low, high,
        len(both), len(pairs), scorer.higher_is_better, why, warning,
    )  # fmt: skip


def _resampled(scorer: ClipScorer, name: str, first: Tensor, second: Tensor, chosen: Tensor) -> Tensor:
    """Second - first over bootstrap samples of prompts: chosen (draws, n) -> (draws,)."""
    step = max(1, AT_ONCE // (2 * first.numel()))
    parts = [
        scorer.numbers(second[some])[name] - scorer.numbers(first[some])[name] for some in chosen.split(step)
    ]
    return torch.cat(parts)


def interval(
    statistic: Callable[[Tensor], Tensor],
    count: int,
    confidence: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> tuple[float, float]:
    """The expanded percentile interval of a statistic over `count` prompts; nan where there is none.

    Args:
        statistic: of indices of prompts (draws, count) -> (draws,).
        count: number of prompts, n.
        confidence: of the interval.
        draws: bootstrap samples.
        seed: of the samples.
    """
    if count < 2:
        return math.nan, math.nan
    chosen = torch.randint(count, (draws, count), generator=seeds.generator(seed, "paired bootstrap"))
    found = statistic(chosen)
    found = found[found.isfinite()]
    if not len(found):
        return math.nan, math.nan
    tail = float(norm.cdf(-math.sqrt(count / (count - 1)) * t.ppf((1 + confidence) / 2, count - 1)))
    low, high = torch.quantile(found.double(), torch.tensor([tail, 1 - tail], dtype=torch.float64)).tolist()
    return low, high


def wilson(share: float, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of a share of `count`: of votes, of which a tie counts half.

    For ties, and for several votes on one prompt where `count` is that of prompts, it is wider than needed.
    """
    if count < 1:
        return math.nan, math.nan
    z = float(norm.ppf((1 + confidence) / 2))
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return middle - half, middle + half
