"""Base of all scorers: a row of numbers for each clip, and scores with intervals from the rows.

A row is a few numbers, whatever a clip's size, so that a thousand clips need no more memory than ten. Rows
are sorted before anything is computed: how clips were shared out over processes changes no bit of a score.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torchmetrics
from torch import Tensor

from avsim import seeds
from avsim.evaluation.result import Reason, Score

AT_ONCE = 2**22  # numbers of resampled rows in memory at a time
REASONS = tuple(Reason)


class ClipScorer(torchmetrics.Metric):
    """A `torchmetrics.Metric` that keeps `width` numbers of each clip and computes `numbers` from them.

    A subclass's `update` ends in `keep`, or in `skip` for a clip that can't be judged; `compute` returns its
    numbers by name, the main one first; `scores` returns them with their intervals.
    """

    higher_is_better = True
    is_differentiable = False
    full_state_update = False
    width: int  # numbers in a row
    kept: list[Tensor]
    skips: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.set_dtype(torch.float64)
        self.add_state("kept", default=[], dist_reduce_fx="cat")
        self.add_state("skips", default=torch.zeros(len(REASONS), dtype=torch.long), dist_reduce_fx="sum")

    def numbers(self, rows: Tensor) -> dict[str, Tensor]:
        """The numbers of rows (..., n, width), (...) for each name."""
        raise NotImplementedError

    def each(self, rows: Tensor) -> Tensor:
        """How well each clip does by itself, (n, width) -> (n,): higher is better, nan where undefined."""
        return next(iter(self.numbers(rows[:, None]).values())) * (1 if self.higher_is_better else -1)

    def measured(self, row: Tensor) -> Tensor:
        """The measured part of a clip's row (width,); a corruption that leaves it unchanged is left out."""
        return row

    def keep(self, row: Sequence[float] | Tensor) -> None:
        """Add the row of one clip."""
        values = torch.as_tensor(row, dtype=torch.float64, device=self.device)
        if values.shape != (self.width,):
            raise ValueError(f"a row of {type(self).__name__} has {self.width} numbers, not {values.shape}")
        self.kept.append(values)

    def skip(self, reason: Reason) -> None:
        """Count a clip that can't be judged."""
        self.skips[REASONS.index(reason)] += 1
        self._update_count += 1
        self._computed = None

    def keep_mean(self, windows: "ClipScorer") -> None:
        """Add one clip, the mean of its windows; skipped for their first reason if none could be judged."""
        if len(rows := windows.rows):
            self.keep(rows.nanmean(0))
            self._update_count += 1
            self._computed = None
        else:
            self.skip(REASONS[int(windows.skips.argmax())])

    @property
    def rows(self) -> Tensor:
        """All rows, (n, width), in an order that depends on the rows alone."""
        kept = [self.kept] if isinstance(self.kept, Tensor) else self.kept  # one tensor once synchronised
        if not kept:
            return torch.zeros(0, self.width, dtype=torch.float64)
        rows = torch.cat([part.flatten() for part in kept]).view(-1, self.width).cpu()
        return rows[torch.from_numpy(np.lexsort(rows.T.flip(0).numpy()).copy())]

    def compute(self) -> dict[str, Tensor]:
        """Its numbers over all clips of all processes; nan where there are none."""
        return self._over(self.rows)

    def _over(self, rows: Tensor) -> dict[str, Tensor]:
        if len(rows):
            return self.numbers(rows)
        names = self.numbers(torch.full((1, self.width), torch.nan, dtype=torch.float64))
        return {name: torch.tensor(torch.nan, dtype=torch.float64) for name in names}

    def scores(self, draws: int = 2000, seed: int = 0) -> dict[str, Score]:
        """Its numbers with 95 % percentile bootstrap intervals over clips."""
        with self.sync_context(should_sync=self._to_sync, should_unsync=True):
            rows, skips = self.rows, self.skips.tolist()
        values = self._over(rows)
        drawn = _resampled(self, rows, draws, seed) if len(rows) else {}
        skipped = {str(reason): count for reason, count in zip(REASONS, skips, strict=True) if count}
        scores = {}
        for name, value in values.items():
            low, high = _ends(drawn[name]) if drawn else (torch.nan, torch.nan)
            scores[name] = Score(value.item(), low, high, len(rows), skipped)
        return scores


def _resampled(scorer: ClipScorer, rows: Tensor, draws: int, seed: int) -> dict[str, Tensor]:
    """A scorer's numbers over `draws` bootstrap samples of the rows, (draws,) each."""
    random = seeds.generator(seed, "bootstrap")
    parts = []
    step = max(1, AT_ONCE // rows.numel())
    for first in range(0, draws, step):
        chosen = torch.randint(len(rows), (min(step, draws - first), len(rows)), generator=random)
        parts.append(scorer.numbers(rows[chosen]))
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _ends(drawn: Tensor) -> tuple[float, float]:
    """The 2.5th and 97.5th percentile of what is finite."""
    finite = drawn[drawn.isfinite()]
    if not len(finite):
        return torch.nan, torch.nan
    low, high = torch.quantile(finite, torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return low, high


def mean(values: Tensor) -> Tensor:
    """Mean over the last axis of what isn't nan; nan where nothing is left."""
    return values.nanmean(-1)


def correlation(x: Tensor, y: Tensor) -> Tensor:
    """Pearson's correlation over the last axis, of the pairs that aren't nan; nan where one doesn't vary."""
    good = ~(x.isnan() | y.isnan())
    count = good.sum(-1, keepdim=True)
    x, y = (values.where(good, 0.0) for values in (x, y))
    x, y = ((values - values.sum(-1, keepdim=True) / count).where(good, 0.0) for values in (x, y))
    scale = (x.square().sum(-1) * y.square().sum(-1)).sqrt()
    return ((x * y).sum(-1) / scale).where(scale > 1e-12 * count[..., 0], torch.nan)


def ranks(values: Tensor) -> Tensor:
    """Ranks along the last axis from 1 on, ties sharing their mean rank; nan stays nan."""
    filled = values.nan_to_num(nan=torch.inf).contiguous()
    ordered = filled.sort(-1).values
    below, upto = (torch.searchsorted(ordered, filled, side=side) for side in ("left", "right"))
    return ((below + upto + 1) / 2).to(values.dtype).where(~values.isnan(), torch.nan)


def rank_correlation(x: Tensor, y: Tensor) -> Tensor:
    """Spearman's correlation over the last axis, of the pairs that aren't nan."""
    good = ~(x.isnan() | y.isnan())
    return correlation(ranks(x.where(good, torch.nan)), ranks(y.where(good, torch.nan)))
