"""Clips generated during training, for the run's folder and its loggers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from torch import nn

from avsim.clip import Clip, ClipSpec
from avsim.diffusion import Guidance
from avsim.diffusion.generate import STEPS
from avsim.errors import InputError
from avsim.report.card import SCRIPT, STYLE, Shown, card
from avsim.report.html import Section, document
from avsim.report.plots import spectrogram, strip
from avsim.separation.discovery import map_audio, regions_of
from avsim.separation.stems import audio_of, frame_source
from avsim.simulator import Simulator, load
from avsim.simulator.samples import Sample, shown_energy, write_samples
from avsim.training.callbacks import averaged, clip_spec, parts_of


class Samples(Callback):
    """Draws clips with audio every `every_n_steps` steps, for RUN/samples/step=N/ and the loggers.

    A clip for each prompt and seed (by default no prompt, and two captions of the validation set) and, for
    `foley` clips of the validation set, another sound for their video. With a separator, their regions' stems
    too. wandb shows them as a table and as players.
    """

    def __init__(
        self,
        prompts: list[str] | None,
        seeds: list[int],
        every_n_steps: int = 1000,
        foley: int = 1,  # clips of the validation set
        steps: int = STEPS,  # of the sampler
        guidance: float | Guidance | None = None,
        separator: str | None = None,  # folder of a run that trained one
        regions: int = 2,  # to separate in each clip
    ) -> None:
        if every_n_steps < 1 or foley < 0 or regions < 1:
            raise InputError(f"samples: every {every_n_steps} steps, {foley} of foley, {regions} regions")
        self.prompts, self.seeds, self.every_n_steps, self.foley = prompts, seeds, every_n_steps, foley
        self.how: Any = {"steps": steps, "guidance": guidance}
        self.separator = load(separator).part("separator") if separator is not None else None
        self.regions, self.step = regions, 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember where the run begins: the samples of that step are drawn already.

        Raises:
            InputError: a run that samples can't be drawn in.
        """
        self.step = trainer.global_step
        if "generator" not in parts_of(pl_module) or clip_spec(trainer) is None:
            raise InputError(
                f"Samples: needs data with a `spec`, and a system whose parts() name a generator; "
                f"{type(pl_module).__name__} or its data have none"
            )

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Draw, if the step is due and was made by this batch."""
        step, before = trainer.global_step, self.step
        self.step = step
        due = step > before and (step % self.every_n_steps == 0 or step == trainer.max_steps)
        if due and trainer.is_global_zero:
            with averaged(trainer, pl_module), evaluating(pl_module):
                spec = clip_spec(trainer)
                assert spec is not None  # or the run was refused
                samples = self.draw(trainer, pl_module, spec)
            write_samples(samples, Path(trainer.default_root_dir) / "samples" / f"step={step:08d}")
            for logger in trainer.loggers:
                if isinstance(logger, WandbLogger):
                    logger.log_metrics(players(samples), step)
                elif isinstance(logger, TensorBoardLogger):
                    log_to_tensorboard(logger.experiment, samples, step)

    def draw(self, trainer: Trainer, pl_module: LightningModule, spec: ClipSpec) -> list[Sample]:
        """The samples, and their stems where there is a separator."""
        parts: Any = {name: part.to(pl_module.device) for name, part in parts_of(pl_module).items()}
        simulator = Simulator(**parts, separator=self.separator, spec=spec, source="this run")
        samples = [
            Sample(simulator.generate(prompt, spec.seconds, seed, **self.how), prompt, seed, "joint")
            for prompt in (default_prompts(trainer) if self.prompts is None else self.prompts)
            for seed in self.seeds
        ]
        for clip, caption in self._seen(trainer, simulator):
            samples.append(Sample(simulator.foley(clip, caption, **self.how), caption, 0, "foley"))
        if self.separator is None:
            return samples
        return [self._separated(simulator, sample) for sample in samples]

    def _separated(self, simulator: Simulator, sample: Sample) -> Sample:
        """With the stems of its loudest regions, and where the sound comes from."""
        clip, model = sample.clip, simulator.part("separator")
        picture = frame_source(clip, model)
        found = map_audio(model, picture, audio_of(clip), clip.sample_rate)
        stems = simulator.separate(clip, regions_of(found, picture.size, self.regions))
        return replace(sample, stems=stems, energy=found.power)

    def _seen(self, trainer: Trainer, simulator: Simulator) -> Iterator[tuple[Clip, str]]:
        """The first clips of the validation set as their codec shows them, and their captions."""
        rows = ((batch, row) for batch in _validation(trainer) for row in range(len(batch.names)))
        for batch, row in itertools.islice(rows, self.foley):
            yield simulator.decode_video(batch.video[row], batch.spec.clip), batch.captions[row]


def default_prompts(trainer: Trainer) -> list[str]:
    """No prompt, and the first two captions of the validation set, as far as its first batches have any."""
    batches = itertools.islice(_validation(trainer), 4)
    captions = dict.fromkeys(caption for batch in batches for caption in batch.captions if caption)
    return ["", *list(captions)[:2]]


def _validation(trainer: Trainer) -> Iterator[Any]:
    data: Any = trainer.datamodule  # type: ignore[attr-defined]
    return (data.on_after_batch_transfer(batch, 0) for batch in data.val_dataloader())


def players(samples: Sequence[Sample]) -> dict[str, Any]:
    """What wandb shows of samples, under keys that are the same at every step.

    samples/table, and of sample k: samples/k, its card with audio and stems; samples/k-frames and
    samples/k-spectrogram, as images that wandb puts beside each other over steps and runs.
    """
    import wandb

    table = wandb.Table(columns=["prompt", "seed", "task", "clip"])
    logged: dict[str, Any] = {"samples/table": table}
    for index, sample in enumerate(samples):
        about = {"task": sample.task, "seed": sample.seed}
        cards = [card(Shown(sample.clip, sample.prompt, about, stems=sample.stems))]
        if sample.energy is not None:
            energy = shown_energy(sample.clip, sample.energy)
            cards.append(card(Shown(energy, label="where the audio comes from")))
        text = document(sample.prompt or f"seed {sample.seed}", [Section("", cards)], SCRIPT, STYLE)
        logged[f"samples/{index}"] = wandb.Html(text, inject=False)
        if sample.clip.frames is not None:
            logged[f"samples/{index}-frames"] = _image(strip(sample.clip))
        if sample.clip.wave is not None:
            logged[f"samples/{index}-spectrogram"] = _image(
                spectrogram(sample.clip.wave, sample.clip.sample_rate)
            )
        table.add_data(sample.prompt, sample.seed, sample.task, wandb.Html(text, inject=False))
    return logged


def log_to_tensorboard(writer: Any, samples: Sequence[Sample], step: int) -> None:
    """What TensorBoard shows of samples, under the keys of `players`: it has no player of videos with sound.

    samples/k is the audio (its channels' mean: TensorBoard plays one), samples/k/stem N of each stem;
    samples/k-frames and samples/k-spectrogram are images, samples/k-prompt is text.
    """
    for index, sample in enumerate(samples):
        key, clip = f"samples/{index}", sample.clip
        writer.add_text(f"{key}-prompt", f"    {sample.prompt}\n\n{sample.task}, seed {sample.seed}", step)
        if clip.frames is not None:
            writer.add_image(f"{key}-frames", _pixels(strip(clip)), step, dataformats="HWC")
        if clip.wave is not None:
            writer.add_audio(key, clip.wave.mean(0), step, clip.sample_rate)
            image = _pixels(spectrogram(clip.wave, clip.sample_rate))
            writer.add_image(f"{key}-spectrogram", image, step, dataformats="HWC")
        if sample.stems is not None:
            for number, stem in enumerate(sample.stems.wave):
                writer.add_audio(f"{key}/stem {number}", stem.mean(0), step, sample.stems.sample_rate)


def _image(png: bytes) -> Any:
    """A PNG as wandb's image."""
    import wandb

    return wandb.Image(_pixels(png))


def _pixels(png: bytes) -> Any:
    """A PNG as RGB pixels (H, W, 3), uint8."""
    found = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert found is not None
    return cv2.cvtColor(found, cv2.COLOR_BGR2RGB)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Within the block all of `module` is in eval mode; afterwards every part is as it was."""
    training = {part: part.training for part in module.modules()}
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, mode in training.items():
            part.training = mode
