"""Commands that are killed at random moments, and started again, end as if nothing had been.

`AVSIM_KILLS` is how many kills each command gets (default 3), `AVSIM_KILLS_SEED` the seed of their moments.
"""

import csv
import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch
import yaml

from tests.data.conftest import film, shot
from tests.running import Running, avsim

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
KILLS = int(os.environ.get("AVSIM_KILLS", "3"))
SEED = int(os.environ.get("AVSIM_KILLS_SEED", "0"))
CONFIGS = Path(__file__).parent.parent / "configs"
CLIPS = ["--seconds", "1", "--size", "64x64", "--fps", "16", "--sample-rate", "16000"]
EVERY_STEP_COUNTS = {
    "trainer": {
        "max_steps": 8,
        "val_check_interval": 4,
        "limit_val_batches": 1,
        "log_every_n_steps": 1,
        "enable_progress_bar": False,
        "logger": [{"class_path": "avsim.training.metrics_file.MetricsFile"}],
        "callbacks": [
            {"class_path": "avsim.training.callbacks.EMA"},
            {"class_path": "avsim.training.callbacks.NonFiniteGuard"},
            {"class_path": "avsim.training.callbacks.Checkpoints", "init_args": {"every_n_steps": 2}},
        ],
    }
}


def fit(name: str, *arguments: str) -> list[str]:
    """`avsim fit` of configs/NAME.yaml, made small, in the run OUT."""
    files = [str(CONFIGS / "base.yaml"), str(CONFIGS / f"{name}.yaml"), "steps.yaml"]
    chosen = [each for file in files for each in ("-c", file)]
    return ["fit", *chosen, "--run", "OUT", "--data.batch_size=2", "--data.workers=0", *arguments]


SECOND = "--data.spec.seconds=1.0"
COMMANDS = {
    "video_codec": fit(
        "video_codec", SECOND, "--model.model.widths=[8,8,8]", "--model.model.depths=[1,1,1]",
        "--model.crop_frames=9",
    ),
    "audio_codec": fit("audio_codec", SECOND, "--model.model.width=16"),
    "generator": fit(
        "generator", "--model.model.width=32", "--model.model.heads=2", "--model.model.blocks=2"
    ),
    "separator": fit("separator", SECOND, "--model.model.short_side=32", "--model.model.bin_widths=[4,8]"),
    "prepare": ["prepare", "films", "--out", "OUT", *CLIPS, "--stride", "0.5", "--jobs", "2",
                "--validation", "0.3", "--test", "0.3"],
    "encode": ["encode", "data/clips", "--video-codec", "runs/video_codec",
               "--audio-codec", "runs/audio_codec", "--batch-size", "2", "--out", "OUT"],
    "world": ["world", "--count", "10", "--level", "easy", "--seconds", "0.5", "--stems", "--truth",
              "--jobs", "2", "--out", "OUT"],
    "generate": ["generate", "--prompt", "a bell is struck", "--seconds", "0.5", "--steps", "2", "-n", "6",
                 "--out", "OUT/"],
}  # fmt: skip
MADE_IN = {"prepare": "data/clips", "encode": "data/latents"}


def made_in(name: str) -> str:
    return MADE_IN.get(name, f"runs/{name}")


def line(name: str, out: str) -> list[str]:
    return [each.replace("OUT", out) for each in COMMANDS[name]]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with videos, and a function that has what a command makes there, made without a kill."""
    place = tmp_path_factory.mktemp("place")
    (place / "films").mkdir()
    for number in range(3):
        shots = (shot(2.5, 0.15 + 0.14 * k, 300.0 + 100 * k + 30 * number) for k in (0, 3, 1, 4))
        path = film(place / "films" / f"{number}.mp4", *shots)
        path.with_suffix(".txt").write_text("stripes")
    (place / "steps.yaml").write_text(yaml.safe_dump(EVERY_STEP_COUNTS))
    for name in ("prepare", "video_codec", "audio_codec", "encode"):  # what others are made from
        done = avsim(place / "output", *line(name, made_in(name)), cwd=place)
        assert done.code == 0, done
    return place


def plain(path: Path):
    """What a file holds, without what depends on the clock."""
    if path.suffix == ".ckpt":
        found = torch.load(path, weights_only=True)
        return {name: repr_of(value) for name, value in found.items()}
    if path.name == "metrics.csv":
        with open(path, newline="") as file:
            rows = list(csv.DictReader(file))
        return [{name: value for name, value in row.items() if name != "clips_per_second"} for row in rows]
    return path.read_bytes()


def repr_of(value):
    """A checkpoint's value as what `==` compares to the bit."""
    if isinstance(value, torch.Tensor):
        return value.dtype, tuple(value.shape), value.contiguous().view(-1).numpy().tobytes()
    if isinstance(value, dict):
        return {key: repr_of(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [repr_of(each) for each in value]
    return value


def tree(folder: Path) -> dict[str, object]:
    """Every file and folder of `folder`, hidden ones too."""
    return {
        str(path.relative_to(folder)): plain(path) if path.is_file() else None for path in folder.rglob("*")
    }


@pytest.mark.parametrize("name", COMMANDS)
def test_killed_at_random_moments_and_started_again(name, place):
    moments = random.Random(f"{SEED} {name}")
    out = place / "out" / name
    out.parent.mkdir(exist_ok=True)
    began = time.monotonic()
    done = avsim(place / "output", *line(name, str(out.relative_to(place))), cwd=place)
    assert done.code == 0, done
    length = time.monotonic() - began
    undisturbed = place / "undisturbed" / name
    undisturbed.parent.mkdir(exist_ok=True)
    out.rename(undisturbed)  # so that all write to a folder of one name
    wanted, kills, rounds = tree(undisturbed), 0, 0
    while kills < KILLS:
        rounds += 1
        while True:
            running = Running(place / "output", *line(name, str(out.relative_to(place))), cwd=place)
            running.process.join(moments.uniform(0.0, length) if kills < KILLS else None)
            if running.process.is_alive():
                running.send(signal.SIGKILL)
            done = running.done()
            if done.code == 0:
                break
            assert done.code == -signal.SIGKILL, (kills, done)
            kills += 1
        found = tree(out)
        assert found.keys() == wanted.keys(), (kills, found.keys() ^ wanted.keys())
        assert [each for each in wanted if found[each] != wanted[each]] == [], kills
        assert not [path for path in place.iterdir() if path.name.startswith(".")]
        out.rename(place / "undisturbed" / f"{name} {rounds}")
    print(f"{name}: {kills} kills within {length:.1f} s, {rounds} ends")
