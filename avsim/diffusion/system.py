"""The generator under Lightning: what it trains on, what it logs, what a run exports."""

import math
from functools import partial
from typing import Any

import lightning as L
import torch
import torch.distributed
from torch import Tensor, nn

from avsim.data.batch import LatentBatch
from avsim.data.encode import load_codecs
from avsim.diffusion.attention_statistics import attention_maps, gaze
from avsim.diffusion.guidance import unheard
from avsim.diffusion.levels import LevelMixture, shifted
from avsim.diffusion.loss import row_loss, token_loss, trivial
from avsim.diffusion.noising import Noised
from avsim.diffusion.training_sample import Drawn, draw
from avsim.errors import InputError
from avsim.measures import bootstrap
from avsim.models.joint import Context, JointDiT
from avsim.models.pair import NAMES, Latents, Pair
from avsim.models.tokens import to_tokens
from avsim.seeds import generator, normal_like
from avsim.training.optimizers import Recipe, configure
from avsim.weights import TENSORS, hash_of, part_folder

BINS = 5  # of the noise level, for the logs


class GeneratorSystem(L.LightningModule):
    """Trains a `JointDiT` on latents.

    Args:
        model: what is trained.
        recipe: its optimizer and schedule.
        seed: from which all draws derive, with the step and the row.
        video_codec: run or folder of the codec that made the video latents; exported along, never trained.
        audio_codec: and of the audio latents.
        levels: the mixture of noise levels.
        untold: chance of a clip to train without its caption, so that guidance can do without it.
    """

    def __init__(
        self,
        model: JointDiT,
        recipe: Recipe = Recipe(matrix_learning_rate=2e-3),  # noqa: B008  # frozen
        seed: int = 0,
        video_codec: str | None = None,
        audio_codec: str | None = None,
        levels: LevelMixture = LevelMixture(),  # noqa: B008
        untold: float = 0.1,
    ) -> None:
        super().__init__()
        self.model, self.recipe, self.seed = model, recipe, seed
        self.levels, self.untold = levels, untold
        self.codecs = {"video_codec": video_codec, "audio_codec": audio_codec}
        self.loaded: dict[str, nn.Module] | None = None  # codecs: in a dict, so not of this module's weights
        self.seen: list[dict[str, Tensor]] = []  # what validation found, row by row

    def parts(self) -> dict[str, nn.Module]:
        """What this run exports: the generator, and the codecs whose latents it speaks."""
        if self.loaded is None:
            self.loaded = load_codecs(self.codecs)
        return {"generator": self.model, **self.loaded}

    def on_fit_start(self) -> None:
        """Refuse, before the first step, what could not end well.

        Raises:
            InputError: codecs that aren't there, latents of other channels than the model's or of
                other codecs.
        """
        self.parts()
        found = getattr(self.trainer.datamodule, "channels", None)  # type: ignore[attr-defined]
        own = tuple(self.model.channels)
        if found is not None and found != own:
            told = f"--model.model.video_channels {found[0]} --model.model.audio_channels {found[1]}"
            raise InputError(f"latents have {found} channels (video, audio), the model {own}; say {told}")
        recorded = getattr(self.trainer.datamodule, "codecs", {})  # type: ignore[attr-defined]
        for part, path in self.codecs.items():
            told = recorded.get(part.partition("_")[0], {}).get("sha256")
            if path is not None and told is not None:
                if told != (hashed := hash_of(part_folder(path, part) / TENSORS)):
                    raise InputError(
                        f"latents are of a {part} of sha256 {told[:12]}…, {path} holds {hashed[:12]}…; "
                        "give the codec that encoded them, or encode them again"
                    )

    def configure_optimizers(self) -> Any:
        """The recipe, over as many steps as the trainer plans."""
        return configure(self.model, self.recipe, int(self.trainer.estimated_stepping_batches))

    def training_step(self, batch: LatentBatch, batch_index: int) -> Tensor:
        """Flow loss of both modalities, over the tokens that are not given."""
        drawn = draw(batch, self.levels, self.untold, self.model.shifts, self.seed, self.global_step)
        losses = self.losses(drawn, batch)  # (B, L)
        means = losses.each(lambda loss: row_loss(loss).mean())
        total = torch.stack(means.there()).sum()
        if len(means.there()) < len(means):  # an image alone: DDP waits for every weight's gradient
            total = total + 0 * torch.stack([weight.sum() for weight in self.model.parameters()]).sum()
        self.log("train/loss", total, sync_dist=True, batch_size=len(batch.captions), prog_bar=True)
        if (self.global_step + 1) % self.trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            self.log_levels(losses.each(torch.Tensor.detach), drawn.noised)
        return total

    def losses(self, drawn: Drawn, batch: LatentBatch) -> Pair[Tensor]:
        """The loss of every token, (B, L)."""
        context = self.model.context(drawn.captions, batch.spec)
        x_s, s = (drawn.noised.each(lambda each, name=name: getattr(each, name)) for name in ("x_s", "s"))
        return self.model(x_s, s, context, drawn.linked).each(token_loss, drawn.noised)

    def log_levels(self, losses: Pair[Tensor], noised: Pair[Noised]) -> None:
        """Log the mean loss of drawn tokens for each modality, and for each bin of the noise level."""
        for name, loss, given in zip(NAMES, losses, noised, strict=True):
            if loss is None:
                continue
            level = given.level[..., 0]  # (B, L)
            drawn = level > 0
            index = (level * BINS).long().clamp(max=BINS - 1)[drawn]
            sums = torch.zeros(2, BINS, device=loss.device)
            sums[0].index_add_(0, index, loss[drawn].float())
            sums[1].index_add_(0, index, torch.ones_like(index, dtype=torch.float32))
            sums = self.trainer.strategy.reduce(sums, reduce_op="sum")  # over processes
            found, count = sums.tolist()
            if sum(count) > 0:
                self.log(f"train/{name}", sum(found) / sum(count), rank_zero_only=True)
            for i in range(BINS):
                # Lightning logs a value again until another comes: an empty bin has to say so.
                label = f"train/{name}_s_{i / BINS:.1f}-{(i + 1) / BINS:.1f}"
                mean = found[i] / count[i] if count[i] > 0 else math.nan
                self.log(label, mean, rank_zero_only=True)

    def validation_step(self, batch: LatentBatch, batch_index: int) -> None:  # noqa: D102
        self.seen.append(self.score(batch, batch_index))

    def test_step(self, batch: LatentBatch, batch_index: int) -> None:  # noqa: D102
        self.seen.append(self.score(batch, batch_index))

    def on_validation_epoch_end(self) -> None:  # noqa: D102
        self.report("val")

    def on_test_epoch_end(self) -> None:  # noqa: D102
        self.report("test")

    def score(self, batch: LatentBatch, batch_index: int) -> dict[str, Tensor]:
        """Losses at points spread evenly over both paths, and what the picture is worth; each (B,)."""
        x = to_tokens(Latents(batch.video, batch.audio))
        random = [generator(self.seed, "validation", batch_index, row) for row in batch.rows.tolist()]
        noise = x.each(partial(normal_like, rows=random))
        u = (((batch.rows + 0.5) * 0.618034) % 1).float()[:, None].clamp(0.02)  # (B, 1)
        context = self.model.context(batch.captions, batch.spec)

        s = x.each(lambda x, shift: shifted(u, shift).to(x), self.model.shifts)
        noised = x.each(Noised, noise, s)
        v = self.model(noised.each(lambda n: n.x_s), noised.each(lambda n: n.s), context)
        found: dict[str, Tensor] = {}
        for name, v_of, n in zip(NAMES, v, noised, strict=True):
            if n is not None:
                found[name] = row_loss(token_loss(v_of, n))
                found[f"{name}_trivial"] = row_loss(token_loss(trivial(n), n))
        if noised.video is not None and noised.audio is not None and len(u) > 1:
            found |= self.worth(noised, s.audio, context)
        return {name: value.float().cpu() for name, value in found.items()}

    def worth(self, noised: Pair[Noised], s: Tensor, context: Context) -> dict[str, Tensor]:
        """What the clean picture is worth to the sound at level s (B, 1), and where that looks; each (B,).

        The flow loss of the sound with its own picture and with another clip's; noise and caption the same.
        """
        sound, pictures, given = noised.audio, noised.video.x, torch.zeros_like(s)
        own, swapped = (
            row_loss(unheard(self.model, context, picture, given, sound))
            for picture in (pictures, pictures.roll(len(s) // 2, 0))
        )
        found = {"audio_own": own, "audio_swapped": swapped, "sync_gap": swapped - own}
        maps = attention_maps(self.model, Pair(pictures, sound.x_s), Pair(given, s), context)
        where = {} if maps is None else gaze(maps, context.seconds)._asdict()
        return found | {f"gaze_{name}": value for name, value in where.items()}

    def report(self, stage: str) -> None:
        """Log means over the rows of all processes; the gap with its 95 % interval: above 0, it is learnt."""
        seen = gathered(self.seen)
        self.seen.clear()
        names = dict.fromkeys(name for found in seen for name in found)
        means = {name: bootstrap(torch.cat([each[name] for each in seen if name in each])) for name in names}
        for name, interval in means.items():
            self.log(f"{stage}/{name}", float(interval.mean), rank_zero_only=True)
        if "sync_gap" in means:
            self.log(f"{stage}/sync_gap_low", float(means["sync_gap"].low), rank_zero_only=True)
            self.log(f"{stage}/sync_gap_high", float(means["sync_gap"].high), rank_zero_only=True)
        total = sum(float(means[name].mean) for name in NAMES if name in means)
        self.log(f"{stage}/loss", total, rank_zero_only=True, prog_bar=True)


def gathered(rows: list[Any]) -> list[Any]:
    """The lists of all processes, one after the other."""
    if not torch.distributed.is_initialized():
        return list(rows)
    lists: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(lists, rows)
    return [item for each in lists for item in each]
