"""Batch k depends on (seed, k) alone: not on workers, processes, or a kill in between."""

import os
import subprocess
import sys
from pathlib import Path

import lightning
import pytest
import torch
from torch import nn

from avsim.clip import ClipSpec
from avsim.data.datamodule import ClipData, _Batches
from avsim.errors import InputError
from avsim.seeds import generator
from tests.data.conftest import Numbers

SPEC = ClipSpec(0.5, 4, 4, 8.0, 400, 1)


class Diary(lightning.LightningModule):
    """Writes down the batches it sees; optionally dies like a process that is killed."""

    def __init__(self, path, dies_at=None):
        super().__init__()
        self.path, self.dies_at, self.layer = Path(path), dies_at, nn.Linear(1, 1)

    def write(self, word, batch):
        rows = [f"{row}={name}" for row, name in zip(batch.rows.tolist(), batch.names, strict=True)]
        path = self.path.with_suffix(f".{self.global_rank}")
        with open(path, "a") as file:
            file.write(f"{word} {self.global_step} {' '.join(rows)}\n")

    def training_step(self, batch, index):
        if self.dies_at == self.global_step:
            os._exit(9)
        self.write("train", batch)
        return self.layer(batch.wave.mean((1, 2))[:, None]).square().mean()

    def validation_step(self, batch, index):
        self.write("validate", batch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def fit(path, steps, resume=None, workers=0, dies_at=None, accumulate=1, devices=1):
    lightning.seed_everything(0, verbose=False)
    saves = lightning.pytorch.callbacks.ModelCheckpoint(
        path.parent, "{step}", every_n_train_steps=2, save_last=True, save_top_k=-1
    )
    trainer = lightning.Trainer(
        max_steps=steps,
        accelerator="cpu",
        devices=devices,
        strategy="ddp" if devices > 1 else "auto",
        use_distributed_sampler=False,
        accumulate_grad_batches=accumulate,
        val_check_interval=4 * accumulate,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        logger=False,
        callbacks=[saves],
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    data = ClipData(SPEC, Numbers(10), Numbers(5), batch_size=4, workers=workers, seed=1)
    trainer.fit(Diary(path, dies_at), data, ckpt_path=resume)


def elsewhere(folder, how):
    """Run `fit` for 9 steps in a process of its own; its exit code."""
    script = folder / "script.py"  # a file, for Lightning starts it again for its second process
    script.write_text(
        "from pathlib import Path\nfrom tests.data.test_datamodule import fit\n"
        f"if __name__ == '__main__':\n    fit(Path('diary').absolute(), 9, {how})\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run([sys.executable, str(script)], cwd=folder, env=environment).returncode


def lines(path, rank=0):
    return path.with_suffix(f".{rank}").read_text().splitlines()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "diary"
    fit(path, 9)
    return lines(path)


def test_what_a_run_sees(whole):
    train = [line.split() for line in whole if line.startswith("train")]
    assert [int(words[1]) for words in train] == list(range(9))
    assert all([w.split("=")[0] for w in words[2:]] == ["0", "1", "2", "3"] for words in train)
    seen = [w.split("=")[1].split(":")[0] for words in train for w in words[2:]]
    assert all(sorted(map(int, seen[10 * p : 10 * p + 10])) == list(range(10)) for p in range(3))
    checks = [line.split(maxsplit=2)[2] for line in whole if line.startswith("validate")]
    assert len(checks) == 4 and checks[:2] == checks[2:]  # the same list, the same draws, each time
    assert [w.split("=")[0] for line in checks[:2] for w in line.split()] == ["0", "1", "2", "3", "4"]


def test_workers_change_nothing(whole, tmp_path):
    fit(tmp_path / "diary", 9, workers=2)
    assert lines(tmp_path / "diary") == whole


@pytest.mark.parametrize("dies_at", [pytest.param(3, marks=pytest.mark.slow), 7])
def test_killed_and_resumed(whole, tmp_path, dies_at):
    """A resumed run goes on with the batch after its checkpoint: none is skipped, none comes twice."""
    assert elsewhere(tmp_path, f"dies_at={dies_at}") == 9
    saved = dies_at - 1  # checkpoints are written after steps 2, 4 and 6
    first = [line for line in lines(tmp_path / "diary") if int(line.split()[1]) < saved]
    fit(tmp_path / "rest", 9, resume=tmp_path / "last.ckpt")
    rest = lines(tmp_path / "rest")
    assert [line for line in first + rest if line.startswith("train")] == [
        line for line in whole if line.startswith("train")
    ]
    assert rest[0].startswith(f"train {saved} ")


def test_accumulated_and_resumed(tmp_path):
    for folder in ("whole", "part"):
        (tmp_path / folder).mkdir()
    fit(tmp_path / "whole" / "diary", 6, accumulate=2)
    fit(tmp_path / "part" / "diary", 4, accumulate=2)
    fit(tmp_path / "part" / "rest", 6, accumulate=2, resume=tmp_path / "part" / "last.ckpt")
    train = [line for line in lines(tmp_path / "whole" / "diary") if line.startswith("train")]
    rest = [line for line in lines(tmp_path / "part" / "rest") if line.startswith("train")]
    assert len(train) == 12 and train[8:] == rest
    numbers = [[int(word.split("=")[0]) for word in line.split()[2:]] for line in train]
    assert numbers == 6 * [[0, 1, 2, 3], [4, 5, 6, 7]]  # by which a step's noise is drawn: never twice


@pytest.mark.slow
def test_two_processes_see_the_batches_of_one(whole, tmp_path):
    assert elsewhere(tmp_path, "devices=2") == 0
    one, two = (
        [line for line in lines(tmp_path / "diary", rank) if line.startswith("train")] for rank in range(2)
    )
    joined = [f"{a} {b.split(maxsplit=2)[2]}" for a, b in zip(one, two, strict=True)]
    assert joined == [line for line in whole if line.startswith("train")]


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
@pytest.mark.parametrize("trained", [True, False])
def test_processes_share_out_the_rows(ranks, trained):
    def plain(rows):
        return [(index, row, torch.rand((), generator=draws).item()) for index, row, draws in rows]

    one = _Batches(plain, 30, 12, 5, trained, 0, 1)
    many = [_Batches(plain, 30, 12, 5, trained, rank, ranks) for rank in range(ranks)]
    for step in range(3):
        assert sum((batches[step] for batches in many), []) == one[step]


def test_a_list_shorter_than_the_processes():
    def plain(rows):
        return rows

    first, second = (_Batches(plain, 9, 4, 0, False, rank, 2) for rank in range(2))
    assert len(first.steps()) == 2 and len(second.steps()) == 3  # the last clip is alone: one process has it


def test_regions_are_padded(numbers):
    data = ClipData(SPEC, numbers(9, regions=True), batch_size=9)
    batch = next(iter(data.train_dataloader()))
    assert batch.stems.shape == (9, 3, 1, 200) and batch.masks.shape == (9, 3, 4, 4, 4)
    for name, masks, stems in zip(batch.names, batch.masks, batch.stems, strict=True):
        regions = 1 + int(name.split(":")[0]) % 3
        assert masks.amax((1, 2, 3)).tolist() == [1.0] * regions + [0.0] * (3 - regions)
        assert not stems[regions:].any()


def test_refusals(numbers, shards, spec):
    from avsim.data.sources import ShardSource

    with pytest.raises(InputError, match="batch_size is 0"):
        ClipData(SPEC, numbers(), batch_size=0)
    with pytest.raises(InputError, match="workers is -1"):
        ClipData(SPEC, numbers(), workers=-1)
    with pytest.raises(InputError, match="no source for test"):
        ClipData(SPEC, numbers()).test_dataloader()
    with pytest.raises(InputError, match="sample_rate of its clips"):
        ClipData(SPEC, ShardSource(shards)).setup("fit")


def test_draws_are_named_by_step_and_row(numbers):
    data = ClipData(SPEC, numbers(), batch_size=4, seed=3)
    batch = next(iter(data.train_dataloader()))
    drawn = [float(name.split(":")[1]) for name in batch.names]
    expected = [torch.rand((), generator=generator(3, "clip", 0, row)).item() for row in range(4)]
    assert drawn == pytest.approx(expected, abs=1e-6)
