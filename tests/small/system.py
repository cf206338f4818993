"""y = w x: a model, the system that trains it, and endless data whose order is (seed, step, global row)."""

from dataclasses import dataclass

import torch
from lightning.pytorch import LightningDataModule, LightningModule
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from avsim.seeds import normal_rows
from avsim.training.optimizers import Recipe, configure


@dataclass
class Rows:
    x: Tensor
    names: list[str]
    rows: Tensor


class Line(nn.Module):
    """Two layers and a dropout that draws from torch's global generator."""

    def __init__(self, width: int = 8, dropout: float = 0.0) -> None:
        super().__init__()
        self.config = {"class_path": "avsim.Line", "init_args": {"width": width, "dropout": dropout}}
        self.layers = nn.Sequential(nn.Linear(4, width), nn.Tanh(), nn.Dropout(dropout), nn.Linear(width, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)[:, 0]


class LineSystem(LightningModule):
    def __init__(
        self, width: int = 8, dropout: float = 0.0, seed: int = 0, poison_at: int = -1, seconds: float = 0.0
    ) -> None:
        super().__init__()
        self.seed, self.poison_at, self.seconds = seed, poison_at, seconds
        torch.manual_seed(seed)
        self.model = Line(width, dropout)

    def parts(self) -> dict[str, nn.Module]:
        return {"line": self.model}

    def _loss(self, batch: Rows) -> Tensor:
        return ((self.model(batch.x) - batch.x.sum(1)) ** 2).mean()

    def training_step(self, batch: Rows, batch_idx: int) -> Tensor:
        import time

        time.sleep(self.seconds)
        loss = self._loss(batch)
        if self.global_step == self.poison_at:
            loss = loss * float("nan")
        self.log("train/loss", loss, sync_dist=True)
        return loss

    def validation_step(self, batch: Rows, batch_idx: int) -> None:
        self.log("val/loss", self._loss(batch), sync_dist=True, batch_size=len(batch.names))

    test_step = validation_step

    def configure_optimizers(self):
        return configure(self.model, Recipe(learning_rate=1e-2, warmup_steps=3), self.trainer.max_steps)


class Endless(IterableDataset):
    def __init__(self, module: "LineData") -> None:
        self.module = module

    def __iter__(self):
        trainer = self.module.trainer
        share = self.module.batch // trainer.world_size
        step = trainer.global_step
        while True:
            first = trainer.global_rank * share
            x = normal_rows((share, 4), self.module.seed, "x", step, first_row=first)
            yield Rows(
                x, [f"clip {first + i} of step {step}" for i in range(share)], torch.arange(share) + first
            )
            step += 1


class LineData(LightningDataModule):
    def __init__(self, batch: int = 4, seed: int = 0) -> None:
        super().__init__()
        self.batch, self.seed = batch, seed

    def train_dataloader(self):
        return DataLoader(Endless(self), batch_size=None)

    def val_dataloader(self):
        x = normal_rows((8, 4), self.seed, "validation")
        batches = [Rows(rows, ["v"] * 4, torch.arange(4)) for rows in x.split(4)]
        return DataLoader(batches, batch_size=None)

    test_dataloader = val_dataloader
