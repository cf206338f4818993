"""What callbacks do under accumulation: a step is one step, of however many batches."""

from pathlib import Path
from types import SimpleNamespace

import lightning
import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from avsim.clip import Clip, ClipSpec, Region, Stems
from avsim.report.callbacks import Samples, default_prompts, log_to_tensorboard, players
from avsim.simulator.samples import Sample
from avsim.training.callbacks import StepProgressBar, Throughput


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


def test_a_meter_prints_after_a_while_though_no_step_is_due(tmp_path, capsys):
    fit(Throughput(every_n_steps=100, every_seconds=0.0), tmp_path, steps=3)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("step ")]
    assert [line.split()[1] for line in lines] == ["1", "2", "3"]


def test_a_bar_counts_the_batches_of_the_whole_run():
    bar = StepProgressBar()
    bar._trainer = SimpleNamespace(max_steps=60, global_step=37, accumulate_grad_batches=2)
    assert bar.total_train_batches == 120


def test_prompts_of_samples_are_captions_of_the_validation_set_by_default():
    captions = [["", "a dog barks"], ["a dog barks", "a bell"], ["rain"]]
    data = SimpleNamespace(
        val_dataloader=lambda: [SimpleNamespace(captions=each) for each in captions],
        on_after_batch_transfer=lambda batch, index: batch,
    )
    assert default_prompts(SimpleNamespace(datamodule=data)) == ["", "a dog barks", "a bell"]


def test_wandb_gets_cards_frames_and_spectrograms_under_stable_keys(tmp_path, monkeypatch):
    import wandb

    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path))
    clip = Clip(torch.rand(3, 8, 16, 16), 0.1 * torch.randn(2, 8000))
    stems = Stems(torch.stack([clip.wave, 0 * clip.wave]), [Region(torch.ones(16, 16), "<i>")], 16000)
    samples = [Sample(clip, "a <b>", 3, "joint", stems), Sample(clip.without_video(), "", 0, "foley")]
    keys = {"samples/table", "samples/0", "samples/0-frames", "samples/0-spectrogram"}
    keys |= {"samples/1", "samples/1-spectrogram"}
    run = wandb.init(mode="offline", dir=str(tmp_path), settings=wandb.Settings(silent=True))
    for step in (1, 2):
        logged = players(samples)
        assert set(logged) == keys
        run.log(logged, step=step)
    folder = Path(run.dir) / "media"
    run.finish()
    pages = [path.read_text() for path in folder.rglob("*.html")]
    assert len(pages) >= 4 and all("<b>" not in page and "<i>" not in page for page in pages)
    assert any('"stems":[{"name":"\\u003ci>"' in page for page in pages)
    assert len(list(folder.rglob("*.png"))) >= 6  # three for each step


def test_tensorboard_gets_audio_stems_frames_and_spectrograms(tmp_path):
    pytest.importorskip("tensorboard", reason="pip install avsim[tensorboard]")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    clip = Clip(torch.rand(3, 8, 16, 16), 0.1 * torch.randn(2, 8000))
    stems = Stems(torch.stack([clip.wave, 0 * clip.wave]), [Region(torch.ones(16, 16), "a")], 16000)
    samples = [Sample(clip, "a <b>", 3, "joint", stems), Sample(clip.without_video(), "", 0, "foley")]
    with SummaryWriter(str(tmp_path)) as writer:
        for step in (1, 2):
            log_to_tensorboard(writer, samples, step)
    events = EventAccumulator(str(tmp_path), size_guidance={"images": 0, "audio": 0})
    events.Reload()
    tags = events.Tags()
    assert set(tags["audio"]) == {"samples/0", "samples/0/stem 0", "samples/0/stem 1", "samples/1"}
    assert set(tags["images"]) == {"samples/0-frames", "samples/0-spectrogram", "samples/1-spectrogram"}
    assert [event.step for event in events.Audio("samples/0")] == [1, 2]
    wave = np.frombuffer(events.Audio("samples/0")[0].encoded_audio_string[44:], "<i2") / 32767
    assert np.abs(wave - clip.wave.mean(0).numpy()).max() < 1e-3
