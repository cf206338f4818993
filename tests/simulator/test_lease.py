import csv
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from avsim.clip import ClipSpec, LatentSpec
from avsim.codecs.video import VideoAutoencoder
from avsim.diffusion import Latents, Pair
from avsim.diffusion.loss import token_loss, trivial
from avsim.diffusion.noising import Noised
from avsim.models.tokens import to_tokens
from avsim.weights import SMALL, load_model, notes_of, save_model
from avsim.world import LEVELS, WorldDataset

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
LONG = 1500  # s; a lease is rehearsed in some ten minutes of two cores that do nothing else

pytestmark = pytest.mark.timeout(LONG)


def script(name, *arguments):
    command = [sys.executable, EXPERIMENTS / name, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONG)
    assert done.returncode == 0, done.stderr


def lease(experiment, *arguments):
    script(f"{experiment}/lease.py", *arguments)


@pytest.mark.slow
def test_couplings_train_side_by_side_for_equal_flops(tmp_path):
    few = "--minutes", 0.3, "--rows", 2, "--clips", 32, "--held-out", 32
    lease("006-couplings", tmp_path, *few, "--packed")
    for file in tmp_path.glob("*.tar"):
        with tarfile.open(file) as packed:
            packed.extractall(tmp_path, filter="data")
    runs = sorted(file.parent for file in tmp_path.glob("*/finished"))
    assert [run.name for run in runs] == [
        f"{name}-{seed}" for name in ("cross", "joint", "none", "single") for seed in range(3)
    ]
    made = {run.name: load_model(run / "simulator" / "generator") for run in runs}
    assert not torch.equal(made["joint-0"].place[0].weight, made["joint-1"].place[0].weight)
    curves = {run.name: list(csv.DictReader((run / "csv" / "metrics.csv").open())) for run in runs}
    assert all(0 < float(curve[-1]["val/audio_own"]) < 3 for curve in curves.values())
    steps = {name: int(curve[-1]["step"]) for name, curve in curves.items()}
    assert len({steps[f"joint-{seed}"] for seed in range(3)}) == 1
    assert steps["cross-0"] <= steps["joint-0"] <= steps["none-0"]  # of equal FLOPs
    assert float(curves["none-0"][0]["train/video"]) > 0  # of the half whose picture isn't given


@pytest.mark.slow
def test_what_a_lease_trains_speaks_the_latents_that_ship(tmp_path):
    lease("004-small", tmp_path / "out", "--minutes", 0.3, "--size", 0.03, "--taught", 0.2)
    for name in ("generator", "video_codec", "audio_codec"):
        now, before = load_model(tmp_path / "out" / name), load_model(SMALL / name)
        changed = {
            key for key, value in now.state_dict().items() if not torch.equal(value, before.state_dict()[key])
        }
        assert changed, name
        assert not [key for key in changed if key.startswith(("encoder", "whitening"))]
    teacher, pupil = (load_model(tmp_path / "out" / name) for name in ("generator", "pupil"))
    assert not torch.equal(teacher.place[0].weight, pupil.place[0].weight)


@pytest.mark.slow
def test_a_lease_of_lessons_alone_trains_a_pupil_on_and_nothing_else(tmp_path):
    few = "--minutes", 0, "--taught", 0.2, "--size", 0.03
    lease("004-small", tmp_path / "out", *few, "--pupil", SMALL / "pupil")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["pupil"]
    now, before = load_model(tmp_path / "out" / "pupil"), load_model(SMALL / "pupil")
    changes = [
        (one - other).abs().max() for one, other in zip(now.parameters(), before.parameters(), strict=True)
    ]
    assert 0 < max(changes) < 0.1  # it went on from there


@pytest.mark.slow
def test_a_generator_speaks_another_codecs_latents_as_its_own(tmp_path):
    torch.manual_seed(0)
    codec = VideoAutoencoder(96, (16, 16, 16), space_stride=16)
    save_model(codec, tmp_path / "codec")
    script("004-small/finer.py", tmp_path / "codec", tmp_path / "made", "--clips", 8)
    made, before = load_model(tmp_path / "made"), load_model(SMALL / "generator")
    assert made.channels.video == 96
    kept = [key for key in made.state_dict() if not key.startswith("ends.0.")]
    assert all(torch.equal(made.state_dict()[key], before.state_dict()[key]) for key in kept)
    clips = WorldDataset(replace(LEVELS["medium"], spec=ClipSpec(2.0, 128, 128)), seed=3, split="test")
    spec, z = LatentSpec(clips.config.spec, space_stride=16), codec.encode(clips[0][0].frames[None])
    x = to_tokens(Latents(z.detach(), None))
    s = Pair(torch.full((1, 1), 0.7))
    noised = x.each(lambda x, s: Noised(x, torch.randn_like(x), s), s)
    with torch.no_grad():
        v = made(noised.each(lambda n: n.x_s), s, made.context([""], spec))
    own, blind = (token_loss(v, noised.video).mean() for v in (v.video, trivial(noised.video)))
    assert own < 0.9 * blind


def test_what_lessons_changed_is_carried_over_to_a_generator_that_was_trained_on(tmp_path):
    before, pupil = (load_model(SMALL / name).state_dict() for name in ("generator", "pupil"))
    now = load_model(SMALL / "generator")
    with torch.no_grad():
        for weight in now.parameters():
            weight.add_(0.25)
    save_model(now, tmp_path / "now", step=7)
    script(
        "004-small/carried.py", tmp_path / "now", tmp_path / "made", "--own", "ends.0.", "--share", 0.5,
        "--commit", "abc",
    )  # fmt: skip
    notes = notes_of(tmp_path / "made")
    assert (notes["step"], notes["commit"]) == (7, "abc")
    assert notes["command"].startswith(f"python experiments/004-small/carried.py {tmp_path / 'now'} OUT")
    assert notes["command"].endswith("--share 0.5 --own ends.0.")
    made = load_model(tmp_path / "made").state_dict()
    for name, weight in now.state_dict().items():
        expected = weight if name.startswith("ends.0.") else weight + 0.5 * (pupil[name] - before[name])
        torch.testing.assert_close(made[name], expected, rtol=0.005, atol=1e-6)  # bfloat16's rounding
    assert not torch.equal(made["place.0.weight"], now.state_dict()["place.0.weight"])
