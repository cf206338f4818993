"""From heats to points: what stands out, once."""

import torch
from torch import Tensor


def peaks(heat: Tensor, threshold: float, reach: tuple[float, ...]) -> Tensor:
    """Places (n, d) of the greatest values of a heat of d axes, greatest first.

    Non-maximum suppression: of all places at or above `threshold` the hottest is kept, those within `reach`
    of it along every axis are dropped, and so on with the rest.
    """
    places = (heat >= threshold).nonzero()  # (n, d)
    values = heat[tuple(places.T)]
    places = places[values.argsort(descending=True, stable=True)]
    limit = torch.tensor(reach, device=heat.device)
    kept: list[Tensor] = []
    while len(places):
        kept.append(places[0])
        places = places[((places - places[0]).abs() > limit).any(1)]
    return torch.stack(kept) if kept else places


def thing_near(kind: Tensor, row: int, column: int) -> tuple[int, int]:
    """The cell that likeliest shows anything, of the 3 x 3 around one of kind's logits (h, w, K), 0 nothing.

    What is touched is touched at its edge, whose cell may be mostly something else's.
    """
    top, left = max(row - 1, 0), max(column - 1, 0)
    near = kind[top : row + 2, left : column + 2].float().softmax(-1)[..., 0]
    best = int(near.argmin())
    return top + best // near.shape[1], left + best % near.shape[1]


def centred(heat: Tensor, row: int, column: int) -> tuple[float, float]:
    """Centre of mass of what is hot in the 3 x 3 cells around a peak of (h, w), as shares of w and of h."""
    h, w = heat.shape
    rows, columns = slice(max(row - 1, 0), row + 2), slice(max(column - 1, 0), column + 2)
    near = heat[rows, columns].double()
    near = near / near.sum().clamp(min=1e-12)
    across = torch.arange(w, device=heat.device)[columns] + 0.5
    down = torch.arange(h, device=heat.device)[rows] + 0.5
    return float((near.sum(0) * across).sum()) / w, float((near.sum(1) * down).sum()) / h
