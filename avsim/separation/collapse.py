"""How a separator that does not look gives itself away, each for a pass or less; the truth must be known.

- blank video: what it gains must come from seeing, so with a grey video little may be left of it;
- swapped video: regions of another clip's video must stay silent;
- constant mask: shares that are the same in every bin score as well as its own;
- confusion: a region's stem is nearer to another region's true stem than to its own, also among similar
  sounds, which only motion and position distinguish.
"""

from dataclasses import replace

import torch
from torch import Tensor

from avsim.data.batch import ClipBatch
from avsim.measures import si_sdr
from avsim.separation.augment import truth

ALIKE = 0.9  # cosine of two stems' mean spectra from which on they count as alike


def blank(batch: ClipBatch) -> ClipBatch:
    """The batch with grey videos; regions and sounds are as they were."""
    frames, _, _, _ = truth(batch)
    return replace(batch, frames=torch.full_like(frames, 0.5))


def swapped(batch: ClipBatch) -> ClipBatch:
    """Each wave with the video and the regions of the previous clip; a batch of one has no other clip."""
    frames, _, _, masks = truth(batch)
    return replace(batch, frames=frames.roll(1, 0), masks=masks.roll(1, 0))


def constant(shares: Tensor, power: Tensor) -> Tensor:
    """Shares (B, R, F, J) that are the same in all bins: their means, weighted by the clip's magnitudes."""
    weight = power.sum(1, keepdim=True).sqrt()
    mean = (shares * weight).sum((2, 3), keepdim=True) / weight.sum((2, 3), keepdim=True).clamp(min=1e-12)
    return mean.expand_as(shares)


def energy_share(stems: Tensor) -> Tensor:
    """The part of the energy that all stems but the last have, (B, R, A, N) -> (B,)."""
    energy = stems.square().sum((2, 3))
    return energy[:, :-1].sum(1) / energy.sum(1).clamp(min=1e-20)


def confusion(reference: Tensor, estimate: Tensor, power: Tensor, audible: Tensor) -> tuple[Tensor, Tensor]:
    """Whether each region's stem is nearer to another's true stem, for all regions and for similar sounds.

    Shapes: stems (B, R, A, N), their powers in bands (B, R, F, J), audible (B, R); returns two of (B, R), 1
    where confused, 0 where not, nan where there is no other.
    """
    rows = reference.shape[1]
    spectra = torch.nn.functional.normalize(power.mean(3).sqrt(), dim=2)  # (B, R, F)
    near = spectra @ spectra.transpose(1, 2)  # (B, R, R)
    # Of each estimate (third axis) at each reference (second one).
    scores = torch.stack([si_sdr(reference, estimate[:, k : k + 1].expand_as(reference)).mean(-1)
                          for k in range(rows)], 2)  # fmt: skip
    own = scores.diagonal(dim1=1, dim2=2)[:, None]  # (B, 1, R)
    other = ~torch.eye(rows, dtype=torch.bool, device=power.device) & audible[:, :, None]
    results = []
    for candidates in (other, other & (near > ALIKE)):
        confused = ((scores > own) & candidates).any(1).double()
        results.append(confused.masked_fill(~(candidates.any(1) & audible), torch.nan))
    return results[0], results[1]
