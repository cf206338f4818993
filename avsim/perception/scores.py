"""Validation scores of detectors: the best threshold, and precision and recall at it."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric

from avsim.perception.matching import Counts, count

THRESHOLDS = tuple(round(0.1 + 0.05 * k, 2) for k in range(17))  # 0.1 ... 0.9


class MomentScore(Metric):
    """Precision and recall of moments at the threshold whose F1 is best."""

    counts: Tensor  # (17, 3): right, found, true

    def __init__(self, tolerance: float) -> None:
        super().__init__()
        self.tolerance = tolerance  # s
        self.add_state("counts", torch.zeros(len(THRESHOLDS), 3), dist_reduce_fx="sum")

    def update(
        self, found: Sequence[tuple[float, float]], true: Sequence[float], doubtful: Sequence[float] = ()
    ) -> None:
        """Take one clip: (seconds, probability) of what was found, from the least threshold on."""
        for row, threshold in enumerate(THRESHOLDS):
            times = [seconds for seconds, probability in found if probability >= threshold]
            counts = count(times, true, self.tolerance, doubtful)
            self.counts[row] += torch.tensor([counts.right, counts.found, counts.true])

    def compute(self) -> Tensor:
        """(4,): the best threshold, and precision, recall and F1 at it."""
        each = [Counts(*(int(value) for value in row)) for row in self.counts.tolist()]
        best = max(range(len(each)), key=lambda row: each[row].f1 if each[row].true else 0.0)
        counts = each[best]
        return torch.tensor([THRESHOLDS[best], counts.precision, counts.recall, counts.f1])
