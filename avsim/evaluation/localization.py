"""The localization scores of the field: where in the video a sound comes from, and whether from there.

    cIoU = sum of g over A / (sum of g + cells of A where g is 0),   A = {cells above the threshold}

with g the share of annotators (or of the thing) in each cell (Senocak et al. 1803.03849, equation 7). One
threshold serves all clips and both metrics: a negative sound (of nothing in the video) is rejected where
A is empty. AP and max-F1 rank clips by their map's maximum; right is a positive clip with cIoU >= 0.5 (Mo and
Morgado 2209.09634).
"""

import torch
from torch import Tensor

from avsim.errors import InputError
from avsim.evaluation.metric import ClipScorer, mean

RIGHT = 0.5  # cIoU from which on a clip counts as localized
STEPS = torch.linspace(0, 1, 21, dtype=torch.float64)  # of cIoU, over which AUC integrates


class Localization(ClipScorer):
    """Of maps of any scale, the same for all clips.

    Args:
        threshold: above which a cell of a map is said to sound.
    """

    width = 3  # cIoU (nan for negatives), the map's maximum, whether something sounds

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.threshold = threshold

    def update(self, heat: Tensor, truth: Tensor) -> None:
        """ClipScorer one clip's map.

        Shapes: heat (h, w); truth (h, w) in [0, 1], what of each cell sounds; all 0 for a negative sound.

        Raises:
            InputError: shapes that differ.
        """
        if heat.shape != truth.shape or heat.ndim != 2:
            raise InputError(
                f"localization: the map is {tuple(heat.shape)} and the truth {tuple(truth.shape)}; "
                "expected one shape (h, w)"
            )
        sounds = bool(truth.any())
        overlap = ciou(heat > self.threshold, truth) if sounds else torch.nan
        self.keep([overlap, heat.max().item(), sounds])

    def numbers(self, rows: Tensor) -> dict[str, Tensor]:
        """Of positive clips (cIoU, AUC), of all clips ranked (AP, max-F1), of negative ones (rejected)."""
        overlap, loudest, sounds = rows.unbind(-1)
        reached = (overlap[..., None] >= STEPS).double()
        reached = reached.where(~overlap.isnan()[..., None], torch.nan).nanmean(-2)  # (..., 21)
        right = overlap >= RIGHT
        precision, recall = _ranked(loudest, right, sounds.sum(-1, keepdim=True))
        rejected = (loudest <= self.threshold).double()
        return {
            f"cIoU (share of clips at {RIGHT:g})": reached[..., STEPS == RIGHT][..., 0],
            "mean cIoU": mean(overlap),
            "AUC of cIoU": torch.trapezoid(reached, STEPS),
            "AP": (precision * right).sum(-1) / sounds.sum(-1),
            "max-F1": _best_f1(precision, recall),
            "negatives rejected": mean(rejected.where(sounds == 0, torch.nan)),
        }


def ciou(found: Tensor, truth: Tensor) -> float:
    """Consensus intersection over union of cells (h, w) bool and shares (h, w) in [0, 1]."""
    truth = truth.double()
    inside = truth[found].sum()
    beside = (found & (truth == 0)).sum()
    return (inside / (truth.sum() + beside)).item()


def _ranked(loudest: Tensor, right: Tensor, positives: Tensor) -> tuple[Tensor, Tensor]:
    """Precision and recall where detection begins at each clip's own maximum, (..., n) each."""
    detected = _at_least(loudest, loudest)
    hit = _at_least(loudest.where(right, -torch.inf), loudest)
    return hit / detected, hit / positives


def _at_least(values: Tensor, bars: Tensor) -> Tensor:
    """How many values of a row reach each of its bars, (..., n) and (..., m) -> (..., m)."""
    ordered = values.sort(-1).values
    return (values.shape[-1] - torch.searchsorted(ordered, bars.contiguous())).double()


def _best_f1(precision: Tensor, recall: Tensor) -> Tensor:
    """The highest harmonic mean of both, (..., n) -> (...); nan where there is none."""
    if not precision.shape[-1]:
        return precision.new_full(precision.shape[:-1], torch.nan)
    f1 = 2 * precision * recall / (precision + recall)
    return f1.where(precision + recall > 0, 0.0).amax(-1)
