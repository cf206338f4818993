"""A scorer in a Lightning loop: `trainer.test` gives the same bits on one process and on two."""

import json
import os
import subprocess
import sys
from pathlib import Path

import lightning
import pytest
import torch

from avsim.evaluation.events import EventSynchrony
from avsim.seeds import generator


class Judged(lightning.LightningModule):
    """Judges moments that are the data, and writes down what the scorer says."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.scorer, self.layer = path, EventSynchrony(), torch.nn.Linear(1, 1)

    def test_step(self, batch, index):
        for heard, seen in batch:
            self.scorer.update(heard.tolist(), seen.tolist(), 16, 2.0)

    def on_test_epoch_end(self):
        numbers = {name.replace("/", " "): value for name, value in self.scorer.compute().items()}
        self.log_dict(numbers, sync_dist=False)
        scores = {name: score.plain() for name, score in self.scorer.scores(draws=100).items()}
        if self.global_rank == 0:
            self.path.write_text(json.dumps(scores))


def judged(path: Path, devices: int) -> None:
    trainer = lightning.Trainer(
        accelerator="cpu", devices=devices, strategy="ddp" if devices > 1 else "auto",
        logger=False, enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
    )  # fmt: skip
    moments = 2 * torch.rand(12, 2, 4, generator=generator(0, "moments"))
    trainer.test(Judged(path), torch.utils.data.DataLoader(moments, batch_size=3), verbose=False)


@pytest.mark.slow
def test_one_process_and_two_say_the_same(tmp_path):
    for devices in (1, 2):
        script = tmp_path / "script.py"  # a file, for Lightning starts it again for its second process
        script.write_text(
            "from pathlib import Path\nfrom tests.evaluation.test_lightning import judged\n"
            f"if __name__ == '__main__':\n    judged(Path('{devices}.json').absolute(), {devices})\n"
        )
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        subprocess.run([sys.executable, str(script)], cwd=tmp_path, env=environment, check=True)
    one, two = (json.loads((tmp_path / f"{devices}.json").read_text()) for devices in (1, 2))
    assert one == two and one["F1 within 1 frame"]["clips"] == 12
