"""Prompts x seeds, distributed over processes, for Lightning's `predict`."""

from __future__ import annotations

from dataclasses import dataclass

from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader

from avsim.errors import InputError
from avsim.untrusted import read_text


@dataclass  # not frozen: Lightning takes batches apart and puts them together again
class Prompts:
    """Clips of one batch, one for each prompt; clip i has the seed `seed` + i, the number `first` + i."""

    captions: list[str]
    seed: int
    first: int


class PromptData(LightningDataModule):
    """Every prompt with every seed; the batches go to the processes in turn.

    Args:
        prompts: captions, or the path of a text file with one a line.
        seeds: how many clips of each prompt, with the seeds 0, 1, ...
        batch: clips generated together.
    """

    def __init__(self, prompts: list[str] | str, seeds: int = 1, batch: int = 4) -> None:
        super().__init__()
        if isinstance(prompts, str):
            prompts = [line.strip() for line in read_text(prompts).splitlines() if line.strip()]
        if not prompts or seeds < 1 or batch < 1:
            raise InputError(f"{len(prompts)} prompts, {seeds} seeds, batches of {batch}: none may be 0")
        self.prompts, self.seeds, self.batch = prompts, seeds, batch

    def jobs(self) -> list[Prompts]:
        """All batches, those of one prompt's seeds together."""
        starts = range(0, self.seeds, self.batch)
        return [
            Prompts([prompt] * min(self.batch, self.seeds - start), start, self.seeds * index + start)
            for index, prompt in enumerate(self.prompts)
            for start in starts
        ]

    def predict_dataloader(self) -> DataLoader[Prompts]:
        """This process's share."""
        trainer = self.trainer
        rank, world = (trainer.global_rank, trainer.world_size) if trainer is not None else (0, 1)
        return DataLoader(self.jobs()[rank::world], batch_size=None)  # type: ignore[arg-type]
