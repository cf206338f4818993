"""What `avsim fit` costs beside the model: the share of a step outside its forward, backward and optimizer.

    python experiments/benchmarks/overhead.py [--batch 8] [--steps 8] [--threads 1]

Trains the shipped generator's architecture on random latents on a CPU, with the callbacks of
configs/base.yaml but for checkpoints and bar, images beside the clips, motion weight and caption dropout.

Forward is what runs in the model (`context` and `forward`), backward is autograd's, optimizer is its step.
All else is sampling noise and levels, the loss, clipping, the guard, the average, logging, loading and
Lightning.
"""

import argparse
import tempfile
import time
from collections import defaultdict
from typing import Any

import torch
from lightning import Callback, LightningDataModule, Trainer
from torch.utils.data import DataLoader

from avsim.clip import ClipSpec, LatentSpec
from avsim.data.batch import LatentBatch
from avsim.diffusion.system import GeneratorSystem
from avsim.memory import keep_freed
from avsim.models.joint import JointDiT
from avsim.models.text import WordEncoder
from avsim.training.callbacks import EMA, NonFiniteGuard, Throughput
from avsim.training.metrics_file import MetricsFile

SPEC = LatentSpec(ClipSpec(2.0))


class Clock(Callback):
    """Seconds of each part of a step."""

    def __init__(self, model: Any) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self.began = 0.0
        for name in ("forward", "context"):
            setattr(model, name, self.timed("forward", getattr(model, name)))

    def timed(self, part: str, function: Any) -> Any:
        """A function that counts to a part."""

        def call(*args: Any, **options: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*args, **options)
            finally:
                self.spent[part] += time.perf_counter() - began

        return call

    def on_before_backward(self, *_: Any) -> None:
        """Start the backward pass's clock."""
        self.began = time.perf_counter()

    def on_after_backward(self, *_: Any) -> None:
        """Stop it."""
        self.spent["backward"] += time.perf_counter() - self.began


class System(GeneratorSystem):
    """The generator's, whose optimizer's work is timed, from the end of clipping to that of its step."""

    clock: Clock

    def configure_gradient_clipping(self, *args: Any, **options: Any) -> None:
        """As Lightning clips; then the optimizer's clock starts."""
        super().configure_gradient_clipping(*args, **options)
        self.clock.began = time.perf_counter()

    def configure_optimizers(self) -> Any:
        """The recipe; the clock stops where a step ends."""
        parts = super().configure_optimizers()

        def stop(*_: Any) -> None:
            self.clock.spent["optimizer"] += time.perf_counter() - self.clock.began

        parts["optimizer"].register_step_post_hook(stop)
        return parts


class Data(LightningDataModule):
    """The same batch repeatedly."""

    def __init__(self, batch: LatentBatch) -> None:
        super().__init__()
        self.batch = batch

    def train_dataloader(self) -> DataLoader[LatentBatch]:
        """The same batch, more often than there are steps."""
        return DataLoader([self.batch] * 1000, batch_size=None)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=8, help="clips of a step")
    parser.add_argument("--steps", type=int, default=8, help="that are timed, after two that are not")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_freed()
    text = WordEncoder(length=40)
    model = JointDiT(64, 32, width=192, blocks=5, heads=6, text=text)
    captions = ["in a studio, a stick strikes a silver metal bar three times"] * arguments.batch
    video = torch.randn(arguments.batch, 64, *SPEC.video)
    batch = LatentBatch(
        SPEC, video, torch.randn(arguments.batch, 32, SPEC.audio), captions, captions, 0,
        images=LatentBatch(
            LatentSpec(SPEC.clip.still), video[:, :, :1], None, captions, captions, 0
        ),
    )  # fmt: skip
    system = System(model, motion_weight=6.0, caption_dropout=0.2)
    clock = system.clock = Clock(model)

    class Whole(Callback):
        """The wall time of the timed steps."""

        began = ended = 0.0

        def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
            if trainer.global_step == 2:
                clock.spent.clear()
                self.began = time.perf_counter()

        def on_train_end(self, *_: Any) -> None:
            self.ended = time.perf_counter()

    whole = Whole()
    with tempfile.TemporaryDirectory() as folder:
        Trainer(
            accelerator="cpu", max_steps=arguments.steps + 2, logger=MetricsFile(folder),
            default_root_dir=folder,
            callbacks=[whole, EMA(), NonFiniteGuard(), Throughput(), clock], enable_checkpointing=False,
            gradient_clip_val=1.0, enable_progress_bar=False, enable_model_summary=False,
            log_every_n_steps=10,
        ).fit(system, Data(batch))  # fmt: skip
    total = whole.ended - whole.began
    rest = total - sum(clock.spent.values())
    print(f"{arguments.batch} clips and as many images, {arguments.threads} threads: {arguments.steps} steps")
    for name, seconds in {**clock.spent, "all else": rest}.items():
        print(f"{name:10}{seconds / arguments.steps * 1e3:9.1f} ms{100 * seconds / total:7.1f} %")


if __name__ == "__main__":
    main()
