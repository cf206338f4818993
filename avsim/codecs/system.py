"""How the codecs are trained: crops in, distances out, statistics of the latents gathered on the way."""

from collections.abc import Mapping

import lightning as L
import torch
from torch import Tensor, nn

from avsim import seeds
from avsim.codecs.adversarial import PatchDiscriminator, adversarial_parts, gradient_ratio
from avsim.codecs.audio import AudioAutoencoder
from avsim.codecs.augment import augment
from avsim.codecs.latent_norm import moments_of
from avsim.codecs.losses import cue_parts, distortion, moving
from avsim.codecs.video import VideoAutoencoder, padded
from avsim.data.batch import ClipBatch
from avsim.errors import InputError
from avsim.measures import log_spectral_distance, psnr
from avsim.training.optimizers import Recipe, configure


class _CodecSystem(L.LightningModule):
    """What both trainings share: draws by (seed, step, row), weighted parts, the optimizer.

    With `decoder_only` latents stay what they are, so that what was learned on them stays true.
    """

    def __init__(
        self,
        model: VideoAutoencoder | AudioAutoencoder,
        recipe: Recipe | None,
        seed: int,
        noise: float,
        decoder_only: bool,
    ) -> None:
        super().__init__()
        self.model, self.recipe, self.seed, self.noise = model, recipe or Recipe(), seed, noise
        self.decoder_only = decoder_only
        if decoder_only:
            model.encoder.requires_grad_(False)

    def configure_optimizers(self):  # noqa: D102
        return configure(self.model, self.recipe, int(self.trainer.estimated_stepping_batches))

    def score(self, batch: ClipBatch, stage: str) -> None:
        """Log how well whole clips come back."""
        raise AssertionError("each codec has its own")

    def validation_step(self, batch: ClipBatch, batch_index: int) -> None:  # noqa: D102
        self.score(batch, "val")

    def test_step(self, batch: ClipBatch, batch_index: int) -> None:  # noqa: D102
        self.score(batch, "test")

    def starts(self, rows: Tensor, room: int) -> list[int]:
        """Where each row's crop starts, uniform over 0 ... `room`."""
        return [
            int(
                torch.randint(
                    room + 1, (), generator=seeds.generator(self.seed, "crop", self.global_step, row)
                )
            )
            for row in rows.tolist()
        ]

    def latent_noise(self, rows: Tensor, shape: tuple[int, ...], scale: float | None = None) -> Tensor:
        """Normal noise (B, *shape) times `scale`, by default `noise`, row by row."""
        draws = [
            torch.randn(shape, generator=seeds.generator(self.seed, "noise", self.global_step, row))
            for row in rows.tolist()
        ]
        return (self.noise if scale is None else scale) * torch.stack(draws).to(self.device)

    def gather(self, latents: Tensor) -> None:
        """Take raw latents (B, D, ...) of all processes into the statistics that normalise them."""
        if self.decoder_only:
            return
        for latent_norm, part in self.model._latent_norms(latents):
            moments = self.trainer.strategy.reduce(moments_of(part), reduce_op="mean")
            latent_norm.observe(moments)  # type: ignore[arg-type]

    def total(self, parts: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
        """The weighted sum of a loss's parts, logged beside them."""
        loss = weighted(parts, weights)
        self.log_dict({f"train/{name}": part.detach() for name, part in parts.items()}, sync_dist=True)
        self.log("train/loss", loss.detach(), sync_dist=True, prog_bar=True)
        return loss


class VideoCodecSystem(_CodecSystem):
    """Trains a `VideoAutoencoder` on temporal crops of a `ClipBatch`'s frames; validates on whole clips."""

    model: VideoAutoencoder

    def __init__(
        self,
        model: VideoAutoencoder,
        recipe: Recipe | None = None,
        seed: int = 0,
        crop_frames: int = 9,  # of a training crop, 1 + 4 k
        noise: float = 0.05,  # on raw latents, whose deviation is about 0.6 at the start
        motion: float = 4.0,  # how much more a moving pixel weighs
        decoder_only: bool = False,  # whether latents stay as they are
        noise_level: float = 0.0,  # decode at levels uniform up to this, in place of `noise`
        kl_weight: float = 0.0,  # of half the mean square of raw latents
        perceptual: nn.Module | None = None,  # frames -> features whose distance is minimised too
        perceptual_weight: float = 0.1,
        adversarial_weight: float = 0.0,  # length of its gradient at the frames, relative to the other parts'
        adversarial_start: int = 0,  # first step that it counts at; the discriminator trains from step 0
    ) -> None:
        super().__init__(model, recipe, seed, noise, decoder_only)
        if not 0 <= noise_level < 1:
            raise InputError(f"noise_level is {noise_level}; expected 0 or more, below 1")
        if crop_frames < 1 or (crop_frames - 1) % model.time_stride:
            raise InputError(f"crop_frames is {crop_frames}; expected 1 + {model.time_stride} k")
        self.crop_frames, self.motion, self.noise_level = crop_frames, motion, noise_level
        self.weights = {"kl": kl_weight, "perceptual": perceptual_weight, "adversarial": adversarial_weight}
        self.adversarial_start = adversarial_start
        self.discriminator = PatchDiscriminator() if adversarial_weight else None
        self.perceptual = perceptual

    def configure_optimizers(self):  # noqa: D102
        if self.discriminator is None:
            return super().configure_optimizers()
        trained = nn.ModuleDict({"model": self.model, "discriminator": self.discriminator})
        trained.hidden_matrices = self.model.hidden_matrices  # type: ignore[assignment, union-attr]
        return configure(trained, self.recipe, int(self.trainer.estimated_stepping_batches))

    def parts(self) -> dict[str, nn.Module]:
        """What a run exports."""
        return {"video_codec": self.model}

    def training_step(self, batch: ClipBatch, batch_index: int) -> Tensor:
        """One crop of each clip: encoded, noised, decoded, compared."""
        frames = _frames(batch)
        length = min(self.crop_frames, frames.shape[2])
        starts = self.starts(batch.rows, frames.shape[2] - length)
        crops = [
            augment(
                clip[:, start : start + length], seeds.generator(self.seed, "augment", self.global_step, row)
            )
            for clip, start, row in zip(frames, starts, batch.rows.tolist(), strict=True)
        ]
        crop = padded(torch.stack(crops), self.model.time_stride, self.model.space_stride)
        t, stride = 1 + (crop.shape[2] - 1) // self.model.time_stride, self.model.space_stride
        shape = (self.model.channels, t, crop.shape[3] // stride, crop.shape[4] // stride)
        level = None
        if self.noise_level:
            u = seeds.row_uniform(batch.rows, (1,), self.seed, "noise level", self.global_step)
            level = self.noise_level * u[:, 0].to(self.device)
        noise = self.latent_noise(batch.rows, shape, scale=1.0 if self.noise_level else self.noise)
        estimate, z = self.model(crop, noise, level)
        self.gather(z)
        parts = {"distortion": distortion(crop, estimate, self.motion)}
        weights = {"distortion": 0.02} | self.weights
        if self.weights["kl"]:
            parts["kl"] = z.square().mean() / 2
        if self.perceptual is not None:
            with torch.no_grad():
                wanted = self.perceptual(crop)
            parts["perceptual"] = (self.perceptual(estimate) - wanted).square().mean()
        if self.discriminator is not None:
            others = weighted(parts, weights)
            parts |= adversarial_parts(self.discriminator, crop, estimate)
            if self.global_step < self.adversarial_start:
                weights["adversarial"] = 0.0
            else:
                weights["adversarial"] *= gradient_ratio(others, parts["adversarial"], estimate)
        return self.total(parts, weights)

    def score(self, batch: ClipBatch, stage: str) -> None:
        """PSNR in dB over all pixels and over those that move; the root mean square of latents, near 1."""
        frames = _frames(batch)
        z = self.model.encode(frames)
        estimate = self.model.decode(z, batch.spec)
        scores = {
            f"{stage}/psnr": psnr(frames, estimate).mean(),
            f"{stage}/psnr_moving": psnr(frames, estimate, moving(frames) + 1e-6).mean(),
            f"{stage}/latent_rms": moments_of(z)[1].mean().sqrt(),
        }
        self.log_dict(_single(scores), batch_size=len(frames), sync_dist=True, prog_bar=True)


class AudioCodecSystem(_CodecSystem):
    """Trains an `AudioAutoencoder` on short crops of a `ClipBatch`'s waves; validates on whole clips."""

    model: AudioAutoencoder

    def __init__(
        self,
        model: AudioAutoencoder,
        recipe: Recipe | None = None,
        seed: int = 0,
        crop_seconds: float = 1.0,  # of a training crop, to the nearest whole latent
        noise: float = 0.1,  # on raw latents, which lie in (-3, 3)
        weights: dict[str, float] | None = None,  # of the loss's parts, where they aren't 1
        decoder_only: bool = False,  # whether latents stay as they are
    ) -> None:
        super().__init__(model, recipe, seed, noise, decoder_only)
        self.latents = max(1, round(crop_seconds * model.sample_rate / model.hop))
        self.weights = weights or {}

    def parts(self) -> dict[str, nn.Module]:
        """What a run exports."""
        return {"audio_codec": self.model}

    def training_step(self, batch: ClipBatch, batch_index: int) -> Tensor:
        """One crop of each clip: encoded, noised, decoded, compared."""
        wave = _wave(batch, self.model.sample_rate)
        length = self.latents * self.model.hop
        wave = nn.functional.pad(wave, (0, max(0, length - wave.shape[-1])))
        starts = self.starts(batch.rows, wave.shape[-1] - length)
        crops = [clip[:, start : start + length] for clip, start in zip(wave, starts, strict=True)]
        found = self.model.cues(torch.stack(crops))
        estimate, z = self.model(found, self.latent_noise(batch.rows, (self.model.channels, self.latents)))
        self.gather(z)
        return self.total(cue_parts(found, estimate), self.weights)

    def score(self, batch: ClipBatch, stage: str) -> None:
        """Distances in dB of log-spectra, of loudness and of the sides' difference; latents' rms, near 1."""
        wave = _wave(batch, self.model.sample_rate)
        z = self.model.encode(wave)
        estimate = self.model.decode(z, batch.spec)
        true, made = _side_levels(wave), _side_levels(estimate)
        scores = {
            f"{stage}/lsd": log_spectral_distance(wave, estimate).mean(),
            f"{stage}/loudness": (made.mean(1) - true.mean(1)).abs().mean(),
            f"{stage}/latent_rms": moments_of(z)[1].mean().sqrt(),
        }
        if wave.shape[1] == 2:
            scores[f"{stage}/sides"] = (made.diff(dim=1) - true.diff(dim=1)).abs().mean()
        self.log_dict(_single(scores), batch_size=len(wave), sync_dist=True, prog_bar=True)


def weighted(parts: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """The weighted sum of a loss's parts; a weight that isn't given is 1."""
    return torch.stack([weights.get(name, 1.0) * part for name, part in parts.items()]).sum()


def _side_levels(wave: Tensor) -> Tensor:
    """Level of each channel in dB of full scale, not below -100, (B, A, N) -> (B, A)."""
    return 10 * (wave.float().square().mean(2) + 1e-10).log10()


def _frames(batch: ClipBatch) -> Tensor:
    if batch.frames is None:
        raise InputError("the video codec needs frames; these clips have none: " + ", ".join(batch.names[:3]))
    return batch.frames


def _wave(batch: ClipBatch, sample_rate: int) -> Tensor:
    if batch.wave is None:
        raise InputError("the audio codec needs sound; these clips have none: " + ", ".join(batch.names[:3]))
    if batch.spec.sample_rate != sample_rate:
        raise InputError(
            f"data.spec.sample_rate is {batch.spec.sample_rate}; the codec's is {sample_rate} Hz"
        )
    return batch.wave


def _single(scores: dict[str, Tensor]) -> dict[str, Tensor]:
    """Scores in single precision, which every device can log."""
    return {name: score.float() for name, score in scores.items()}
