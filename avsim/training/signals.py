"""SIGTERM and Ctrl-C in training: a checkpoint is saved before the run stops."""

from __future__ import annotations

import os
import signal
from functools import partial
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn

from avsim.training.callbacks import Checkpoints


class Signals(Callback):
    """Keeps avsim's signal handlers: Lightning's own wait for the end of a step or hang in a broadcast.

    A run with `Checkpoints` saves one at the end of its step before it stops; a second signal stops it at
    once.
    """

    def __init__(self) -> None:
        self.handlers: Any = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
        self.owner = os.getpid()

    def _restore(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for signum, handler in self.handlers.items():
            signal.signal(signum, handler)

    on_test_start = on_predict_start = on_train_end = _restore

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let a signal wait for the next checkpoint, if the run saves any."""
        checkpoints = next(
            (each for each in trainer.checkpoint_callbacks if isinstance(each, Checkpoints)), None
        )
        if checkpoints is None:
            return self._restore(trainer, pl_module)

        def ask(signum: int, frame: Any) -> None:
            if os.getpid() != self.owner:  # a worker, which ignores Ctrl-C: its parent ends it
                if signum != signal.SIGINT:
                    os._exit(128 + signum)
            elif checkpoints.stop is None:
                checkpoints.stop = partial(self.handlers[signum], signum, frame)
            else:
                self.handlers[signum](signum, frame)

        for signum in self.handlers:
            signal.signal(signum, ask)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the handlers, except for a validation within training."""
        if not trainer.state.fn == TrainerFn.FITTING:
            self._restore(trainer, pl_module)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Terminate the other processes of this run too."""
        if (launcher := trainer.strategy.launcher) is not None:
            launcher.kill(signal.SIGTERM)  # type: ignore[attr-defined]
