"""The separator under Lightning: mix-and-separate, with the true stems of every region."""

from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric

from avsim import seeds
from avsim.data.batch import ClipBatch
from avsim.errors import InputError
from avsim.measures import si_sdr
from avsim.separation.augment import NO_CHANGE, Augmentation, augment, through, truth
from avsim.separation.collapse import blank, confusion, constant, energy_share, swapped
from avsim.separation.loss import (
    ideal_shares,
    share_loss,
    share_out,
    spectrum_loss,
    stem_power,
    with_off_screen,
)
from avsim.separation.separator import Separator, region_shares
from avsim.training.optimizers import Recipe, configure
from avsim.weights import load_parts

SCORES = (
    "si_sdr",
    "si_sdr_mixture",
    "si_sdr_gain",
    "si_sdr_ideal",
    "si_sdr_off_screen",
    "collapse/seen",  # share of the energy that regions take
    "collapse/swapped",  # and of another video's audio: should be small
    "collapse/blank_gain",  # dB gained with a grey video: should be far below `si_sdr_gain`
    "collapse/constant_mask",  # the loss of shares that are the same in all bins: should be far above the own
    "collapse/confused",  # share of regions whose stem is nearer to another's true stem
    "collapse/confused_alike",  # and among similar sounds
)


class SeparatorSystem(L.LightningModule):
    """Trains a `Separator` on mixtures whose stems and masks are known.

    Args:
        model: what is trained.
        recipe: its optimizer and schedule.
        seed: from which all random numbers derive, with the step and the row.
        augmentation: how training changes a mixture; None leaves it as the data made it.
        spectrum: weight of the magnitudes' L1 distance beside the shares' divergence.
        every: a training step computes one of this many columns of the spectrum; a window spans four.
        diagnosed: validation batches with the tests for collapse.
        video_codec: run or folder of a codec; with both, some training clips are encoded and
            decoded, as generated clips are.
        audio_codec: likewise for the audio.
        coded: chance of a clip to go through them.

    Raises:
        InputError: one codec alone, or a chance outside [0, 1].
    """

    def __init__(
        self,
        model: Separator,
        recipe: Recipe = Recipe(),  # noqa: B008 (frozen)
        seed: int = 0,
        augmentation: Augmentation | None = Augmentation(),  # noqa: B008
        spectrum: float = 1.0,
        every: int = 4,
        diagnosed: int = 2,
        video_codec: str | None = None,
        audio_codec: str | None = None,
        coded: float = 0.5,
    ) -> None:
        super().__init__()
        if (video_codec is None) != (audio_codec is None):
            raise InputError("a separator's clips go through both codecs or none; one is given")
        if not 0 <= coded <= 1:
            raise InputError(f"coded is {coded}; it is a chance, 0 to 1")
        codecs = load_parts({"video_codec": video_codec, "audio_codec": audio_codec})
        self.codecs: list[Any] = list(codecs.values())  # in a list, so not of this module's weights
        self.coded = coded
        self.model, self.recipe, self.seed, self.spectrum = model, recipe, seed, spectrum
        self.augmentation, self.every = augmentation or NO_CHANGE, every
        self.diagnosed = diagnosed
        self.scores = nn.ModuleDict(
            {name.replace("/", " "): MeanMetric(nan_strategy="ignore") for name in SCORES}
        )

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
        return region_shares(self.model, frames, wave, masks, batch.spec, columns)

    def as_drawn(self, batch: ClipBatch) -> ClipBatch:
        """The batch, some of its clips encoded and decoded where codecs are given."""
        if not self.codecs:
            return batch
        see, hear = (codec.to(self.device) for codec in self.codecs)
        draws = [seeds.generator(self.seed, "coded", self.global_step, row) for row in batch.rows.tolist()]
        rows = [float(torch.rand((), generator=draw)) < self.coded for draw in draws]
        return through(batch, see, hear, torch.tensor(rows, device=self.device))

    def columns(self, batch: ClipBatch) -> Tensor:
        """The columns of the spectrum that a training step computes: windows overlap, so one of `every`."""
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
        shares, _ = self.shares(self.as_drawn(batch), columns)
        losses = self.losses(batch, shares, columns)
        loss = torch.stack(list(losses.values())).sum()
        logged = {f"train/{name}": value.detach() for name, value in losses.items()}
        self.log_dict(logged, sync_dist=True, batch_size=len(batch.names))
        self.log("train/loss", loss.detach(), sync_dist=True, prog_bar=True, batch_size=len(batch.names))
        return loss

    def validation_step(self, batch: ClipBatch, batch_index: int) -> None:
        """SI-SDR in dB of the regions' stems, of the mixture (floor) and of the ideal shares (ceiling); and
        whether the separator has collapsed.
        """
        _, wave, stems, _ = truth(batch)
        shares, bins = self.shares(batch)
        losses = {f"val/{name}": value for name, value in self.losses(batch, shares).items()}
        self.log_dict(losses, sync_dist=True, batch_size=len(batch.names))
        rate, scale = batch.spec.sample_rate, self.model.scale
        reference = with_off_screen(stems, wave).float()
        power = stem_power(reference, rate, scale)
        audible = _audible(reference)

        def scored(shares: Tensor) -> tuple[Tensor, Tensor]:
            """Stems of shares, and their SI-SDR, (B, R + 1)."""
            found = share_out(bins, shares.float(), wave.shape[-1], rate, scale)
            return found, si_sdr(reference, found).mean(-1).masked_fill(~audible, torch.nan)

        estimate, found = scored(shares)
        _, ceiling = scored(ideal_shares(power))
        floor = si_sdr(reference, wave[:, None].expand_as(reference)).mean(-1)
        gain = (found - floor)[:, :-1]
        values = {
            "si_sdr": found[:, :-1],
            "si_sdr_mixture": floor.masked_fill(~audible, torch.nan)[:, :-1],
            "si_sdr_gain": gain,
            "si_sdr_ideal": ceiling[:, :-1],
            "si_sdr_off_screen": found[:, -1],
        }
        if batch_index < self.diagnosed:
            of_swapped = wave.new_full((1,), torch.nan)  # a batch of one has no other video
            if len(wave) > 1:
                of_swapped = energy_share(scored(self.shares(swapped(batch))[0])[0])
            confused = confusion(reference[:, :-1], estimate[:, :-1], power[:, :-1], audible[:, :-1])
            values |= {
                "collapse/seen": energy_share(estimate),
                "collapse/swapped": of_swapped,
                "collapse/blank_gain": (scored(self.shares(blank(batch))[0])[1] - floor)[:, :-1],
                "collapse/constant_mask": share_loss(constant(shares.float(), power), power),
                "collapse/confused": confused[0],
                "collapse/confused_alike": confused[1],
            }
        for name, value in values.items():
            metric = self.scores[name.replace("/", " ")]
            metric.update(torch.where(value.isfinite(), value, torch.nan).float())  # type: ignore[operator]
            self.log(f"val/{name}", metric, prog_bar=name == "si_sdr")  # type: ignore[arg-type]

    test_step = validation_step


def _audible(stems: Tensor) -> Tensor:
    """Which stems lie above -40 dB of the loudest: below it SI-SDR is meaningless. (B, R, A, N) -> (B, R)."""
    power = stems.square().mean((-2, -1))
    return (power > 1e-4 * power.amax(1, keepdim=True)) & (power > 1e-10)
