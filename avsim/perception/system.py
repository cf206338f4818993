"""Training of the detectors on the world, on clips as they are and, with codecs, as decoded."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric

from avsim import seeds
from avsim.data.batch import ClipBatch
from avsim.perception.audio_detector import AudioDetector, AudioPrediction
from avsim.perception.augment import augment_audio, augment_video
from avsim.perception.detect import decode_events, decode_onsets, decode_things
from avsim.perception.labels import Labels
from avsim.perception.losses import audio_losses, video_losses
from avsim.perception.matching import match
from avsim.perception.peaks import thing_near
from avsim.perception.samples import LabeledBatch
from avsim.perception.scores import THRESHOLDS, MomentScore
from avsim.perception.sync import SyncModel, estimate, soft_target
from avsim.perception.video_detector import VideoDetector, VideoPrediction
from avsim.training.optimizers import Recipe, configure
from avsim.weights import load_model, part_folder

LEAST = THRESHOLDS[0]
FRAME = 1 / 16  # s: what is found within a frame is right
NEAR = 1.5  # cells: a thing found within this is right


class _DetectorSystem(L.LightningModule):
    """What both trainings share.

    Args:
        model: what is trained.
        recipe: its optimizer and schedule.
        seed: from which all random numbers derive, with the step and the row.
        codecs: a run with codecs, through which half of the training clips go; None: no clips do.
        weights: of the loss's parts, where they aren't 1.
    """

    name: str  # of the part that a run exports
    codec: str  # of a detector for one modality

    def __init__(
        self,
        model: VideoDetector | AudioDetector,
        recipe: Recipe | None = None,
        seed: int = 0,
        codecs: str | None = None,
        weights: dict[str, float] | None = None,
    ) -> None:
        super().__init__()
        self.model, self.recipe, self.seed, self.weights = model, recipe or Recipe(), seed, weights or {}
        counted = ("precision", "recall")
        self.means = nn.ModuleDict(
            {
                name: MeanMetric(nan_strategy="ignore")
                for name in model.errors.names
                if not name.endswith(counted)
            }
        )
        found = None if codecs is None else load_model(part_folder(codecs, self.codec))
        self.through = [None if found is None else found.requires_grad_(False)]  # in a list: not a part

    def parts(self) -> dict[str, nn.Module]:
        """What a run exports."""
        return {self.name: self.model}

    def configure_optimizers(self) -> Any:  # noqa: D102
        return configure(self.model, self.recipe, int(self.trainer.estimated_stepping_batches))

    def draws(self, row: int) -> torch.Generator:
        """What a row of this step is varied by."""
        return seeds.generator(self.seed, "varied", self.global_step, row)

    @torch.no_grad()
    def lossy(self, values: Tensor, batch: LabeledBatch) -> Tensor:
        """Frames or waves of a batch, every other one of them through the codec, if there is one."""
        if (codec := self.through[0]) is None:
            return values
        turn = batch.rows % 2 == self.global_step % 2
        values = values.clone()
        values[turn] = codec.to(self.device).decode(codec.encode(values[turn]), batch.spec).to(values)
        return values

    def total(self, parts: dict[str, Tensor], batch: ClipBatch) -> Tensor:
        """The weighted sum of a loss's parts, logged beside them."""
        loss = torch.stack([self.weights.get(name, 1.0) * part for name, part in parts.items()]).sum()
        logged = {f"train/{name}": part.detach() for name, part in parts.items()}
        self.log_dict(logged, sync_dist=True, batch_size=len(batch.names))
        self.log("train/loss", loss.detach(), sync_dist=True, prog_bar=True, batch_size=len(batch.names))
        return loss

    def gather(self, name: str, values: Tensor) -> None:
        """Take values (any shape) into the mean of that name."""
        if values.numel():
            self.means[name].update(values.float())  # type: ignore[operator]

    def late(self, name: str, found: list[tuple[float, float]], true: list[float], tolerance: float) -> None:
        """Take how far those that are likelier than not are from what they match, in s."""
        times = [seconds for seconds, probability in found if probability >= 0.5]
        away = [abs(times[i] - true[j]) for i, j in match(times, true, tolerance)]
        self.gather(name, torch.tensor(away, device=self.device))

    def conclude(self, scores: dict[str, MomentScore]) -> None:
        """Log all that was gathered, and keep it with the weights; thresholds too."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*before the ``update``.*")  # of what never occurred
            means = {name: float(mean.compute()) for name, mean in self.means.items()}  # type: ignore[operator]
        values = {name: value for name, value in means.items() if not math.isnan(value)}
        for name, score in scores.items():
            threshold, precision, recall, f1 = score.compute().tolist()
            getattr(self.model, f"{name}_threshold").fill_(threshold)
            values |= {f"{name}/precision": precision, f"{name}/recall": recall}
            self.log(f"val/{name}/f1", f1, prog_bar=True)
            score.reset()
        for mean in self.means.values():
            mean.reset()  # type: ignore[operator]
        self.model.errors.note(values)
        self.log_dict({f"val/{name}": value for name, value in values.items()})


class VideoDetectorSystem(_DetectorSystem):
    """Trains a `VideoDetector`; its events are right within a frame, its things within 1.5 cells."""

    name, codec = "video_detector", "video_codec"
    model: VideoDetector

    def __init__(
        self,
        model: VideoDetector,
        recipe: Recipe | None = None,
        seed: int = 0,
        codecs: str | None = None,
        weights: dict[str, float] | None = None,
        length: int = 16,  # frames of a training crop
    ) -> None:
        super().__init__(model, recipe, seed, codecs, weights)
        self.length = length
        self.events, self.things = MomentScore(FRAME), MomentScore(NEAR)

    def training_step(self, batch: LabeledBatch, batch_index: int) -> Tensor:
        """A stretch of each clip, half of them through the codec."""
        assert batch.frames is not None and batch.labels is not None
        frames = self.lossy(batch.frames, batch)
        seen = self.model.grid.resample_video(frames, batch.spec.frames_per_second).cpu()
        rows = [
            augment_video(clip, each, self.length, self.draws(row))
            for clip, each, row in zip(seen, _each(batch.labels.to("cpu")), batch.rows.tolist(), strict=True)
        ]
        clips = torch.stack([clip for clip, _ in rows]).to(self.device)
        labels = Labels.stack([each for _, each in rows]).to(self.device)
        return self.total(video_losses(self.model(clips), labels), batch)

    def validation_step(self, batch: LabeledBatch, batch_index: int) -> None:
        """Whole clips as they are."""
        assert batch.frames is not None and batch.labels is not None
        predicted = self.model(self.model.grid.resample_video(batch.frames, batch.spec.frames_per_second))
        losses = video_losses(predicted, batch.labels)
        self.log_dict(
            {f"val/loss/{name}": value for name, value in losses.items()}, batch_size=len(batch.names)
        )
        self.gather("place/accuracy", predicted.place.argmax(-1) == batch.labels.place)
        for row, labels in enumerate(_each(batch.labels)):
            self._score_events(predicted, labels, row)
            self._score_things(predicted, labels, row)

    test_step = validation_step

    def _score_events(self, predicted: VideoPrediction, labels: Labels, row: int) -> None:
        rate = self.model.grid.frames_per_second
        places = (labels.event == 1).nonzero().tolist()
        true = [(place[0] + 0.5 + float(labels.moment[tuple(place)])) / rate for place in places]
        doubtful = ((labels.event < 0).flatten(1).any(1).nonzero().flatten() + 0.5) / rate
        found = [
            (each.seconds, each.probability) for each in decode_events(predicted, self.model, LEAST, row)
        ]
        self.events.update(found, true, doubtful.tolist())
        self.late("event/seconds", found, true, FRAME)
        for place in places:
            at = (place[0], *thing_near(predicted.kind[row, place[0]], *place[1:]))
            if labels.kind[at] > 0:
                self.gather("event/kind", predicted.kind[row][at][1:].argmax() + 1 == labels.kind[at])
                self.gather("event/material", predicted.material[row][at].argmax() == labels.material[at])
        hot = labels.event == 1
        moving = hot & labels.speed.isfinite()
        self.gather("event/speed", (predicted.speed[row][moving].float() - labels.speed[moving]).abs())

    def _score_things(self, predicted: VideoPrediction, labels: Labels, row: int) -> None:
        middles = labels.centre == 1
        for what in ("kind", "material", "colour"):
            said, true = getattr(predicted, what)[row][middles], getattr(labels, what)[middles]
            first = 1 if what == "kind" else 0  # a middle is of something
            self.gather(f"thing/{what}", said[:, first:].argmax(-1) + first == true)
        self.gather("thing/size", (predicted.size[row][middles].float() - labels.size[middles]).abs())
        for frame in range(0, middles.shape[0], 8):  # neighbours are alike
            h, w = middles.shape[1:]
            true = middles[frame].nonzero().tolist()
            found = [
                (seen.x * w - 0.5, seen.y * h - 0.5, seen.probability)
                for seen in decode_things(predicted, frame, LEAST, row)
            ]
            self.things.update(*_along(found, true))

    def on_validation_epoch_end(self) -> None:  # noqa: D102
        self.conclude({"event": self.events, "thing": self.things})

    on_test_epoch_end = on_validation_epoch_end


class AudioDetectorSystem(_DetectorSystem):
    """Trains a `AudioDetector`; its onsets are right within half a frame."""

    name, codec = "audio_detector", "audio_codec"
    model: AudioDetector

    def __init__(
        self,
        model: AudioDetector,
        recipe: Recipe | None = None,
        seed: int = 0,
        codecs: str | None = None,
        weights: dict[str, float] | None = None,
    ) -> None:
        super().__init__(model, recipe, seed, codecs, weights)
        self.onsets = MomentScore(FRAME / 2)

    def training_step(self, batch: LabeledBatch, batch_index: int) -> Tensor:
        """Whole clips, half of them through the codec."""
        assert batch.wave is not None and batch.labels is not None
        wave = self.lossy(batch.wave, batch)
        heard = self.model.grid.resample_audio(wave, batch.spec.sample_rate).cpu()
        rows = [
            augment_audio(clip, each, self.draws(row))
            for clip, each, row in zip(heard, _each(batch.labels.to("cpu")), batch.rows.tolist(), strict=True)
        ]
        clips = torch.stack([clip for clip, _ in rows]).to(self.device)
        labels = Labels.stack([each for _, each in rows]).to(self.device)
        return self.total(audio_losses(self.model(clips), labels), batch)

    def validation_step(self, batch: LabeledBatch, batch_index: int) -> None:
        """Whole clips as they are."""
        assert batch.wave is not None and batch.labels is not None
        labels = batch.labels
        predicted = self.model(self.model.grid.resample_audio(batch.wave, batch.spec.sample_rate))
        losses = audio_losses(predicted, labels)
        self.log_dict(
            {f"val/loss/{name}": value for name, value in losses.items()}, batch_size=len(batch.names)
        )
        self.gather("place/accuracy", predicted.place.argmax(-1) == labels.place)
        self.gather("decay/octaves", (predicted.decay - labels.decay).abs())
        self.gather("heard/kinds", ((predicted.kinds > 0) == (labels.kinds > 0)).all(-1))
        self.gather("heard/materials", ((predicted.materials > 0) == (labels.materials > 0)).all(-1))
        self._score_onsets(predicted, labels)

    test_step = validation_step

    def _score_onsets(self, predicted: AudioPrediction, labels: Labels) -> None:
        hot = labels.onset == 1
        self.gather("onset/level", (predicted.level[hot].float() - labels.level[hot]).abs())
        known = hot & (labels.onset_kind > 0)
        self.gather("onset/kind", predicted.kind[known][:, 1:].argmax(-1) + 1 == labels.onset_kind[known])
        self.gather("onset/material", predicted.material[known].argmax(-1) == labels.onset_material[known])
        rate = self.model.grid.columns_per_second
        for row, heat in enumerate(labels.onset):
            true = ((heat == 1).nonzero().flatten() + 0.5) / rate
            doubtful = ((heat < 0).nonzero().flatten() + 0.5) / rate
            found = [
                (each.seconds, each.probability) for each in decode_onsets(predicted, self.model, LEAST, row)
            ]
            self.onsets.update(found, true.tolist(), doubtful.tolist())
            self.late("onset/seconds", found, true.tolist(), self.onsets.tolerance)

    def on_validation_epoch_end(self) -> None:  # noqa: D102
        self.conclude({"onset": self.onsets})

    on_test_epoch_end = on_validation_epoch_end


def _each(labels: Labels) -> list[Labels]:
    """The labels of each clip of a batch."""
    count = len(labels.place)
    return [Labels(**{name: value[row] for name, value in vars(labels).items()}) for row in range(count)]


def _along(
    found: list[tuple[float, float, float]], true: list[list[int]]
) -> tuple[list[tuple[float, float]], list[float]]:
    """Places as moments on a line, so that what is near in the video, and nothing else, is near on it.

    Each true middle (row, column) has a stretch of its own; what is found (x, y, probability) lies in that of
    the nearest one, as far from it as in the video.
    """
    line = []
    for x, y, probability in found:
        away = [max(abs(x - column), abs(y - row)) for row, column in true]
        nearest = min(range(len(true)), key=away.__getitem__, default=0)
        line.append((100.0 * nearest + (away[nearest] if away else 50.0), probability))
    return line, [100.0 * number for number in range(len(true))]


class SyncSystem(L.LightningModule):
    """Trains an `SyncModel` on clips whose video and audio are cut out apart.

    Args:
        model: what is trained.
        recipe: its optimizer and schedule.
        seed: from which all random numbers derive, with the step and the row.
        seconds: of what is cut out; clips are `MAX_SHIFT` longer, or else only shorter shifts are drawn.
        detectors: a folder of runs perception-video_detector and perception-audio_detector, whose weights are
            started from.
        tune: whether the towers' own weights are trained too, and not only what joins them.
    """

    def __init__(
        self,
        model: SyncModel,
        recipe: Recipe | None = None,
        seed: int = 0,
        seconds: float = 2.0,
        detectors: str | None = None,
        tune: bool = True,
    ) -> None:
        super().__init__()
        for part in (model.video, model.audio):
            part.requires_grad_(tune)
        self.model, self.recipe, self.seed, self.seconds = model, recipe or Recipe(), seed, seconds
        if detectors is not None:
            for name, part in (("video_detector", model.video), ("audio_detector", model.audio)):
                folder = part_folder(Path(detectors) / f"perception-{name}", name)
                part.load_state_dict(load_model(folder, expected=type(part)).state_dict())
        self.means = nn.ModuleDict({name: MeanMetric() for name in model.errors.names})

    def parts(self) -> dict[str, nn.Module]:
        """What a run exports."""
        return {"sync_model": self.model}

    def configure_optimizers(self) -> Any:  # noqa: D102
        return configure(self.model, self.recipe, int(self.trainer.estimated_stepping_batches))

    def cut(self, batch: LabeledBatch, step: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Stretches of video and audio of each clip, how much later the sound comes, and what can be stated.

        Shapes: frames (B, 3, T, H, W), wave (B, A, N), shift (B,) in s, telling (B,): whether anything begins
        to sound in what both stretches share.
        """
        assert batch.frames is not None and batch.wave is not None and batch.labels is not None
        grid = self.model.video.grid
        frames = grid.resample_video(batch.frames, batch.spec.frames_per_second)
        wave = grid.resample_audio(batch.wave, batch.spec.sample_rate)
        T, N = grid.frames(self.seconds), grid.columns(self.seconds) * grid.hop
        onset = (batch.labels.onset == 1).nonzero()
        seen, heard, shifts, telling = [], [], [], []
        for place, row in enumerate(batch.rows.tolist()):
            draws = seeds.generator(self.seed, "offset", step, row)
            late = int(torch.randint(frames.shape[2] - T + 1, (), generator=draws))
            first = int(torch.randint(wave.shape[-1] - N + 1, (), generator=draws))
            seen.append(frames[place, :, late : late + T])
            heard.append(wave[place, :, first : first + N])
            picture, sound = late / grid.frames_per_second, first / grid.sample_rate
            shifts.append(picture - sound)
            times = onset[onset[:, 0] == place, 1] / grid.columns_per_second
            inside = (times > max(picture, sound)) & (times < min(picture, sound) + self.seconds)
            telling.append(bool(inside.any()))
        return (
            torch.stack(seen),
            torch.stack(heard),
            torch.tensor(shifts, device=self.device),
            torch.tensor(telling, device=self.device),
        )

    def training_step(self, batch: LabeledBatch, batch_index: int) -> Tensor:
        """Cross-entropy of the shifts, where they can be stated."""
        frames, wave, shift, telling = self.cut(batch, self.global_step)
        logits = self.model(frames, wave)
        lost = nn.functional.cross_entropy(logits, soft_target(shift, self.model), reduction="none")
        loss = (lost * telling).sum() / telling.sum().clamp(min=1)
        self.log("train/loss", loss.detach(), sync_dist=True, prog_bar=True, batch_size=len(batch.names))
        return loss

    def validation_step(self, batch: LabeledBatch, batch_index: int) -> None:
        """How far the shifts that are found are from the true ones."""
        frames, wave, shift, telling = self.cut(batch, -1)
        seconds, _ = estimate(self.model(frames, wave), self.model)
        away = (seconds - shift).abs()[telling].float()
        for name, values in zip(
            self.means, (away, (away <= 0.04).float(), (away <= FRAME).float()), strict=True
        ):
            self.means[name].update(values)  # type: ignore[operator]

    test_step = validation_step

    def on_validation_epoch_end(self) -> None:  # noqa: D102
        values = {name: float(mean.compute()) for name, mean in self.means.items()}  # type: ignore[operator]
        for mean in self.means.values():
            mean.reset()  # type: ignore[operator]
        self.model.errors.note(values)
        self.log_dict({f"val/{name}": value for name, value in values.items()}, prog_bar=True)

    on_test_epoch_end = on_validation_epoch_end
