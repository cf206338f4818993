"""A run that is killed at any moment goes on by itself, with the same curve and the same weights."""

import csv
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from avsim.errors import InputError
from avsim.files import claimed
from tests.running import Running, avsim

FIT = ["fit", "-c", "configs/base.yaml", "-c", "tests/small/line.yaml", "--run"]


def curve(run: Path) -> list[dict[str, str]]:
    """The rows of a run without what depends on the clock."""
    with open(run / "csv" / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return [{name: value for name, value in row.items() if name != "clips_per_second"} for row in rows]


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "simulator" / "line" / "model.safetensors")


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A run that nothing disturbed."""
    run = tmp_path_factory.mktemp("whole") / "run"
    done = avsim(run.parent, *FIT, run)
    assert done.code == 0, done
    return run


def test_a_run_keeps_its_curve_config_environment_and_models(whole):
    rows = curve(whole)
    assert [int(row["step"]) for row in rows if row["train/loss"]] == list(range(12))
    assert [int(row["step"]) for row in rows if row["val/loss"]] == [3, 7, 11]
    assert (whole / "config.yaml").is_file()
    assert json.loads((whole / "environment.json").read_text())["torch"] == torch.__version__
    notes = json.loads((whole / "simulator" / "line" / "config.json").read_text())["notes"]
    assert notes["step"] == 12 and notes["command"].startswith("avsim fit -c") and notes["commit"]


@pytest.mark.parametrize("step", [6, *(pytest.param(step, marks=pytest.mark.slow) for step in (5, 7, 10))])
def test_a_killed_run_resumes_bit_for_bit(whole, tmp_path, step):
    run = tmp_path / "run"
    slow = Running(tmp_path, *FIT, run, "--model.init_args.seconds", "0.1")
    metrics = run / "csv" / "metrics.csv"
    slow.wait_for(lambda: metrics.is_file() and any(int(row["step"]) >= step for row in curve(run)))
    slow.send(signal.SIGKILL)
    assert slow.done().code == -signal.SIGKILL
    assert (run / "checkpoints" / "last.ckpt").is_file()
    done = avsim(tmp_path, *FIT, run, "--allow-changes", "true")
    assert done.code == 0, done
    assert curve(run) == curve(whole)
    for name, tensor in weights(whole).items():
        assert torch.equal(weights(run)[name], tensor), name


def test_a_torn_line_and_what_came_after_the_checkpoint_are_cleared_away(whole, tmp_path):
    from avsim.training.metrics_file import MetricsFile

    path = tmp_path / "csv" / "metrics.csv"
    path.parent.mkdir()
    path.write_text("loss,step\n1.0,0\n0.5,1\n0.25,2\n0.1,")
    MetricsFile(str(tmp_path)).rewind(2)
    assert path.read_text().split() == ["loss,step", "1.0,0", "0.5,1"]


def test_the_average_is_that_of_the_formula_and_differs_from_the_weights(whole):
    checkpoint = torch.load(whole / "checkpoints" / "last.ckpt", weights_only=True)
    average = next(state for name, state in checkpoint["callbacks"].items() if name.startswith("EMA"))[
        "average"
    ]
    for name, tensor in weights(whole).items():
        assert torch.equal(average[f"model.{name}"], tensor)
        assert not torch.equal(checkpoint["state_dict"][f"model.{name}"], tensor)


def test_another_environment_is_said(whole, tmp_path):
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    path = run / "environment.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "threads": 64}))
    done = avsim(tmp_path, *FIT, run, "--trainer.max_steps", "13")
    assert done.code == 0 and "threads 1 (was 64)" in done.out


def test_validation_reads_the_last_checkpoint_and_its_average(whole, tmp_path):
    done = avsim(tmp_path, "validate", *FIT[1:], whole)
    assert done.code == 0, done
    assert curve(whole / "validate")[-1]["val/loss"] == curve(whole)[-1]["val/loss"]


def test_init_starts_from_the_weights_of_a_run_or_a_folder(tmp_path):
    from avsim.codecs import AudioAutoencoder, VideoAutoencoder
    from avsim.codecs.system import VideoCodecSystem
    from avsim.training.initial import initialise
    from avsim.weights import save_model

    def system(width: int = 8) -> VideoCodecSystem:
        return VideoCodecSystem(VideoAutoencoder(widths=(width, 8, 8), depths=(1, 1, 1)))

    trained = system()
    with torch.no_grad():
        for value in trained.model.parameters():
            value.uniform_()
    folder = save_model(trained.model, tmp_path / "run" / "simulator" / "video_codec")
    for place in (tmp_path / "run", folder):
        fresh = system()
        initialise(fresh, place)
        for name, value in trained.model.state_dict().items():
            assert torch.equal(fresh.model.state_dict()[name], value)
    with pytest.raises(InputError, match="another architecture"):
        initialise(system(16), folder)
    save_model(AudioAutoencoder(width=8), tmp_path / "audio")
    with pytest.raises(InputError, match="holds a AudioAutoencoder"):
        initialise(system(), tmp_path / "audio")


def test_a_claim_dies_with_its_holder_though_a_worker_lives(tmp_path):
    code = (
        "import os, time\n"
        "from avsim.files import claimed\n"
        f"with claimed({str(tmp_path / 'run')!r}):\n"
        "    os.fork() or print(os.getpid(), flush=True)\n"  # the worker itself: it lives, its hooks have run
        "    time.sleep(60)\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    worker = int(holder.stdout.readline())
    try:
        with pytest.raises(InputError, match="another running avsim"), claimed(tmp_path / "run"):
            pass
        holder.kill()
        holder.wait()
        with claimed(tmp_path / "run"):
            pass
    finally:
        os.kill(worker, signal.SIGKILL)
        holder.stdout.close()


@pytest.mark.slow
@pytest.mark.parametrize("more", [["--trainer.precision", "bf16-mixed"], ["--compile", "true"]])
def test_other_arithmetic_is_reproducible_too(tmp_path, more):
    curves = []
    for name in ("one", "two"):
        done = avsim(tmp_path, *FIT, tmp_path / name, *more)
        assert done.code == 0, done
        curves.append(curve(tmp_path / name))
    assert curves[0] == curves[1]


def test_two_runs_in_one_folder_are_refused(tmp_path):
    run = tmp_path / "run"
    first = Running(tmp_path, *FIT, run, "--model.init_args.seconds", "10")
    first.wait_for(lambda: (run / "environment.json").is_file())
    second = avsim(tmp_path, *FIT, run)
    assert second.code == 2 and second.err.count("\n") == 1 and "another running avsim" in second.err
    first.send(signal.SIGTERM)
    done = first.done()
    assert done.code == 143 and done.err.splitlines()[-1] == "avsim fit: stopped by SIGTERM"


def test_not_a_number_stops_the_run_and_names_the_clips(tmp_path):
    run = tmp_path / "run"
    done = avsim(tmp_path, *FIT, run, "--model.init_args.poison_at", "7")
    assert done.code == 2
    assert "step 7" in done.err and "clip 0 of step 7, clip 1 of step 7" in done.err
    last = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["global_step"] == 5 and all(t.isfinite().all() for t in last["state_dict"].values())


class Bomb:
    def __reduce__(self):
        return (os.system, ("touch /tmp/avsim-bomb-went-off",))


@pytest.mark.parametrize("how", ["pickle", "torch", "text", "other"])
def test_checkpoints_that_cannot_be_used_are_refused(whole, tmp_path, how):
    run = tmp_path / "run"
    path = run / "checkpoints" / "last.ckpt"
    path.parent.mkdir(parents=True)
    if how == "pickle":
        path.write_bytes(pickle.dumps(Bomb()))
    elif how == "torch":
        torch.save({"state_dict": Bomb()}, path)
    elif how == "text":
        path.write_text("not a checkpoint")
    else:
        path.write_bytes((whole / "checkpoints" / "last.ckpt").read_bytes())
    before = sorted(run.rglob("*"))
    rest = ["--model.init_args.width", "9"] if how == "other" else []
    done = avsim(tmp_path, *FIT, run, *rest)
    assert done.code == 2 and len(done.err.splitlines()) == 1, done
    expected = {"other": "another architecture", "text": "checkpoint"}.get(how, "could run code")
    assert expected in done.err
    assert not Path("/tmp/avsim-bomb-went-off").exists()
    assert sorted(run.rglob("*")) == before


@pytest.mark.slow
def test_two_processes_draw_the_curve_of_one(tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    curves = []
    for count in (1, 2):
        run = tmp_path / f"run{count}"
        rest = [
            "--model.init_args.dropout",
            "0",
            "--trainer.accelerator",
            "cpu",
            "--trainer.precision",
            "32-true",
        ]
        if count == 2:
            rest += ["--trainer.strategy", "ddp", "--trainer.devices", "2"]
        command = [sys.executable, "-m", "avsim", *FIT, str(run), *rest]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=280)
        assert done.returncode == 0, done.stderr
        curves.append(curve(run))
    for one, two in zip(*curves, strict=True):
        assert one["step"] == two["step"]
        for name in ("train/loss", "val/loss", "gradient_norm"):
            assert bool(one[name]) == bool(two[name])
            if one[name]:
                assert float(one[name]) == pytest.approx(float(two[name]), rel=1e-5)


def test_a_run_whose_export_was_cut_off_exports_at_the_next_start(whole, tmp_path):
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    shutil.rmtree(run / "simulator")
    done = avsim(tmp_path, *FIT, run)
    assert done.code == 0, done
    assert all(torch.equal(weights(run)[name], tensor) for name, tensor in weights(whole).items())
    assert json.loads((run / "simulator" / "line" / "config.json").read_text())["notes"]["step"] == 12


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_run_saves_a_checkpoint_first(whole, tmp_path, signum, code):
    run = tmp_path / "run"
    rest = ["--model.init_args.seconds", "0.3", "--checkpoint-every", "100"]
    slow = Running(tmp_path, *FIT, run, *rest)
    metrics = run / "csv" / "metrics.csv"
    slow.wait_for(lambda: metrics.is_file() and any(int(row["step"]) >= 2 for row in curve(run)))
    slow.send(signum)
    done = slow.done()
    assert done.code == code and len(done.err.splitlines()) == 1, done
    step = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]
    assert 3 <= step < 12 and f"{run}: saved at step {step}; run the same command to continue" in done.out
    done = avsim(tmp_path, *FIT, run, "--allow-changes", "true")
    assert done.code == 0 and f"going on from step {step}" in done.out, done
    assert curve(run) == curve(whole)
    assert all(torch.equal(weights(run)[name], tensor) for name, tensor in weights(whole).items())


@pytest.mark.parametrize("how", ["empty", "flipped", "missing", "loops"])
def test_the_newest_good_checkpoint_is_used(whole, tmp_path, how):
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    last = run / "checkpoints" / "last.ckpt"
    good = last.read_bytes()
    last.unlink()
    if how == "empty":
        last.write_bytes(b"")
    elif how == "flipped":
        place = len(good) // 2
        last.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
    elif how == "loops":
        found = torch.load(next(last.parent.glob("step=*.ckpt")), weights_only=True)
        torch.save({name: value for name, value in found.items() if name != "loops"}, last)
    done = avsim(tmp_path, *FIT, run, "--trainer.max_steps", "13")
    assert done.code == 0 and "going on from step 12" in done.out and not done.err, done
    assert ("trying an older one" in done.out) == (how != "missing")


@pytest.mark.parametrize("how", ["garbage", "classes"])
def test_a_given_checkpoint_of_garbage_or_with_classes_is_refused(whole, tmp_path, how):
    path = tmp_path / "given.ckpt"
    if how == "garbage":
        path.write_bytes(b"garbage" * 100)
    else:
        found = torch.load(whole / "checkpoints" / "last.ckpt", weights_only=True)
        torch.save({**found, "hyper_parameters": {"_class_path": "this.Thing"}}, path)
    done = avsim(tmp_path, *FIT, tmp_path / "run", "--ckpt_path", path)
    assert done.code == 2 and len(done.err.splitlines()) == 1, done
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["environment.json", "csv/metrics.csv"])
def test_garbage_in_a_run_is_refused_in_one_line(whole, tmp_path, name):
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    (run / name).write_bytes(b"\xff garbage\n1\n2\n")
    done = avsim(tmp_path, *FIT, run, "--trainer.max_steps", "13")
    assert done.code == 2 and len(done.err.splitlines()) == 1 and name in done.err, done


def test_the_interval_of_validations_counts_steps_and_rates_are_logged(tmp_path):
    run = tmp_path / "run"
    done = avsim(tmp_path, *FIT, run, "--trainer.accumulate_grad_batches", "2")
    assert done.code == 0, done
    rows = curve(run)
    assert [int(row["step"]) for row in rows if row["val/loss"]] == [3, 7, 11]
    assert all(float(row["learning_rate"]) > 0 for row in rows if row["train/loss"])


@pytest.mark.parametrize(
    "arguments",
    [
        ["--trainer.max_steps", "-1"],
        ["--trainer.accelerator", "abacus"],
        ["--trainer.devices", "1000"],
    ],
)
def test_a_trainer_that_cannot_be_made_is_refused_in_one_line(tmp_path, arguments):
    done = avsim(tmp_path, *FIT, tmp_path / "run", *arguments)
    assert done.code == 2 and len(done.err.splitlines()) == 1, done


def test_a_config_that_is_not_there_is_looked_for_in_the_checkout(tmp_path):
    done = avsim(tmp_path, "fit", "-c", "configs/base.yaml", "--run", tmp_path / "run", cwd=tmp_path)
    assert done.code == 2 and len(done.err.splitlines()) == 1, done
    assert f"no such config; avsim has {Path(__file__).parents[2] / 'configs/base.yaml'}" in done.err


def test_folder_is_run_and_a_bar_can_be_switched_off(tmp_path):
    bar = tmp_path / "bar.yaml"
    bar.write_text("trainer:\n  callbacks+:\n    - class_path: avsim.training.callbacks.StepProgressBar\n")
    run = tmp_path / "run"
    done = avsim(tmp_path, *FIT[:-1], "-c", bar, "--folder", run, "--trainer.max_steps", "2")
    assert done.code == 0 and (run / "config.yaml").is_file(), done


def test_another_config_is_refused_unless_it_is_harmless_or_allowed(whole, tmp_path):
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    seed = ["--seed", "5", "--trainer.max_steps", "13"]
    done = avsim(tmp_path, *FIT, run, *seed)
    assert done.code == 2 and len(done.err.splitlines()) == 1 and "seed 5 (was None)" in done.err, done
    assert (run / "config.yaml").read_text() == (whole / "config.yaml").read_text()
    done = avsim(tmp_path, *FIT, run, "--trainer.max_steps", "13")
    assert done.code == 0 and "trainer.max_steps 13 (was 12)" in done.out, done
    assert (run / "config.before.yaml").read_text() == (whole / "config.yaml").read_text()
    assert "max_steps" not in avsim(tmp_path, *FIT, run, *seed).err  # what is harmless doesn't stop it
    done = avsim(tmp_path, *FIT, run, *seed, "--allow-changes", "true")
    assert done.code == 0 and (run / "config.before-2.yaml").is_file(), done
    assert "allow_changes" not in done.out, done
