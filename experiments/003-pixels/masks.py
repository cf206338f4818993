"""Other forms of masks, on the separator's own features, for trainings of equal length (masks.sh).

In both a region has one feature at a moment, the mean over its cells; the separator distributes each bin over
all cells, and a region gets the sum.

    independent   sigmoid(bin . region), as in most separators; masks are independent
    competing     softmax over the regions and "off screen"; adds up, but only over the given regions
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from avsim.data.batch import ClipBatch
from avsim.separation.augment import truth
from avsim.separation.loss import TINY, ideal_shares, spectrum_loss, stem_power, with_off_screen
from avsim.separation.separator import Maps, Separator
from avsim.separation.system import SeparatorSystem
from avsim.weights import configured

NOWHERE = -1e4  # the logit of a region outside of the frame


@dataclass(frozen=True, eq=False)
class _Pooled(Maps):
    """Maps in which a region is the mean of its cells."""

    def scores(self, columns_frame: Tensor, weights: Tensor) -> Tensor:
        """How much each bin belongs to each region, and off screen last, (B, R + 1, F, J)."""
        off_screen = self.cells[:, :, None, -1].float()  # (B, T, 1, K + 1)
        size = weights.sum(3).transpose(1, 2)[..., None]  # (B, T, R, 1)
        mean = torch.einsum("brtc,btck->btrk", weights.float(), self.cells[:, :, :-1].float())
        regions = torch.cat([mean / size.clamp(min=1e-6), off_screen], 2)[
            :, columns_frame
        ]  # (B, J, R + 1, K + 1)
        scores = torch.einsum("bjfk,bjrk->brfj", self.bins.float(), regions)
        there = F.pad(size[..., 0] > 0, (0, 1), value=True)[:, columns_frame]  # (B, J, R + 1)
        return scores.masked_fill(~there.permute(0, 2, 1)[:, :, None], NOWHERE)


class _Independent(_Pooled):
    def shares(self, columns_frame: Tensor, weights: Tensor) -> Tensor:
        """One mask per region, and the remainder."""
        masks = self.scores(columns_frame, weights)[:, :-1].sigmoid()
        return torch.cat([masks, (1 - masks.sum(1, keepdim=True)).clamp(min=0)], 1)


class _Competing(_Pooled):
    def shares(self, columns_frame: Tensor, weights: Tensor) -> Tensor:
        """Masks that add up over the given regions."""
        return self.scores(columns_frame, weights).softmax(1)


@configured
class Independent(Separator):
    """A mask for each region by itself."""

    def forward(self, frames: Tensor, heard: Tensor, columns_frame: Tensor) -> Maps:
        """As the separator's."""
        return _Independent(**vars(super().forward(frames, heard, columns_frame)))


@configured
class Competing(Separator):
    """A softmax over regions."""

    def forward(self, frames: Tensor, heard: Tensor, columns_frame: Tensor) -> Maps:
        """As the separator's."""
        return _Competing(**vars(super().forward(frames, heard, columns_frame)))


class IndependentSystem(SeparatorSystem):
    """Binary cross-entropy with the ideal ratios, in place of a divergence that needs masks to add up."""

    def losses(self, batch: ClipBatch, shares: Tensor, columns: Tensor | None = None) -> dict[str, Tensor]:
        """As the separator's."""
        _, wave, stems, masks = truth(batch)
        with torch.autocast(self.device.type, enabled=False):
            power = stem_power(with_off_screen(stems, wave).float(), batch.spec.sample_rate, self.model.scale)
            power = power if columns is None else power[..., columns]
            there = masks.amax((2, 3, 4)).ceil()[:, :, None, None]
            weight = power.sum(1, keepdim=True).sqrt() * there
            found, ideal = shares[:, :-1].float().clamp(1e-6, 1 - 1e-6), ideal_shares(power)[:, :-1]
            entropy = F.binary_cross_entropy(found, ideal, reduction="none")
            return {
                "shares": (weight * entropy).sum() / weight.sum().clamp(min=TINY),
                "spectrum": self.spectrum * spectrum_loss(shares, power).mean(),
            }
