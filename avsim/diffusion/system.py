"""Training of the generator under Lightning: losses, logs, exports."""

from dataclasses import replace
from functools import partial
from typing import Any

import lightning as L
import torch
import torch.distributed
from torch import Tensor, nn

from avsim.data.batch import LatentBatch
from avsim.diffusion.attention_statistics import attention_statistics
from avsim.diffusion.guidance import conditional_audio_loss
from avsim.diffusion.levels import LevelMixture, shifted
from avsim.diffusion.loss import level_only, motion_weight, row_loss, token_loss
from avsim.diffusion.noising import Noised
from avsim.diffusion.training_sample import CaptionDropout, TrainingSample, training_samples
from avsim.errors import InputError
from avsim.measures import bootstrap
from avsim.models.joint import Context, JointDiT
from avsim.models.pair import NAMES, Latents, Pair
from avsim.models.tokens import to_tokens
from avsim.seeds import generator, normal_like
from avsim.training.optimizers import Recipe, configure
from avsim.weights import TENSORS, hash_of, load_parts, part_folder

BINS = 5  # of the noise level, for the logs


class GeneratorSystem(L.LightningModule):
    """Trains a `JointDiT` on latents. The host waits for the device only at logged steps.

    Args:
        model: the model.
        recipe: optimizer and schedule.
        seed: of all random numbers, together with step and row.
        video_codec: run or folder of the codec of the video latents; exported with the model, never trained.
        audio_codec: the same for the audio latents.
        levels: the mixture of noise levels.
        caption_dropout: probability that a clip trains without its caption, for classifier-free guidance.
        caption_dropout_given_video: the same for clips whose video is given, which holds most of the
            caption's information; None: as `caption_dropout`.
        motion_weight: additional weight of video tokens with motion (`loss.motion_weight`).
        image_weight: loss weight of the images beside a batch of clips; that of the clips is 1.

    Raises:
        InputError: a probability outside [0, 1] or a negative weight.
    """

    def __init__(
        self,
        model: JointDiT,
        recipe: Recipe = Recipe(matrix_learning_rate=2e-3),  # noqa: B008  # frozen
        seed: int = 0,
        video_codec: str | None = None,
        audio_codec: str | None = None,
        levels: LevelMixture = LevelMixture(),  # noqa: B008
        caption_dropout: float = 0.1,
        caption_dropout_given_video: float | None = None,
        motion_weight: float = 0.0,
        image_weight: float = 0.4,
    ) -> None:
        super().__init__()
        given = caption_dropout if caption_dropout_given_video is None else caption_dropout_given_video
        for name, chance in (("caption_dropout", caption_dropout), ("caption_dropout_given_video", given)):
            if not 0 <= chance <= 1:
                raise InputError(f"{name} is {chance}; it must lie in [0, 1]")
        for name, weight in (("motion_weight", motion_weight), ("image_weight", image_weight)):
            if not 0 <= weight < float("inf"):
                raise InputError(f"{name} is {weight}; it must be 0 or more")
        self.model: Any = model
        self.recipe, self.seed, self.levels = recipe, seed, levels
        self.dropout = CaptionDropout(caption_dropout, given)
        self.motion_weight, self.image_weight = motion_weight, image_weight
        self.codecs = {"video_codec": video_codec, "audio_codec": audio_codec}
        self.loaded: dict[str, nn.Module] | None = None  # in a dict, so that codecs aren't submodules
        self.seen: list[dict[str, Tensor]] = []  # validation losses, row by row

    def parts(self) -> dict[str, nn.Module]:
        """The exported models: the generator, and the codecs of its latents."""
        if self.loaded is None:
            self.loaded = load_parts(self.codecs)
        return {"generator": self.model, **self.loaded}

    def on_fit_start(self) -> None:
        """Check codecs and latents before the first step.

        Raises:
            InputError: codecs are missing, or the latents have other channels than the model, or were encoded
                by other codecs.
        """
        self.parts()
        found = getattr(self.trainer.datamodule, "channels", None)  # type: ignore[attr-defined]
        own = tuple(self.model.channels)
        if found is not None and found != own:
            fix = f"--model.model.video_channels {found[0]} --model.model.audio_channels {found[1]}"
            raise InputError(f"latents have {found} channels (video, audio), the model {own}; set {fix}")
        recorded = getattr(self.trainer.datamodule, "codecs", {})  # type: ignore[attr-defined]
        for part, path in self.codecs.items():
            expected = recorded.get(part.partition("_")[0], {}).get("sha256")
            if path is not None and expected is not None:
                if expected != (hashed := hash_of(part_folder(path, part) / TENSORS)):
                    raise InputError(
                        f"latents are of a {part} with sha256 {expected[:12]}…, {path} has {hashed[:12]}…; "
                        "give the codec that encoded them, or encode them again"
                    )

    def configure_optimizers(self) -> Any:
        """The recipe's optimizer and schedule, over the trainer's number of steps."""
        return configure(self.model, self.recipe, int(self.trainer.estimated_stepping_batches))

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Tokenise the captions while the batch is on the host, if the text encoder has token ids."""
        return tokenised(batch, self.model) if isinstance(batch, LatentBatch) else batch

    def training_step(self, batch: LatentBatch, batch_index: int) -> Tensor:
        """Flow loss of both modalities, over the tokens that are not given."""
        batch_size = len(batch.names) * self.trainer.world_size * self.trainer.accumulate_grad_batches
        samples = training_samples(
            batch, batch_size, self.levels, self.dropout, self.model.shifts, self.seed, self.global_step,
            self.image_weight,
        )  # fmt: skip
        losses = [self.losses(sample) for sample in samples]  # (B, L) each
        total = self.total(samples, losses)
        if (self.global_step + 1) % self.trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            self.log("train/loss", total.detach(), sync_dist=True, batch_size=len(batch.names), prog_bar=True)
            self.log_levels(samples, [loss.each(torch.Tensor.detach) for loss in losses])
        return total

    def with_target(self, sample: TrainingSample) -> TrainingSample:
        """The sample with the target velocity: here, that of the data."""
        return sample

    def losses(self, sample: TrainingSample) -> Pair[Tensor]:
        """The loss of every token, (B, L)."""
        noised = self.with_target(sample).noised
        context = self.model.context(sample.captions, sample.spec, sample.uncond)
        v = self.model(noised.each(lambda n: n.x_s), noised.each(lambda n: n.s), context)
        losses = v.each(token_loss, noised)
        if self.motion_weight and losses.video is not None and sample.spec.video[0] > 1:
            weight = motion_weight(sample.noised.video, sample.spec.video[0], self.motion_weight)
            losses = losses._replace(video=weight * losses.video)
        return losses

    def total(self, samples: list[TrainingSample], losses: list[Pair[Tensor]]) -> Tensor:
        """The step's loss: the mean over clips, summed over modalities, plus the weighted mean of images."""
        means = [
            sample.weight * row_loss(loss).mean()
            for sample, each in zip(samples, losses, strict=True)
            for loss in each.present()
        ]
        total = torch.stack(means).sum()
        alone = {name for sample in samples if not sample.coupled for name in _names(sample)}
        if not any(sample.coupled for sample in samples) or len(alone) < len(NAMES):
            # Without coupled or unimodal rows, some weights have no gradient, and DDP would hang.
            weights = [weight for weight in self.model.parameters() if weight.requires_grad]
            total = total + 0 * torch.stack([weight.sum() for weight in weights]).sum()
        return total

    def log_levels(self, samples: list[TrainingSample], losses: list[Pair[Tensor]]) -> None:
        """Log the mean loss of generated tokens by modality, by bin of the noise level, and of images."""
        sums: dict[str, Tensor] = {}
        for sample, each in zip(samples, losses, strict=True):
            for name, loss, noised in zip(NAMES, each, sample.noised, strict=True):
                if loss is None:
                    continue
                label = "image" if sample.spec.video[0] == 1 else name
                level = noised.level[..., 0].flatten()  # (B L,)
                free = (level > 0).float()
                index = (level * BINS).long().clamp(max=BINS - 1)
                found = torch.stack(
                    [
                        torch.zeros(BINS, device=loss.device).index_add_(0, index, value)
                        for value in (loss.float().flatten() * free, free)
                    ]
                )
                sums[label] = sums[label] + found if label in sums else found
        for name, found in sums.items():
            found = self.trainer.strategy.reduce(found, reduce_op="sum")  # over processes
            self.log(f"train/{name}", found[0].sum() / found[1].sum(), rank_zero_only=True)
            for i in range(0 if name == "image" else BINS):
                # Lightning logs the last value again if none is given; an empty bin logs 0 / 0, NaN.
                label = f"train/{name}_s_{i / BINS:.1f}-{(i + 1) / BINS:.1f}"
                self.log(label, found[0, i] / found[1, i], rank_zero_only=True)

    def validation_step(self, batch: LatentBatch, batch_index: int) -> None:  # noqa: D102
        self.seen.append(self.score(batch, batch_index))

    def test_step(self, batch: LatentBatch, batch_index: int) -> None:  # noqa: D102
        self.seen.append(self.score(batch, batch_index))

    def on_validation_epoch_end(self) -> None:  # noqa: D102
        self.report("val")

    def on_test_epoch_end(self) -> None:  # noqa: D102
        self.report("test")

    def score(self, batch: LatentBatch, batch_index: int) -> dict[str, Tensor]:
        """Losses at timesteps spread evenly over [0, 1], and the gain of conditioning on video; (B,)."""
        x = to_tokens(Latents(batch.video, batch.audio))
        rows = range(batch.first_row, batch.first_row + len(batch.names))
        random = [generator(self.seed, "validation", batch_index, row) for row in rows]
        noise = x.each(partial(normal_like, rows=random))
        points = torch.arange(rows.start, rows.stop, device=batch.device)
        u = (((points + 0.5) * 0.618034) % 1).float()[:, None].clamp(0.02)  # (B, 1)
        context = self.model.context(batch.captions if batch.text is None else batch.text, batch.spec)

        s = x.each(lambda x, shift: shifted(u, shift).to(x), self.model.shifts)
        noised = x.each(Noised, noise, s)
        v = self.model(noised.each(lambda n: n.x_s), noised.each(lambda n: n.s), context)
        found: dict[str, Tensor] = {}
        for name, v_of, n in zip(NAMES, v, noised, strict=True):
            if n is not None:
                found[name] = row_loss(token_loss(v_of, n))
                found[f"{name}_level_only"] = row_loss(token_loss(level_only(n), n))
        if noised.video is not None and noised.audio is not None and len(u) > 1:
            found |= self.conditioning_gain(noised, s.audio, context)
        return {name: value.float().cpu() for name, value in found.items()}

    def conditioning_gain(self, noised: Pair[Noised], s: Tensor, context: Context) -> dict[str, Tensor]:
        """The audio loss at level s (B, 1) given the clean video, and given another clip's; each (B,).

        Noise and caption are the same. Also returns statistics of the attention to the clip's video.
        """
        audio, videos, given = noised.audio, noised.video.x, torch.zeros_like(s)
        own, shuffled = (
            row_loss(conditional_audio_loss(self.model, context, video, given, audio))
            for video in (videos, videos.roll(len(s) // 2, 0))
        )
        found = {
            "conditional_audio_loss": own, "shuffled_audio_loss": shuffled, "conditioning_gain": shuffled -
            own
        }  # fmt: skip
        if not isinstance(self.model, JointDiT):  # statistics need its blocks
            return found
        statistics = attention_statistics(self.model, Pair(videos, audio.x_s), Pair(given, s), context)
        where = {} if statistics is None else statistics._asdict()
        return found | {f"attention_{name}": value for name, value in where.items()}

    def report(self, stage: str) -> None:
        """Log means over all processes' rows, and the 95 % interval of the conditioning gain."""
        seen = gathered(self.seen)
        self.seen.clear()
        names = dict.fromkeys(name for found in seen for name in found)
        means = {name: bootstrap(torch.cat([each[name] for each in seen if name in each])) for name in names}
        for name, interval in means.items():
            self.log(f"{stage}/{name}", float(interval.mean), rank_zero_only=True)
        if "conditioning_gain" in means:
            interval = means["conditioning_gain"]
            self.log(f"{stage}/conditioning_gain_low", float(interval.low), rank_zero_only=True)
            self.log(f"{stage}/conditioning_gain_high", float(interval.high), rank_zero_only=True)
        total = sum(float(means[name].mean) for name in NAMES if name in means)
        self.log(f"{stage}/loss", total, rank_zero_only=True, prog_bar=True)


def tokenised(batch: LatentBatch, model: JointDiT) -> LatentBatch:
    """The batch, and its images, with their captions' token ids, if the text encoder has any."""
    if batch.images is not None:
        batch = replace(batch, images=tokenised(batch.images, model))
    if batch.text is not None and not batch.text.is_floating_point():
        return batch  # token ids; embeddings come from another model's encoder
    return replace(batch, text=model.text.tokenize(batch.captions))


def _names(sample: TrainingSample) -> list[str]:
    return [name for name, noised in zip(NAMES, sample.noised, strict=True) if noised is not None]


def gathered(rows: list[Any]) -> list[Any]:
    """The lists of all processes, one after the other."""
    if not torch.distributed.is_initialized():
        return list(rows)
    lists: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(lists, rows)
    return [item for each in lists for item in each]
