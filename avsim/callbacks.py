"""What Lightning runs between the steps of every training: averages, checkpoints, exports, guards, meters.

All of them write below the run's folder, `trainer.default_root_dir`.
"""

from __future__ import annotations

import itertools
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, RichProgressBar
from lightning.pytorch.loggers import WandbLogger
from torch import Tensor, nn

from avsim.clip import Clip, ClipSpec
from avsim.diffusion import Guidance
from avsim.diffusion.generate import STEPS
from avsim.errors import InputError
from avsim.files import flush
from avsim.logging import Metrics
from avsim.report import player
from avsim.seeds import derive
from avsim.separation.finding import regions_of, survey
from avsim.separation.stems import picture_of, sound_of
from avsim.simulator import Simulator, load
from avsim.simulator.samples import Sample, shown_energy, shown_stems, write_samples
from avsim.weights import TENSORS, notes_of, save_model


class EMA(Callback):
    """An exponential moving average of the trained parameters, used by validation, samples and exports.

        average <- d average + (1 - d) parameter,    d = min(decay, (1 + step) / (10 + step))

    after every optimizer step. The checkpoint holds it, so a resumed run goes on with the same average.
    """

    def __init__(self, decay: float = 0.998) -> None:
        if not 0 <= decay < 1:
            raise InputError(f"EMA's decay is {decay}; it must lie in [0, 1)")
        self.decay = decay
        self.average: dict[str, Tensor] = {}
        self.step = 0
        self._applied = False

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin with the parameters themselves, or go on with a checkpoint's average."""
        trained = dict(_trained(pl_module))
        self.average = {
            name: self.average.get(name, value).detach().to(value.device, copy=True)
            for name, value in trained.items()
        }

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the average, once per optimizer step."""
        if trainer.global_step == self.step:
            return  # gradients are still being gathered
        decay = min(self.decay, (1 + self.step) / (10 + self.step))
        self.step = trainer.global_step
        parameters = [value for _, value in _trained(pl_module)]
        torch._foreach_lerp_(list(self.average.values()), parameters, 1 - decay)

    @contextmanager
    def applied(self, pl_module: LightningModule) -> Iterator[None]:
        """Within the block the module's parameters are the averaged ones."""
        if self._applied or not self.average:
            yield
            return
        self._swap(pl_module)
        try:
            yield
        finally:
            self._swap(pl_module)

    @torch.no_grad()
    def _swap(self, pl_module: LightningModule) -> None:
        for name, value in pl_module.named_parameters():
            if name in self.average:
                held = value.clone()
                value.copy_(self.average[name])
                self.average[name].copy_(held)
        self._applied = not self._applied

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Validate the average."""
        if self.average and not self._applied:
            self._swap(pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Train on with the parameters."""
        if self._applied:
            self._swap(pl_module)

    on_test_start, on_test_end = on_validation_start, on_validation_end

    def state_dict(self) -> dict[str, Any]:
        """The average and the step it has seen."""
        return {"average": self.average, "step": self.step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        self.average, self.step = dict(state_dict["average"]), state_dict["step"]


def _trained(pl_module: LightningModule) -> Iterator[tuple[str, Tensor]]:
    for name, value in pl_module.named_parameters():
        if value.requires_grad and value.is_floating_point():
            yield name, value


@contextmanager
def averaged(trainer: Trainer, pl_module: LightningModule) -> Iterator[None]:
    """Within the block the module's parameters are those of the run's `EMA`, if it has one."""
    average = next((callback for callback in trainer.callbacks if isinstance(callback, EMA)), None)  # type: ignore[attr-defined]
    if average is None:
        yield
        return
    with average.applied(pl_module):
        yield


class Checkpoints(Checkpoint):
    """RUN/checkpoints/last.ckpt and the last `keep` of RUN/checkpoints/step=N.ckpt, each whole or absent.

    `last.ckpt` and the newest of them are one file (a hard link): it costs no time and no space. What a
    damaged disk takes, it takes from both; a run then goes on from the checkpoint before, so `keep` is 2
    unless space is dearer than steps.

    They are written before a step begins, when all that came before (its metrics, its validation) is on disk;
    a run that is killed at any moment goes on from there with the same curve. Beside them the models
    themselves are exported, averaged, to RUN/simulator/PART, which `avsim.load` reads.
    """

    def __init__(self, every_n_steps: int = 500, keep: int = 2) -> None:
        if every_n_steps < 1 or keep < 1:
            raise InputError(f"checkpoints every {every_n_steps} steps, {keep} kept; both must be at least 1")
        self.every_n_steps, self.keep = every_n_steps, keep
        self.saved = 0
        self.spec: ClipSpec | None = None  # of the clips that are trained on
        self.known: frozenset[str] = frozenset()  # words that the weights it started from were trained on
        self.stop: Callable[[], None] | None = None  # raises, once a signal asked for the end
        self.begun = -1  # the step that the last batch was of

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the curve back to the step that is resumed."""
        self.saved, self.begun = trainer.global_step, -1
        self.spec = clip_spec(trainer)
        for logger in trainer.loggers:
            if isinstance(logger, Metrics) and trainer.is_global_zero:
                logger.rewind(trainer.global_step)
        self._catch_up(trainer, pl_module)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Export what a run that was at its end already has not exported."""
        self.spec = clip_spec(trainer)
        self._catch_up(trainer, pl_module)

    def _catch_up(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Export a checkpoint whose export was cut off, by a kill or a full disk."""
        folder = Path(trainer.default_root_dir) / "simulator"
        names = list(parts_of(pl_module)) if trainer.global_step else []
        if trainer.is_global_zero and any(_exported(folder / name) != trainer.global_step for name in names):
            export(trainer, pl_module, self.spec, self.known)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Save and export, if the step is due."""
        # Lightning counts logged steps apart from optimizer steps and, resuming, may count one too many.
        trainer.fit_loop.epoch_loop._batches_that_stepped = trainer.global_step
        # What draws from torch's global generator (dropout) also depends on where it is drawn alone.
        seed = getattr(pl_module, "seed", 0)
        torch.manual_seed(derive(seed, "global", trainer.global_step, trainer.global_rank))
        begins, self.begun = trainer.global_step != self.begun, trainer.global_step
        # A signal waits while gradients are gathered; all processes stop at the same step.
        stopped = begins and trainer.strategy.reduce_boolean_decision(self.stop is not None, all=False)
        if stopped or trainer.global_step % self.every_n_steps == 0:
            # This batch is already counted as ready; the checkpoint is of the moment before it.
            progress = trainer.fit_loop.epoch_loop.batch_progress
            for count in (progress.total, progress.current):
                count.ready -= 1
            self._save(trainer, pl_module)
            for count in (progress.total, progress.current):
                count.ready += 1
        if stopped:
            if self.stop is None:  # the signal was another process's
                os.kill(os.getpid(), signal.SIGTERM)
            if self.stop is not None:
                self.stop()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save and export the end of the run."""
        self._save(trainer, pl_module)

    def _save(self, trainer: Trainer, pl_module: LightningModule) -> None:
        step = trainer.global_step
        if step == self.saved:
            return
        folder = Path(trainer.default_root_dir) / "checkpoints"
        temporary = folder / ".saving.ckpt"
        try:
            trainer.save_checkpoint(temporary)  # on every process: it holds a barrier
            if trainer.is_global_zero:
                flush(temporary)  # before the older ones go
                os.replace(temporary, folder / f"step={step:08d}.ckpt")
                os.link(folder / f"step={step:08d}.ckpt", temporary)
                os.replace(temporary, folder / "last.ckpt")
                for old in sorted(folder.glob("step=*.ckpt"))[: -self.keep]:
                    old.unlink()
        except OSError as error:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise InputError(
                f"{folder}: no checkpoint could be written ({error.strerror or error})"
            ) from error
        self.saved = step
        if trainer.is_global_zero:
            export(trainer, pl_module, self.spec, self.known)


def clip_spec(trainer: Trainer) -> ClipSpec | None:
    """The clips that are trained on, if the data have a `spec`: a `ClipSpec`, or a `LatentSpec` of one."""
    spec = getattr(trainer.datamodule, "spec", None)  # type: ignore[attr-defined]
    return getattr(spec, "clip", spec)


def parts_of(pl_module: LightningModule) -> dict[str, nn.Module]:
    """The models that a run exports: those of `pl_module.parts()`, none where it has no such method.

    Raises:
        InputError: a part that `avsim.weights.configured` doesn't decorate can't be exported.
    """
    parts: dict[str, nn.Module] = getattr(pl_module, "parts", dict)()
    for name, part in parts.items():
        if not isinstance(getattr(part, "config", None), dict):
            raise InputError(
                f"{type(pl_module).__name__}.parts() names {name!r}, a {type(part).__name__} that can't be "
                "exported; decorate its class with avsim.weights.configured"
            )
    return parts


def _exported(folder: Path) -> int | None:
    """The step whose weights a folder holds; None where there are none, or they can't be read."""
    try:
        return notes_of(folder).get("step") if (folder / TENSORS).is_file() else None
    except (OSError, ValueError, AttributeError):
        return None


def export(
    trainer: Trainer, pl_module: LightningModule, spec: ClipSpec | None, known: frozenset[str] = frozenset()
) -> None:
    """Write the averaged models that `pl_module.parts()` names to RUN/simulator/PART, with notes.

    A part that reads text has its vocabulary among them, where the data have one: the words of their captions
    and those `known` before.
    """
    command = shlex.join(["avsim", *sys.argv[1:]])
    notes: dict[str, Any] = {"commit": commit(), "command": command, "step": trainer.global_step}
    if spec is not None:
        notes["spec"] = asdict(spec)
    with averaged(trainer, pl_module):
        for name, part in parts_of(pl_module).items():
            words = getattr(trainer.datamodule, "vocabulary", None)  # type: ignore[attr-defined]
            if hasattr(part, "text") and words is not None:
                notes["vocabulary"] = sorted(words | known)
            save_model(part, Path(trainer.default_root_dir) / "simulator" / name, **notes)
            notes.pop("vocabulary", None)


def commit() -> str:
    """The commit of the avsim that runs, "+" behind it where files differ, or "unknown" outside git."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout
        changed = subprocess.run(
            [*git, "status", "--porcelain", "-uno"], capture_output=True, text=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.strip() + ("+" if changed.strip() else "")


class Samples(Callback):
    """Draws clips with sound every `every_n_steps` steps, for RUN/samples/step=N/ and the loggers.

    A clip for each prompt and seed and, for `foley` clips of the validation set, another sound for their
    picture. With a separator, their regions' stems too. wandb shows them as a table and as players.
    """

    def __init__(
        self,
        prompts: list[str],
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

    def draw(self, trainer: Trainer, pl_module: LightningModule, spec: ClipSpec) -> list[Sample]:
        """The samples, and their stems where there is a separator."""
        parts: Any = {name: part.to(pl_module.device) for name, part in parts_of(pl_module).items()}
        simulator = Simulator(**parts, separator=self.separator, spec=spec, source="this run")
        samples = [
            Sample(simulator.generate(prompt, spec.seconds, seed, **self.how), prompt, seed, "joint")
            for prompt in self.prompts
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
        picture = picture_of(clip, model)
        found = survey(model, picture, sound_of(clip), clip.sample_rate)
        stems = simulator.separate(clip, regions_of(found, picture.size, self.regions))
        return replace(sample, stems=stems, energy=found.power)

    def _seen(self, trainer: Trainer, simulator: Simulator) -> Iterator[tuple[Clip, str]]:
        """The first clips of the validation set as their codec shows them, and their captions."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        batches = (data.on_after_batch_transfer(batch, 0) for batch in data.val_dataloader())
        rows = ((batch, row) for batch in batches for row in range(len(batch.names)))
        for batch, row in itertools.islice(rows, self.foley):
            yield simulator.shown(batch.video[row], batch.spec.clip), batch.captions[row]


def players(samples: Sequence[Sample]) -> dict[str, Any]:
    """What wandb shows of samples: one table, and a player of each clip and of each of its stems."""
    import wandb

    html = partial(wandb.Html, inject=False)

    table = wandb.Table(columns=["prompt", "seed", "task", "clip", "stems"])
    shown: dict[str, Any] = {"samples/table": table}
    for index, sample in enumerate(samples):
        label = f"{sample.prompt} (seed {sample.seed}, {sample.task})"
        text = str(player(sample.clip, label))
        shown[f"samples/{index}"] = html(text)
        stems = shown_stems(sample.clip, sample.stems) if sample.stems is not None else []
        if sample.energy is not None:
            stems.insert(0, ("where the sound comes from", shown_energy(sample.clip, sample.energy)))
        page = "".join(str(player(clip, name)) for name, clip in stems)
        row = [sample.prompt, sample.seed, sample.task]
        table.add_data(*row, html(text), html(page or "no separator"))
        if stems:
            shown[f"samples/{index}-stems"] = html(page)
    return shown


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


class Guard(Callback):
    """Stops a run whose loss or gradient is not finite, before a weight changes, and names the clips.

    It also logs the gradient's norm, as it is before clipping.
    """

    def __init__(self) -> None:
        self.names: list[str] = []

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Remember where this step's clips came from."""
        self.names = list(getattr(batch, "names", []) or [])

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Check the loss; those of several processes meet in the gradient, where all stop together."""
        if trainer.world_size == 1:
            self._check("loss", loss, trainer)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        """Check the gradient and log its norm."""
        gradients = [value.grad for value in pl_module.parameters() if value.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        self._check("gradient's norm", norm, trainer)
        pl_module.log("gradient_norm", norm)
        for group in optimizer.param_groups:
            pl_module.log(f"{'matrix_' if group.get('muon') else ''}learning_rate", float(group["lr"]))

    def _check(self, what: str, value: Tensor, trainer: Trainer) -> None:
        if not torch.isfinite(value).all():
            names = [self.names]
            if trainer.world_size > 1:
                names = [[] for _ in range(trainer.world_size)]
                torch.distributed.all_gather_object(names, self.names)
            raise InputError(
                f"step {trainer.global_step}: the {what} is {float(value):g}; stopped before the weights "
                f"changed. The clips of this step: {', '.join(itertools.chain(*names)) or 'unnamed'}"
            )


class Bar(RichProgressBar):
    """Lightning's bar; a train loader is one endless epoch, so no epochs are counted."""

    def _get_train_description(self, current_epoch: int) -> str:
        return "Training"


class Meter(Callback):
    """Logs clips/s (and latents/s, both modalities' together, where a batch holds latents) of all processes.

    Where no terminal shows a progress bar, it also prints a line every `every_n_steps` steps.
    """

    def __init__(self, every_n_steps: int = 100) -> None:
        self.every_n_steps = every_n_steps
        self.clips = self.latents = self.step = 0
        self.since = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self.step = trainer.global_step
        self._restart()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the time of a validation out."""
        self.paused = time.perf_counter()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Go on."""
        self.since += time.perf_counter() - self.paused

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count, and log when Lightning does."""
        self.clips += len(getattr(batch, "names", ()) or ())
        for latents in (getattr(batch, "video", None), getattr(batch, "audio", None)):
            if isinstance(latents, Tensor):
                self.latents += latents[:, 0].numel()  # every grid point, once for all its channels
        if trainer.global_step == self.step:
            return  # gradients are still being gathered
        self.step = trainer.global_step
        if trainer.global_step % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            seconds = max(time.perf_counter() - self.since, 1e-9) / trainer.world_size
            pl_module.log("clips_per_second", self.clips / seconds)
            if self.latents:
                pl_module.log("latents_per_second", self.latents / seconds)
            self._restart()
        if (
            trainer.global_step % self.every_n_steps == 0
            and trainer.is_global_zero
            and not sys.stdout.isatty()
        ):
            numbers = {name: float(value) for name, value in trainer.callback_metrics.items()}
            shown = "  ".join(f"{name} {value:.4g}" for name, value in numbers.items())
            print(f"step {trainer.global_step} of {trainer.max_steps}  {shown}", flush=True)

    def _restart(self) -> None:
        self.clips = self.latents = 0
        self.since = time.perf_counter()
