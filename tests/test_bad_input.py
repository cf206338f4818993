"""What a user may get wrong: exit code 2, one line that names it, nothing half-written."""

import os
import pickle
import shutil
import signal
import struct
import wave
from pathlib import Path

import pytest
import torch

from avsim import media
from avsim.__main__ import main
from avsim.clip import Clip
from tests.running import Running, avsim
from tests.small.models import export
from tests.training.test_resume import FIT, Bomb


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return export(tmp_path_factory.mktemp("bad") / "run")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    """Files that are not what they seem."""
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("not a video\n" * 50)
    random = torch.Generator().manual_seed(0)
    film = Clip.fitted(
        torch.rand(3, 24, 64, 64, generator=random), 0.1 * torch.randn(1, 24000, generator=random)
    )
    media.write(film, folder / "film.mp4")
    media.write(film.without_audio(), folder / "silent.mp4")
    media.write(film.without_video(), folder / "sound.wav")
    (folder / "cut.mp4").write_bytes((folder / "film.mp4").read_bytes()[:-2000])
    (folder / "head.mp4").write_bytes((folder / "film.mp4").read_bytes()[:300])
    media.write(Clip(film.frames[:, :1, :1, :1], None), folder / "pixel.png")
    samples = struct.pack("<4f", 0.0, 0.5, float("nan"), 0.1) * 4000
    head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(samples), b"WAVE", b"fmt ", 16, 3, 1, 16000,
                       64000, 4, 32, b"data", len(samples))  # fmt: skip
    (folder / "nan.wav").write_bytes(head + samples)
    with wave.open(str(folder / "rate.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(b"\0\0" * 100)
    data = bytearray((folder / "rate.wav").read_bytes())
    data[24:28] = struct.pack("<I", 0)  # its sample rate
    (folder / "rate.wav").write_bytes(data)
    with wave.open(str(folder / "none.wav"), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
    return folder


def refused(capsys, *arguments: str | Path) -> str:
    """The one line on stderr of a command that ends with exit code 2."""
    capsys.readouterr()
    code = main([str(argument) for argument in arguments])
    err = capsys.readouterr().err
    assert code == 2, err
    assert len(err.splitlines()) == 1 and err.startswith("avsim"), err
    return err


@pytest.mark.parametrize("option", ["--video", "--audio", "--image"])
@pytest.mark.parametrize("file", ["missing.mp4", "empty.mp4", "text.mp4", "head.mp4"])
def test_films_that_are_none(option, file, run, inputs, tmp_path, capsys):
    line = refused(
        capsys, "generate", "--checkpoint", run, option, inputs / file, "--out", tmp_path / "out.mp4"
    )
    assert str(inputs / file) in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("option", "file", "says"),
    [
        ("--video", "sound.wav", "no video"),
        ("--audio", "silent.mp4", "no audio"),
        ("--image", "sound.wav", "no video"),
        ("--audio", "nan.wav", "not finite"),
        ("--audio", "rate.wav", "rate.wav"),
        ("--audio", "none.wav", "none.wav"),
        ("--video", "cut.mp4", "cut.mp4"),
    ],
)
def test_films_that_lack_what_is_needed(option, file, says, run, inputs, tmp_path, capsys):
    line = refused(
        capsys, "generate", "--checkpoint", run, option, inputs / file, "--out", tmp_path / "out.mp4"
    )
    assert says in line
    assert not list(tmp_path.iterdir())


def test_one_frame_and_one_pixel_are_few_but_enough(run, inputs, tmp_path):
    out = tmp_path / "out.mkv"
    arguments = [
        "generate",
        "--checkpoint",
        run,
        "--steps",
        "1",
        "--video",
        inputs / "pixel.png",
        "--out",
        out,
    ]
    assert main([str(argument) for argument in arguments]) == 0
    assert media.probe(out).size == (1, 1) and media.probe(out).has_wave


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-n", "0"], "-n 0"),
        (["-n", "2"], "folder"),
        (["--steps", "0"], "steps is 0"),
        (["--steps", "many"], "many"),
        (["--size", "64"], "WxH"),
        (["--size", "0x64"], "WxH"),
        (["--seconds", "0"], "seconds"),
        (["--seconds", "nan"], "seconds"),
        (["--guidance-scale", "a"], "guidance-scale"),
        (["--modality-start", "2"], "modality_start is 2"),
        (["--sync-scale", "-1"], "sync_scale is -1"),
        (["--audio-text-scale=-2"], "audio_text_scale is -2"),
        (["--guidance-scale", "nan"], "guidance_scale is nan"),
        (["--guidance-scale=-1"], "guidance_scale is -1"),
        (["--video", "a", "--audio", "b"], "not allowed with"),
    ],
)
def test_arguments_out_of_range(arguments, says, run, tmp_path, capsys):
    line = refused(capsys, "generate", "--checkpoint", run, "--out", tmp_path / "out.mp4", *arguments)
    assert says in line
    assert not list(tmp_path.iterdir())


def test_outputs_that_cannot_be(run, tmp_path, capsys):
    (tmp_path / "file").touch()
    for out, says in (
        (tmp_path / "out.xyz", "unknown suffix"),
        (tmp_path / "file" / "out.mp4", "cannot write"),
        (Path("/proc/avsim/out.mp4"), "cannot write"),
    ):
        few = ["--steps", "1", "--seconds", "0.25"]
        assert says in refused(capsys, "generate", "--checkpoint", run, *few, "--out", out)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("fault", ["swapped", "pickled", "torn", "json", "class", "arguments", "file"])
def test_checkpoints_that_are_none(fault, run, tmp_path, capsys):
    bad = Path(shutil.copytree(run, tmp_path / "run"))
    part = bad / "simulator" / "generator"
    if fault == "swapped":
        shutil.copy(bad / "simulator" / "audio_codec" / "model.safetensors", part)
    elif fault == "pickled":
        (part / "model.safetensors").write_bytes(pickle.dumps(Bomb()))
    elif fault == "torn":
        (part / "model.safetensors").write_bytes((part / "model.safetensors").read_bytes()[:1000])
    elif fault == "json":
        (part / "config.json").write_text("{")
    elif fault == "class":
        (part / "config.json").write_text('{"class_path": "os.system", "init_args": {"command": "true"}}')
    elif fault == "arguments":
        text = (part / "config.json").read_text()
        (part / "config.json").write_text(text.replace('"heads": 2', '"heads": 3'))
    else:
        bad = part / "model.safetensors"
    out = tmp_path / "out.mp4"
    line = refused(capsys, "generate", "--checkpoint", bad, "--out", out)
    assert str(bad) in line or "heads" in line or "os.system" in line
    assert not out.exists() and not Path("/tmp/avsim-bomb-went-off").exists()


def test_a_full_disk_leaves_nothing(run, tmp_path):
    out = tmp_path / "out"
    arguments = ["--checkpoint", run, "--steps", "1", "--seconds", "1", "--out", out / "a.mp4"]
    done = avsim(tmp_path / "output", "generate", *arguments, disk=4096)
    assert done.code == 2 and len(done.err.splitlines()) == 1, done
    assert str(out / "a.mp4") in done.err
    assert not list(out.iterdir())


def test_a_disk_that_fills_while_training_keeps_the_last_checkpoint(tmp_path):
    run = tmp_path / "run"
    rest = ["--model.init_args.width", "4000", "--trainer.limit_val_batches", "0"]
    done = avsim(tmp_path / "output", *FIT, run, *rest, disk=200_000)
    assert done.code == 2 and len(done.err.splitlines()) == 1, done
    assert "checkpoint" in done.err
    assert not [path for path in (run / "checkpoints").glob("*") if path.suffix == ".ckpt"]


def test_two_runs_at_the_same_output(run, tmp_path):
    out = tmp_path / "many"
    arguments = ["generate", "--checkpoint", run, "--steps", "1", "-n", "1000", "--out", out]
    first = Running(tmp_path / "output", *arguments)
    first.wait_for(lambda: (out / "0000.mp4").is_file())
    second = avsim(tmp_path / "output", *arguments)
    first.send(signal.SIGINT)
    assert second.code == 2 and "another running avsim" in second.err and len(second.err.splitlines()) == 1
    assert first.done().code == 130


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--data.spec.sample_rate=0"], "sample_rate"),
        (["--data.batch_size=0"], "batch_size"),
    ],
)
def test_configs_that_ask_for_what_cannot_be(arguments, says, tmp_path):
    chosen = ["-c", "configs/base.yaml", "-c", "configs/perception/audio_detector.yaml"]
    done = avsim(tmp_path / "output", "fit", *chosen, "--run", tmp_path / "run", *arguments)
    assert done.code == 2 and len(done.err.splitlines()) == 1, done
    assert not (tmp_path / "run").exists()
    assert f"{says} is 0" in done.err


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("verb", ["prepare", "demo"])
def test_other_verbs_stop_cleanly_too(verb, signum, inputs, tmp_path):
    out = tmp_path / "out"
    films = [inputs / "film.mp4"] * 1 if verb == "prepare" else []
    running = Running(tmp_path / "output", verb, *films, "--out", out)
    running.wait_for(out.exists)
    running.send(signum)
    done = running.done()
    if done.code == 0:
        return  # it was quicker than the signal
    assert done.code == 128 + signum
    assert done.err.splitlines()[-1] == f"avsim {verb}: stopped by {signum.name}"
    assert "Traceback" not in done.err
    assert os.path.isdir(out)
