"""Callbacks of all training runs: EMA, checkpoints and exports, a guard against NaN and inf, throughput.

All of them write below the run's folder, `trainer.default_root_dir`.
"""

from __future__ import annotations

import itertools
import math
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, RichProgressBar
from torch import Tensor, nn

from avsim.clip import ClipSpec
from avsim.errors import InputError
from avsim.files import flush
from avsim.seeds import derive
from avsim.training.metrics_file import MetricsFile
from avsim.weights import TENSORS, notes_of, save_model


class EMA(Callback):
    """An exponential moving average of the trained parameters, used by validation, samples and exports.

        average <- d average + (1 - d) parameter,    d = min(decay, (1 + step) / (10 + step))

    after every optimizer step. The checkpoint holds it, so a resumed run continues with the same average.
    """

    def __init__(self, decay: float = 0.998) -> None:
        if not 0 <= decay < 1:
            raise InputError(f"EMA's decay is {decay}; it must lie in [0, 1)")
        self.decay = decay
        self.average: dict[str, Tensor] = {}
        self.step = 0
        self._applied = False

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start from the parameters, or from a checkpoint's average."""
        trained = dict(_trained(pl_module))
        self.average = {
            name: self.average.get(name, value).detach().to(value.device, copy=True)
            for name, value in trained.items()
        }

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Update the average, once per optimizer step."""
        if trainer.global_step == self.step:
            return  # gradients are still being accumulated
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
        """Restore the parameters."""
        if self._applied:
            self._swap(pl_module)

    on_test_start, on_test_end = on_validation_start, on_validation_end

    def state_dict(self) -> dict[str, Any]:
        """The average and its step."""
        return {"average": self.average, "step": self.step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore `state_dict`."""
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
    """RUN/checkpoints/last.ckpt and the last `keep` of RUN/checkpoints/step=N.ckpt, written atomically.

    `last.ckpt` is a hard link to the newest of them. If that file is damaged, a run resumes from the one
    before, which is why `keep` is 2 by default.

    Checkpoints are written before a step begins, when all earlier metrics and validations are on disk: a run
    that is killed at any time resumes with the same curve. The averaged models are exported with each
    checkpoint to RUN/simulator/PART, a folder for each of `parts_of`; `avsim.load` reads them.
    """

    def __init__(self, every_n_steps: int = 500, keep: int = 2) -> None:
        if every_n_steps < 1 or keep < 1:
            raise InputError(f"checkpoints every {every_n_steps} steps, {keep} kept; both must be at least 1")
        self.every_n_steps, self.keep = every_n_steps, keep
        self.saved = 0
        self.known: frozenset[str] = frozenset()  # vocabulary that the initial weights were trained on
        self.stop: Callable[[], None] | None = None  # raises after a signal to stop
        self.begun = -1  # the step of the last batch

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Truncate the metrics to the step from which the run resumes."""
        self.saved, self.begun = trainer.global_step, -1
        for logger in trainer.loggers:
            if isinstance(logger, MetricsFile) and trainer.is_global_zero:
                logger.rewind(trainer.global_step)
        self._catch_up(trainer, pl_module)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Export a finished run whose export is missing."""
        self._catch_up(trainer, pl_module)

    def _catch_up(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Export a checkpoint whose export was interrupted, by a kill or a full disk."""
        folder = Path(trainer.default_root_dir) / "simulator"
        names = list(parts_of(pl_module)) if trainer.global_step else []
        if trainer.is_global_zero and any(_exported(folder / name) != trainer.global_step for name in names):
            export(trainer, pl_module, self.known)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Save and export, if a checkpoint is due at this step."""
        # Lightning counts logged steps apart from optimizer steps and may count one too many when resuming.
        trainer.fit_loop.epoch_loop._batches_that_stepped = trainer.global_step
        # Reseed torch's global generator (dropout), so that it depends on the step alone.
        seed = getattr(pl_module, "seed", 0)
        torch.manual_seed(derive(seed, "global", trainer.global_step, trainer.global_rank))
        begins, self.begun = trainer.global_step != self.begun, trainer.global_step
        # A signal waits while gradients are accumulated; all processes stop at the same step.
        stopped = begins and trainer.strategy.reduce_boolean_decision(self.stop is not None, all=False)
        if stopped or trainer.global_step % self.every_n_steps == 0:
            # This batch is already counted as ready; the checkpoint is of the step before it.
            progress = trainer.fit_loop.epoch_loop.batch_progress
            for count in (progress.total, progress.current):
                count.ready -= 1
            self._save(trainer, pl_module)
            for count in (progress.total, progress.current):
                count.ready += 1
        if stopped:
            if trainer.is_global_zero:
                saved = f"{trainer.default_root_dir}: saved at step {trainer.global_step}"
                print(f"{saved}; run the same command to continue", flush=True)
            if self.stop is None:  # another process received the signal
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
            if trainer.is_global_zero:
                temporary.unlink(missing_ok=True)  # a killed run may leave a link to a kept checkpoint
            trainer.save_checkpoint(temporary)  # on every process: it synchronises them
            if trainer.is_global_zero:
                flush(temporary)  # before older ones are removed
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
            export(trainer, pl_module, self.known)


def clip_spec(trainer: Trainer) -> ClipSpec | None:
    """The spec of the training clips, if the data module has one: a `ClipSpec`, or a `LatentSpec`'s."""
    spec = getattr(trainer.datamodule, "spec", None)  # type: ignore[attr-defined]
    return getattr(spec, "clip", spec)


def parts_of(pl_module: LightningModule) -> dict[str, nn.Module]:
    """The models that a run exports: those of `pl_module.parts()`; none without that method.

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
    """The step of the weights in a folder; None where there are none, or they can't be read."""
    try:
        return notes_of(folder).get("step") if (folder / TENSORS).is_file() else None
    except (OSError, ValueError, AttributeError):
        return None


def export(trainer: Trainer, pl_module: LightningModule, known: frozenset[str] = frozenset()) -> None:
    """Write the averaged models that `pl_module.parts()` names to RUN/simulator/PART, with notes.

    The notes of a part with a text encoder hold its vocabulary: the words of the data's captions, and the
    `known` words of its initial weights.
    """
    command = shlex.join(["avsim", *sys.argv[1:]])
    notes: dict[str, Any] = {"commit": commit(), "command": command, "step": trainer.global_step}
    if (spec := clip_spec(trainer)) is not None:
        notes["spec"] = asdict(spec)
    words = getattr(trainer.datamodule, "vocabulary", None)  # type: ignore[attr-defined]
    of_text = {} if words is None else {"vocabulary": sorted(words | known)}
    with averaged(trainer, pl_module):
        for name, part in parts_of(pl_module).items():
            own = notes | of_text if "text" in part._modules or hasattr(type(part), "text") else notes
            save_model(part, Path(trainer.default_root_dir) / "simulator" / name, **own)


def commit() -> str:
    """The commit of the running avsim, with "+" if files have uncommitted changes; "unknown" outside git."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout
        changed = subprocess.run(
            [*git, "status", "--porcelain", "-uno"], capture_output=True, text=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.strip() + ("+" if changed.strip() else "")


class NonFiniteGuard(Callback):
    """Stops a run whose loss or gradient is not finite, and names the clips; logs the gradient's norm.

    The host checks a step's loss and norm during the next step, so that it never waits for the device. By
    then the weights in memory may be invalid; they are never saved, exported or validated.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.loss: Tensor | None = None
        self.last: _LossAndNorm | None = None

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Store the names of this step's clips."""
        self.names = list(getattr(batch, "names", []) or [])

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Keep the loss."""
        self.loss = loss.detach()

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        """Start copying this step's loss and norm, check the last one's; log the norm and learning rates."""
        gradients = [value.grad for value in pl_module.parameters() if value.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        assert self.loss is not None
        copied = _LossAndNorm(torch.stack([self.loss.float(), norm.float()]), trainer.global_step, self.names)
        self.check_last_step(trainer)
        self.last = copied
        if (trainer.global_step + 1) % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            pl_module.log("gradient_norm", norm)
            for group in optimizer.param_groups:
                name = f"{'matrix_' if group.get('muon') else ''}learning_rate"
                pl_module.log(name, float(group["lr"]))

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check the last step before validation."""
        self.check_last_step(trainer)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Check the last step before a checkpoint."""
        self.check_last_step(trainer)

    def check_last_step(self, trainer: Trainer) -> None:
        """Check loss and norm of the last step.

        Raises:
            InputError: its loss or gradient was not finite, on any process.
        """
        copied, self.last = self.last, None
        if copied is None:
            return
        bad = [
            f"{what} is {value:g}"
            for what, value in zip(("loss", "gradient's norm"), copied.values(), strict=True)
            if not math.isfinite(value)
        ]
        if trainer.strategy.reduce_boolean_decision(bool(bad), all=False):
            names = [copied.names]
            if trainer.world_size > 1:
                names = [[] for _ in range(trainer.world_size)]
                torch.distributed.all_gather_object(names, copied.names)
            raise InputError(
                f"step {copied.step}: the {' and the '.join(bad) or 'loss of another process is not finite'}"
                "; stopped, and nothing was saved after it. The clips of this step: "
                f"{', '.join(itertools.chain(*names)) or 'unnamed'}"
            )


class _LossAndNorm:
    """A step's loss and gradient norm, being copied to the host."""

    def __init__(self, both: Tensor, step: int, names: list[str]) -> None:
        self.step, self.names = step, names
        self.held = both.to("cpu", non_blocking=True)
        self.done = torch.cuda.Event() if both.is_cuda else None
        if self.done is not None:
            self.done.record()

    def values(self) -> list[float]:
        """Both values, after the copy."""
        if self.done is not None:
            self.done.synchronize()
        return self.held.tolist()


class StepProgressBar(RichProgressBar):
    """Lightning's progress bar without epochs: a train loader is one endless epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: dict[str, Any] = {}

    @property
    def total_train_batches(self) -> int | float:
        """Batches of the whole run; Lightning's are of what is left when a run is resumed."""
        return self.trainer.max_steps * self.trainer.accumulate_grad_batches

    def _get_train_description(self, current_epoch: int) -> str:
        return "Training"

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:  # type: ignore[override]
        """The metrics of the last logged step: the host does not wait for the device at every step."""
        if not self.shown or trainer.global_step % trainer.log_every_n_steps == 0 or not trainer.training:  # type: ignore[attr-defined]
            self.shown = super().get_metrics(trainer, pl_module)
        return self.shown


class Throughput(Callback):
    """Logs clips/s (and latents/s, both modalities' together, where a batch holds latents) of all processes.

    Without a terminal for a progress bar, it also prints a line every `every_n_steps` steps or
    `every_seconds`.
    """

    def __init__(self, every_n_steps: int = 100, every_seconds: float = 60.0) -> None:
        self.every_n_steps, self.every_seconds = every_n_steps, every_seconds
        self.clips = self.latents = self.step = 0
        self.since = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self.step, self.printed = trainer.global_step, time.monotonic()
        self._restart()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Pause the clock during validation."""
        self.paused = time.perf_counter()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Resume the clock."""
        self.since += time.perf_counter() - self.paused

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count clips, and log at Lightning's interval."""
        self.clips += len(getattr(batch, "names", ()) or ())
        for latents in (getattr(batch, "video", None), getattr(batch, "audio", None)):
            if isinstance(latents, Tensor):
                self.latents += latents[:, 0].numel()  # every grid point, once for all its channels
        if trainer.global_step == self.step:
            return  # gradients are still being accumulated
        self.step = trainer.global_step
        if trainer.global_step % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            seconds = max(time.perf_counter() - self.since, 1e-9) / trainer.world_size
            pl_module.log("clips_per_second", self.clips / seconds)
            if self.latents:
                pl_module.log("latents_per_second", self.latents / seconds)
            self._restart()
        due = trainer.global_step % self.every_n_steps == 0
        due = due or time.monotonic() - self.printed >= self.every_seconds
        if due and trainer.is_global_zero and not sys.stdout.isatty():
            self.printed = time.monotonic()
            numbers = {name: float(value) for name, value in trainer.callback_metrics.items()}
            shown = "  ".join(f"{name} {value:.4g}" for name, value in numbers.items())
            print(f"step {trainer.global_step} of {trainer.max_steps}  {shown}", flush=True)

    def _restart(self) -> None:
        self.clips = self.latents = 0
        self.since = time.perf_counter()
