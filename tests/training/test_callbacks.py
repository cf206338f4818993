"""What callbacks do under accumulation: a step is one step, of however many batches."""

from types import SimpleNamespace

import lightning
import torch
from torch import nn
from torch.utils.data import DataLoader

from avsim.clip import ClipSpec
from avsim.report.callbacks import Samples
from avsim.training.callbacks import Throughput


class Line(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)

    def training_step(self, batch, index):
        return self.layer(batch).square().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


class Ones(lightning.LightningDataModule):
    spec = SimpleNamespace(clip=None)

    def train_dataloader(self):
        return DataLoader(torch.ones(100, 1))


def fit(callback, tmp_path, steps: int, together: int = 2) -> None:
    trainer = lightning.Trainer(
        default_root_dir=tmp_path,
        max_steps=steps,
        accelerator="cpu",
        accumulate_grad_batches=together,
        log_every_n_steps=2,
        logger=False,
        callbacks=[callback],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Line(), datamodule=Ones())


def test_samples_are_drawn_once_a_due_step_and_at_the_end(tmp_path, monkeypatch):
    drawn: list[str] = []
    monkeypatch.setattr(Samples, "draw", lambda *_: [])
    monkeypatch.setattr(Ones, "spec", ClipSpec(seconds=0.5, height=16, width=16), raising=False)
    monkeypatch.setattr("avsim.report.callbacks.parts_of", lambda _: {"generator": None})
    monkeypatch.setattr(
        "avsim.report.callbacks.write_samples", lambda samples, folder: drawn.append(folder.name)
    )
    fit(Samples(["a ball"], [0], every_n_steps=2), tmp_path, steps=5)
    assert drawn == ["step=00000002", "step=00000004", "step=00000005"]


def test_a_meter_prints_once_a_due_step(tmp_path, capsys):
    fit(Throughput(every_n_steps=2), tmp_path, steps=5)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("step ")]
    assert [line.split()[1] for line in lines] == ["2", "4"]
    assert all("clips_per_second" in line for line in lines)
