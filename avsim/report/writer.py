"""Writes what `predict` drew, clip by clip, from every process."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter

from avsim.separation.separator import Separator
from avsim.simulator.datamodule import Prompts
from avsim.simulator.samples import LISTING, Sample, shown_stems, write_listing
from avsim.simulator.simulator import Simulator


class SampleWriter(BasePredictionWriter):
    """Below RUN/predict: NNNN.mp4 for each clip, NNNN/ with its stems, and `samples.json` at the end.

    A stem is written as a float32 wav and as an mp4 whose video is dimmed outside its region; NNNN/
    index.html is a page in which every pixel can be heard (not of clips too long for one, nor by baselines).
    """

    def __init__(self) -> None:
        super().__init__("batch")
        self.entries: list[dict[str, Any]] = []

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: Sequence[Sample],
        batch_indices: Sequence[int] | None,
        batch: Prompts,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Write one batch."""
        from avsim.report.pixels import LONGEST, write_pixels

        folder, simulator = Path(trainer.default_root_dir), cast(Simulator, pl_module.simulator)
        for index, sample in enumerate(prediction, batch.first):
            file = sample.clip.write(folder / f"{index:04d}.mp4")
            stems = []
            for number, (name, clip) in enumerate(
                shown_stems(sample.clip, sample.stems) if sample.stems else ()
            ):
                path = folder / f"{index:04d}" / f"stem-{number}.wav"
                clip.write(path)
                clip.write(path.with_suffix(".mp4"))
                stems.append({"name": name, "file": str(path.relative_to(folder))})
            entry = {**sample.entry(file.name), "stems": stems}
            separator = simulator.separator
            if sample.stems and isinstance(separator, Separator) and sample.clip.seconds <= LONGEST:
                page = folder / f"{index:04d}" / "index.html"
                title = sample.prompt or f"seed {sample.seed}"
                write_pixels(page, separator, sample.clip, sample.stems.regions, title)
                entry["page"] = str(page.relative_to(folder))
            self.entries.append(entry)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the listings of all processes together."""
        folder = Path(trainer.default_root_dir)
        share = folder / f"{trainer.global_rank}.{LISTING}"
        share.write_text(json.dumps(self.entries))
        trainer.strategy.barrier()
        if trainer.is_global_zero:
            shares = [folder / f"{rank}.{LISTING}" for rank in range(trainer.world_size)]
            entries = [entry for path in shares for entry in json.loads(path.read_text())]
            write_listing(sorted(entries, key=lambda entry: entry["file"]), folder)
            for path in shares:
                path.unlink()
