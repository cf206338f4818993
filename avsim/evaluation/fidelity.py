"""Distance of a set of clips from real ones, in the space of a named embedding."""

import math

import torch
from torch import Tensor

from avsim.evaluation.frechet import frechet, frechet_extrapolated, kernel_distance
from avsim.evaluation.metric import ClipScorer
from avsim.evaluation.result import Reason, Score
from avsim.measures import Interval, jackknife

GROUPS = 10  # of clips, left out one after the other for the interval
LEAST = 8 * GROUPS // (GROUPS - 1) + 2  # clips that a distance needs


class Fidelity(ClipScorer):
    """Distances from the reference's embeddings: the kernel one, which few clips don't bias, and Fréchet's.

    Fréchet's needs more clips, judged and of the reference, than the embedding has numbers.
    A Fréchet distance is biased in its own bootstrap, as clips repeat there: intervals are jackknifed over
    groups of clips. The name of the embedding is part of every number's name: never call one by another's.

    Args:
        embedding: its name, such as "log-mel statistics".
        reference: the real clips' embeddings, (m, d).
    """

    higher_is_better = False

    def __init__(self, embedding: str, reference: Tensor) -> None:
        super().__init__()
        self.embedding, self.width = embedding, reference.shape[1]
        self.reference = reference.double().cpu()

    def update(self, embedded: Tensor) -> None:
        """Take in one clip's embedding (d,)."""
        self.keep(embedded)

    def numbers(self, rows: Tensor) -> dict[str, Tensor]:
        """All three distances of (n, d); nan for fewer clips than they need."""
        distances = {
            f"kernel distance, {self.embedding}": (kernel_distance, LEAST),
            f"Fréchet distance, {self.embedding}": (frechet, max(LEAST, self.width + 1)),
            # Its smallest subsets have half of the clips.
            f"Fréchet distance, {self.embedding}, extrapolated": (
                frechet_extrapolated,
                max(LEAST, 2 * self.width + 2),
            ),
        }
        count = min(len(rows), len(self.reference))
        return {
            name: torch.tensor(distance(rows, self.reference) if count >= least else math.nan)
            for name, (distance, least) in distances.items()
        }

    def each(self, rows: Tensor) -> Tensor:
        """How typical each clip is: the Mahalanobis distance from the reference, negated."""
        covariance = torch.cov(self.reference.T).view(self.width, self.width)
        covariance = covariance + 1e-3 * covariance.diagonal().mean() * torch.eye(self.width)
        away = rows - self.reference.mean(0)
        return -(away * torch.linalg.solve(covariance, away.T).T).sum(1).clamp(min=0).sqrt()

    def scores(self, draws: int = 2000, seed: int = 0) -> dict[str, Score]:
        """The distances with 95 % intervals of the jackknife over ten groups (`draws` isn't used)."""
        with self.sync_context(should_sync=self._to_sync, should_unsync=True):
            rows, skips = self.rows, self.skips.tolist()
        skipped = {str(reason): count for reason, count in zip(Reason, skips, strict=True) if count}
        names = list(self._over(rows[:0]))
        none = Interval(math.nan, math.nan, math.nan)
        intervals = [none] * len(names)
        if len(rows) >= LEAST:
            group = torch.arange(len(rows)) % GROUPS
            group = group[torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))]
            intervals = jackknife(lambda kept: torch.stack([*self._over(rows[kept]).values()]), group)
        found = zip(names, intervals, strict=True)
        known = {name: each if math.isfinite(each.high) else none for name, each in found}
        return {
            name: Score(each.mean, each.low, each.high, len(rows), skipped) for name, each in known.items()
        }
