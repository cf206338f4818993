"""The Sound of Pixels under Lightning."""

import torch
import torch.nn.functional as F
from torch import Tensor

from avsim.clip import ClipSpec
from avsim.data.batch import ClipBatch
from avsim.separation.augment import Augmentation, truth
from avsim.separation.baselines.sound_of_pixels import SoundOfPixels
from avsim.separation.loss import stem_power, with_off_screen
from avsim.separation.system import SeparatorSystem
from avsim.training.optimizers import Recipe


class SoundOfPixelsSystem(SeparatorSystem):
    """Trains it as the paper did: masks of the regions, each on its own, against the true ones.

    Ratio masks are compared by the L1 distance, binary ones (whether a source is the loudest) by binary
    cross-entropy, both weighted by the mixture's log(1 + magnitude). The paper's magnitudes are of waves
    within +-1; here the mixture's mean power is 1.
    """

    def __init__(
        self,
        model: SoundOfPixels,
        recipe: Recipe = Recipe(),  # noqa: B008 (frozen)
        seed: int = 0,
        augmentation: Augmentation | None = Augmentation(),  # noqa: B008
        every: int = 4,
    ) -> None:
        super().__init__(model, recipe, seed, augmentation, every=every)  # type: ignore[arg-type]

    def losses(self, batch: ClipBatch, shares: Tensor, columns: Tensor | None = None) -> dict[str, Tensor]:
        """The masks' distance from the true ones, averaged over those regions that are there."""
        _, wave, stems, masks = truth(batch)
        with torch.autocast(self.device.type, enabled=False):
            spec: ClipSpec = batch.spec
            power = stem_power(with_off_screen(stems, wave).float(), spec.sample_rate, self.model.scale)
            power = power if columns is None else power[..., columns]
            whole = power.sum(1, keepdim=True)  # (B, 1, F, J)
            weight = torch.log1p((whole / whole.mean((2, 3), keepdim=True).clamp(min=1e-20)).sqrt())
            weight = weight.clamp(1e-3, 10) * masks.amax((2, 3, 4))[:, :, None, None].ceil()
            found = shares[:, :-1].float()
            if self.model.binary:
                loudest = (power[:, :-1] >= power.amax(1, keepdim=True)).float()
                distance = F.binary_cross_entropy(found.clamp(1e-6, 1 - 1e-6), loudest, reduction="none")
            else:
                ratio = (power[:, :-1] / whole.clamp(min=1e-20)).sqrt().clamp(max=1)
                distance = (found - ratio).abs()
            return {"masks": (weight * distance).sum() / weight.sum().clamp(min=1e-6)}
