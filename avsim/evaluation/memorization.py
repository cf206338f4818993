"""Memorization: how near generated clips are to the nearest training clip."""

import torch
from torch import Tensor

from avsim.evaluation.calibration import auroc
from avsim.evaluation.metric import ClipScorer


class Memorization(ClipScorer):
    """How near clips are to the nearest training clip, against held-out truth's nearness to it.

    A generator that copies is nearer than clips that it can't have seen: the share of pairs in which it is
    (AUROC) is 0.5 by chance, 1 for a copyist.

    Args:
        training: embeddings of the training clips, (n, d).
        held_out: embeddings of true clips that no training saw, (m, d).
    """

    higher_is_better = False
    width = 1  # distance to the nearest training clip

    def __init__(self, training: Tensor, held_out: Tensor) -> None:
        super().__init__()
        self.known, self.truth = training.double().cpu(), nearest(held_out.cpu(), training.cpu())

    def update(self, embedded: Tensor) -> None:
        """Take in one clip's embedding (d,)."""
        self.keep(nearest(embedded[None].cpu(), self.known))

    def numbers(self, rows: Tensor) -> dict[str, Tensor]:
        """The share of pairs in which a clip is nearer than held-out truth, and both median distances."""
        distance = rows[..., 0]
        flat = distance.reshape(-1, distance.shape[-1])
        shares = torch.tensor([auroc(-row, -self.truth) for row in flat], dtype=torch.float64)
        return {
            "nearer to training than held-out truth is, share of pairs": shares.view(distance.shape[:-1]),
            "distance to the nearest training clip": distance.nanmedian(-1).values,
            "the same of held-out truth": self.truth.median().expand(distance.shape[:-1]),
        }

    def each(self, rows: Tensor) -> Tensor:
        """The farther from training, the less copied."""
        return rows[:, 0]


def nearest(clips: Tensor, training: Tensor) -> Tensor:
    """Distance from each of (m, d) to the nearest of (n, d), (m,)."""
    exact = "donot_use_mm_for_euclid_dist"
    return torch.cdist(clips.double(), training.double(), compute_mode=exact).amin(1)
