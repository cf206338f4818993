"""The recipe for a published list of films runs from end to end, on tiny random models and drawn films."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from avsim.codecs.pretrained import OobleckCodec
from tests.cli.test_add_audio_command import OOBLECK
from tests.data import conftest as films
from tests.models import tiny

pytest.importorskip("diffusers", reason="the transformers are of diffusers: pip install avsim[test]")

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_sound_for_a_silent_video_model_from_a_list_of_films(tmp_path):
    (tmp_path / "films").mkdir()
    rows = []
    for i in range(8):
        name = f"avsimTest{i}A"
        films.film(tmp_path / f"films/{name}_000010.mp4", films.shot(3.0, 0.2 + 0.07 * i, 300.0 + 100 * i))
        rows.append(f"{name},10,a bell rings,{'train' if i < 5 else 'test'}")
    (tmp_path / "list.csv").write_text("\n".join(rows) + "\n")
    tiny.pipeline(tmp_path / "pipeline")
    torch.manual_seed(0)
    OobleckCodec(OOBLECK).network.save_pretrained(tmp_path / "audio/vae")
    environment = {
        "MODEL": tmp_path / "pipeline", "CODEC": tmp_path / "audio", "SIZE": "32x32", "SECONDS_OF_A_CLIP": 1,
        "FPS": 8, "RATE": 48000, "WIDTH": 16, "COUNT": 2, "STEPS": 2,
        "FIT": "-c configs/size/tiny.yaml --data.batch_size 2 --trainer.accelerator cpu",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": ROOT,
    }  # fmt: skip
    given = [str(tmp_path / "films"), str(tmp_path / "list.csv"), str(tmp_path / "work")]
    done = subprocess.run(
        ["bash", "experiments/recipes/add_audio.sh", *given],
        cwd=ROOT, env=os.environ | {name: str(value) for name, value in environment.items()},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(list((tmp_path / "work/generated").glob("*.mp4"))) == 2
    metrics = json.loads((tmp_path / "work/report/metrics.json").read_text())
    assert metrics


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_study_of_latents_runs_from_end_to_end(tmp_path):
    few = {
        "VARIANTS": "plain-8 residual-8-t2-kl",
        "CODEC_STEPS": 2,
        "STEPS": 4,
        "CLIPS": 24,
        "HELD_OUT": 8,
        "SEEDS": 1,
    }
    environment = few | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": ROOT}
    done = subprocess.run(
        ["bash", "experiments/009-latents/run.sh", str(tmp_path)],
        cwd=ROOT, env=os.environ | {name: str(value) for name, value in environment.items()},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    rows = [
        line.split("|") for line in done.stdout.splitlines() if line.startswith(("| plain", "| residual"))
    ]
    assert [row[1].strip() for row in rows] == ["plain-8", "residual-8-t2-kl"]
    assert all("of 4 (" in row[5] and "nan" not in "".join(row) for row in rows)
