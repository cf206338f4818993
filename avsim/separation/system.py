"""The separator under Lightning: mix-and-separate, with the true stems of every region."""

from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric

from avsim import seeds
from avsim.data.batch import ClipBatch
from avsim.measures import si_sdr
from avsim.optimizers import Recipe, configure
from avsim.separation.loss import (
    ideal_shares,
    share_loss,
    share_out,
    spectrum_loss,
    stem_power,
    with_off_screen,
)
from avsim.separation.mixing import NO_CHANGE, Augmentation, augment, truth
from avsim.separation.regions import cell_weights
from avsim.separation.separator import Separator

SCORES = ("si_sdr", "si_sdr_mixture", "si_sdr_gain", "si_sdr_ideal", "si_sdr_off_screen")


class SeparatorSystem(L.LightningModule):
    """Trains a `Separator` on mixtures whose stems and masks are known.

    Args:
        model: what is trained.
        recipe: its optimizer and schedule.
        seed: from which all draws derive, with the step and the row.
        augmentation: how training changes a mixture; None leaves it as the data made it.
        spectrum: weight of the magnitudes' L1 distance beside the shares' divergence.
        every: a training step asks for one of so many columns of the spectrum; a window is four.
    """

    def __init__(
        self,
        model: Separator,
        recipe: Recipe = Recipe(),  # noqa: B008 (frozen)
        seed: int = 0,
        augmentation: Augmentation | None = Augmentation(),  # noqa: B008
        spectrum: float = 1.0,
        every: int = 4,
    ) -> None:
        super().__init__()
        self.model, self.recipe, self.seed, self.spectrum = model, recipe, seed, spectrum
        self.augmentation, self.every = augmentation or NO_CHANGE, every
        self.scores = nn.ModuleDict({name: MeanMetric(nan_strategy="ignore") for name in SCORES})

    def parts(self) -> dict[str, nn.Module]:
        """What a run exports."""
        return {"separator": self.model}

    def configure_optimizers(self) -> Any:
        """The recipe, over as many steps as the trainer plans."""
        return configure(self.model, self.recipe, int(self.trainer.estimated_stepping_batches))

    def shares(self, batch: ClipBatch, columns: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Predicted shares (B, R + 1, F, J) of the batch's regions, at some columns (J,) or all, and the
        mixture's spectrum.
        """
        frames, wave, _, masks = truth(batch)
        seen = self.model.frames_seen(frames.shape[2], batch.spec.frames_per_second).to(frames.device)
        maps, columns_frame, bins = self.model.listen(frames[:, :, seen], wave, batch.spec.sample_rate)
        weights = cell_weights(masks[:, :, seen].float(), maps.grid)
        if columns is not None:
            maps, columns_frame = maps.of(columns), columns_frame[columns]
        return maps.shares(columns_frame, weights), bins

    def columns(self, batch: ClipBatch) -> Tensor:
        """The columns of the spectrum that a training step asks for: windows overlap, so one of `every`."""
        _, wave, _, _ = truth(batch)
        draw = seeds.generator(self.seed, "columns", self.global_step)
        first = int(torch.randint(self.every, (), generator=draw))
        count = self.model.scale.columns(wave.shape[-1], batch.spec.sample_rate)
        return torch.arange(min(first, count - 1), count, self.every, device=wave.device)

    def losses(self, batch: ClipBatch, shares: Tensor, columns: Tensor | None = None) -> dict[str, Tensor]:
        """Both distances from the truth, averaged over the batch; `columns` as in `shares`."""
        _, wave, stems, _ = truth(batch)
        with torch.autocast(self.device.type, enabled=False):
            power = stem_power(with_off_screen(stems, wave).float(), batch.spec.sample_rate, self.model.scale)
            power = power if columns is None else power[..., columns]
            return {
                "shares": share_loss(shares, power).mean(),
                "spectrum": self.spectrum * spectrum_loss(shares, power).mean(),
            }

    def training_step(self, batch: ClipBatch, batch_index: int) -> Tensor:
        """How far the predicted shares are from the ideal ones."""
        batch = augment(batch, self.seed, self.global_step, self.augmentation)
        columns = self.columns(batch)
        shares, _ = self.shares(batch, columns)
        losses = self.losses(batch, shares, columns)
        loss = torch.stack(list(losses.values())).sum()
        logged = {f"train/{name}": value.detach() for name, value in losses.items()}
        self.log_dict(logged, sync_dist=True, batch_size=len(batch.names))
        self.log("train/loss", loss.detach(), sync_dist=True, prog_bar=True, batch_size=len(batch.names))
        return loss

    def validation_step(self, batch: ClipBatch, batch_index: int) -> None:
        """SI-SDR in dB of the regions' stems, of the mixture (floor) and of the ideal shares (ceiling)."""
        _, wave, stems, _ = truth(batch)
        shares, bins = self.shares(batch)
        losses = {f"val/{name}": value for name, value in self.losses(batch, shares).items()}
        self.log_dict(losses, sync_dist=True, batch_size=len(batch.names))
        rate, scale = batch.spec.sample_rate, self.model.scale
        reference = with_off_screen(stems, wave).float()
        ideal = ideal_shares(stem_power(reference, rate, scale))
        estimate = share_out(bins, shares.float(), wave.shape[-1], rate, scale)
        best = share_out(bins, ideal, wave.shape[-1], rate, scale)
        mixture = wave[:, None].expand_as(reference)
        audible = _audible(reference)
        found, floor, ceiling = (
            si_sdr(reference, x).mean(-1).masked_fill(~audible, torch.nan) for x in (estimate, mixture, best)
        )
        values = (
            found[:, :-1],
            floor[:, :-1],
            found[:, :-1] - floor[:, :-1],
            ceiling[:, :-1],
            found[:, -1],
        )
        for name, value in zip(SCORES, values, strict=True):
            metric = self.scores[name]
            metric.update(value.float())  # type: ignore[operator]
            self.log(f"val/{name}", metric, prog_bar=name == "si_sdr")  # type: ignore[arg-type]

    test_step = validation_step


def _audible(stems: Tensor) -> Tensor:
    """Which stems lie above -40 dB of the loudest: below it SI-SDR says nothing. (B, R, A, N) -> (B, R)."""
    power = stems.square().mean((-2, -1))
    return (power > 1e-4 * power.amax(1, keepdim=True)) & (power > 1e-10)
