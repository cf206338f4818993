"""`avsim generate --narrate` with every task: the scene is the one without it, with speech at -23 LUFS."""

import pytest
import torch

from avsim import Clip, media
from avsim.__main__ import main
from avsim.speech import loudness, narrate, speak
from tests.films import film, greys, tone
from tests.running import Running, avsim
from tests.small.models import export

TEXT = "Hello."
FLAGS = ["--narrate", TEXT, "--voice", "Annie"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return export(tmp_path_factory.mktemp("narrated") / "run")


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    folder = tmp_path_factory.mktemp("given")
    frames, times = greys(16), [k / 8 for k in range(16)]
    return film(folder / "given.mp4", frames, times, tone(2, 16000, 2), 16000, layout="stereo", nominal=8)


def generate(run, *arguments):
    assert main(["generate", "--checkpoint", str(run), "--steps", "1", *map(str, arguments)]) == 0


@pytest.mark.parametrize(
    "task",
    [
        ["--prompt", "a ball"],
        ["--video", "GIVEN"],
        ["--audio", "GIVEN", "--num-candidates", "1"],
        ["--edit", "GIVEN", "--prompt", "a ball", "--keep", "video"],
        ["--edit", "GIVEN", "--prompt", "a ball", "--keep", "audio"],
        ["--extend", "GIVEN", "--seconds", "0.5"],
        ["--retake", "GIVEN", "--start-time", "0.5", "--end-time", "1", "--prompt", "a bell"],
        ["--connect", "GIVEN", "GIVEN", "--seconds", "0.5"],
        ["--loop", "--prompt", "a ball", "--seconds", "1"],
        ["--prompt", "a ball", "--seconds", "3"],
    ],
    ids=lambda task: " ".join(task[::2]),
)
def test_every_task(task, run, given, tmp_path):
    task = [given if each == "GIVEN" else each for each in task]
    generate(run, *task, "--out", tmp_path / "plain.mkv")
    generate(run, *task, *FLAGS, "--out", tmp_path / "narrated.mkv")
    plain, found = Clip.read(tmp_path / "plain.mkv"), Clip.read(tmp_path / "narrated.mkv")
    assert torch.equal(found.frames, plain.frames)
    expected = narrate(plain, speak(TEXT, "Annie"))
    assert loudness(found.wave, found.sample_rate).integrated == pytest.approx(-23, abs=0.3)
    assert (found.wave - expected.wave).abs().max() < 0.01


def test_a_scene_is_as_long_as_its_speech_where_the_model_allows(run, tmp_path):
    text = "A red ball falls."
    generate(run, "--prompt", "a ball", "--narrate", text, "--out", tmp_path / "scene.mp4")
    seconds = speak(text).seconds
    assert 1.2 < seconds < 1.5  # its clips last 1 s; it generates up to 1.5 s at once
    assert media.probe(tmp_path / "scene.mp4").seconds == pytest.approx(seconds, abs=1 / 8)
    generate(run, "--prompt", "a ball", "--narrate", text, "--seconds", "2", "--out", tmp_path / "two.mp4")
    assert media.probe(tmp_path / "two.mp4").seconds == pytest.approx(2)


def test_audio_alone(run, tmp_path):
    generate(run, "--only", "audio", "--prompt", "a bell", *FLAGS, "--out", tmp_path / "scene.mp3")
    found = media.read(tmp_path / "scene.mp3", want="wave")
    assert loudness(found.wave, found.sample_rate).integrated == pytest.approx(-23, abs=1)


def test_a_folder_goes_on_and_keeps_its_settings(run, tmp_path, capsys):
    folder = f"{tmp_path / 'clips'}/"
    generate(run, "--prompt", "a ball", *FLAGS, "-n", "2", "--out", folder)
    second = (tmp_path / "clips" / "0001.mp4").read_bytes()
    (tmp_path / "clips" / "0001.mp4").unlink()
    generate(run, "--prompt", "a ball", *FLAGS, "-n", "2", "--out", folder)
    assert (tmp_path / "clips" / "0001.mp4").read_bytes() == second
    assert not [path for path in (tmp_path / "clips").iterdir() if path.suffix == ".partial"]
    line = ["generate", "--checkpoint", str(run), "--steps", "1", "--prompt", "a ball", "--out", folder]
    assert main([*line, "--narrate", "Bye.", "--voice", "Annie"]) == 2
    assert "narrate" in capsys.readouterr().err


def test_a_killed_run_leaves_no_scene_without_its_narration(run, tmp_path):
    out = tmp_path / "clips"
    line = ["generate", "--checkpoint", run, "--steps", "1", "--prompt", "a ball", *FLAGS, "-n", "12"]
    running = Running(tmp_path, *line, "--out", f"{out}/")
    running.wait_for(lambda: (out / "0001.mp4").exists())
    running.send()
    running.process.join(20)
    found = sorted(out.glob("*.mp4"))
    assert 2 <= len(found) < 12
    for path in found:
        wave = media.read(path, want="wave")
        assert loudness(wave.wave, int(wave.sample_rate)).integrated == pytest.approx(-23, abs=0.5)
    assert avsim(tmp_path, *line, "--out", f"{out}/").code == 0
    assert len(list(out.glob("*.mp4"))) == 12 and not list(out.glob(".*.partial"))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (["--voice", "Annie"], "--narrate TEXT is missing"),
        (["--language", "de"], "--narrate TEXT is missing"),
        (["--speech-mix", "under"], "--narrate TEXT is missing"),
        (["--narrate", ""], "no words to speak"),
        (["--narrate", "hi", "--voice", "nobody"], "there are 104: "),
        (["--narrate", "hi", "--language", "xx"], "no language 'xx'"),
        (["--narrate", "hi", "--speech-engine", "os:system"], "--allow-module os"),
        (["--narrate", "hi", "--only", "image"], "has no audio"),
        (["--narrate", "hi", "--out", "out.gif"], "holds no audio"),
    ],
)
def test_wrong_options(wrong, words, run, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = ["generate", "--checkpoint", str(run), "--prompt", "a ball", "--out", "out.mp4", *wrong]
    assert main(line) == 2
    err = capsys.readouterr().err
    assert words in err and len(err.splitlines()) == 1
    assert not list(tmp_path.iterdir())
