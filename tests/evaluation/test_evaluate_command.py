"""`avsim evaluate`: the report, and what users get wrong."""

import json
import shutil

import pytest
import torch

from avsim.__main__ import main
from avsim.errors import InputError
from avsim.evaluation.clips import Clips, read
from avsim.weights import SMALL
from tests.films import flash_and_click


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    for k in range(3):
        flash_and_click(16, 16000, 24, at=0.25 * (k + 1)).write(folder / f"{k}.mp4")
    return folder


@pytest.fixture(autouse=True)
def nothing_ships(request, tmp_path, monkeypatch):
    """Judges as they are without trained detectors, but for the test of those that ship."""
    if "ships" not in request.node.name:
        monkeypatch.setattr("avsim.weights.SMALL", tmp_path / "nothing")


def evaluated(capsys, *arguments) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(["evaluate", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_report_of_clips_against_a_reference(films, tmp_path, capsys):
    given = (films, "--reference", films, "--training", films, "--out", tmp_path / "report")
    code, out, err = evaluated(capsys, *given)
    assert code == 0, err
    metrics = json.loads((tmp_path / "report" / "metrics.json").read_text())
    assert metrics["clips"] == {"read": 3, "unreadable": {}}
    assert metrics["metrics"]["synchrony of events"]["warning"].startswith("doesn't apply")
    assert "fidelity of log-mel statistics" in metrics["metrics"]
    copies = metrics["metrics"]["memorization by log-mel statistics"]["numbers"]
    assert copies["distance to the nearest training clip"]["value"] == 0
    page = (tmp_path / "report" / "index.html").read_text()
    assert page.count('<article class="card"') == 3 and "no detector for it" in page and '="http' not in page
    assert "3 clips: 48 pixels high, 16 fps" in out and "doesn't apply" in out


def test_what_ships_looks_and_listens(films, tmp_path, capsys):
    code, out, err = evaluated(capsys, films, "--out", tmp_path / "report")
    assert code == 0, err
    scorers = json.loads((tmp_path / "report" / "metrics.json").read_text())["metrics"]
    for name in ("synchrony of events", "physics", "integrity of things"):
        assert "no detector" not in str(scorers[name]["warning"])


def test_a_run_that_trained_a_detector_is_as_good_as_its_folder(films, tmp_path, capsys):
    shutil.copytree(SMALL / "video_detector", tmp_path / "run" / "simulator" / "video_detector")
    told = []
    for name, folder in (
        ("run", tmp_path / "run"),
        ("folder", tmp_path / "run" / "simulator" / "video_detector"),
    ):
        code, _, err = evaluated(capsys, films, "--video-detector", folder, "--out", tmp_path / name)
        assert code == 0, err
        told.append(json.loads((tmp_path / name / "metrics.json").read_text())["metrics"])
    assert str(told[0]) == str(told[1])
    assert "no detector" not in str(told[0]["integrity of things"]["warning"])
    code, _, err = evaluated(capsys, films, "--video-detector", films, "--out", tmp_path / "none")
    assert code == 2 and "no trained video_detector here" in err


def test_bad_clips_are_counted_and_stop_nothing(films, tmp_path, capsys):
    folder = tmp_path / "mixed"
    shutil.copytree(films, folder)
    (folder / "text.mp4").write_text("not a video")
    flash_and_click(8, 44100, 8, at=0.5, channels=1).write(folder / "other.mp4")
    flash_and_click(16, 16000, 24).without_audio().write(folder / "silent.mp4")
    code, out, err = evaluated(capsys, folder, "--out", tmp_path / "report")
    assert code == 0, err
    metrics = json.loads((tmp_path / "report" / "metrics.json").read_text())
    assert metrics["clips"]["read"] == 5 and len(metrics["clips"]["unreadable"]) == 1
    assert "Left out, as it can't be read" in out and "8 to 16 fps" in out
    skipped = metrics["metrics"]["space"]["numbers"]
    assert any("has no audio" in number["skipped"] for number in skipped.values())


def test_a_reference_of_another_size_is_told(films, tmp_path, capsys):
    clip = flash_and_click(16, 16000, 24)
    small = type(clip)(clip.frames[..., ::2, ::2], clip.wave, 16, 16000).write(tmp_path / "small.mp4")
    code, out, _ = evaluated(capsys, films, "--reference", small, "--out", tmp_path / "report")
    assert code == 0 and "The reference is of another size" in out


@pytest.mark.parametrize(
    "kind", ["empty folder", "missing", "unreadable", "prompts", "model", "training", "embedding"]
)
def test_refused_in_one_line(kind, films, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.mp4").write_text("not a video")
    (tmp_path / "prompts.txt").write_text("a bell\n")
    arguments, expected = {
        "empty folder": ([tmp_path / "empty"], "no videos in"),
        "missing": ([tmp_path / "nowhere"], "no such file"),
        "unreadable": ([tmp_path / "text.mp4"], "none of the 1 clips can be read"),
        "prompts": ([films, "--prompts", tmp_path / "prompts.txt"], "has 1 lines and there are 3 clips"),
        "model": ([films, "--audio-detector", tmp_path], "no trained audio_detector here"),
        "training": ([films, "--training", films], "--training needs --reference"),
        "embedding": ([films, "--embedding", "clap"], "expected NAME=WHAT"),
    }[kind]
    code, _, err = evaluated(capsys, *arguments, "--out", tmp_path / "report")
    assert code == 2 and expected in err and len(err.splitlines()) == 1
    assert not (tmp_path / "report").exists()


def test_prompts_by_name_by_line_and_from_samples(films, tmp_path):
    lines, named = tmp_path / "lines.txt", tmp_path / "named.json"
    lines.write_text("a\nb\n\nc\n")
    named.write_text('{"1.mp4": "a bell"}')
    assert list(Clips.of([films], lines).captions.values()) == ["a", "b", "c"]
    assert Clips.of([films], named).captions == {films / "1.mp4": "a bell"}
    folder = tmp_path / "drawn"
    shutil.copytree(films, folder)
    (folder / "samples.json").write_text('[{"file": "2.mp4", "prompt": "a drum", "seed": 0}]')
    assert Clips.of([folder]).captions == {folder / "2.mp4": "a drum"}
    assert Clips.of([folder]).paths == [folder / "2.mp4"]
    for text in ("{}", "[]", "not json", '[{"prompt": "a"}]'):
        (folder / "samples.json").write_text(text)
        with pytest.raises(InputError):
            Clips.of([folder])
    for text, shown in (('["a bell"]', "holds"), ('{"1.mp4": 3}', "holds"), ("not json", "read as json")):
        named.write_text(text)
        with pytest.raises(InputError, match=shown):
            Clips.of([films], named)
    lines.write_text("a\nb\n")
    with pytest.raises(InputError, match="has 2 lines and there are 3 clips"):
        Clips.of([films], lines)
    named.write_text('{"9.mp4": "a bell"}')
    with pytest.raises(InputError, match="of 3 clips it fits none"):
        Clips.of([films], named)
    shutil.copytree(films, tmp_path / "others")
    named.write_text('{"others/1.mp4": "a bell"}')
    assert Clips.of([films, tmp_path / "others"], named).captions == {tmp_path / "others" / "1.mp4": "a bell"}
    named.write_text('{"1.mp4": "a bell"}')
    with pytest.raises(InputError, match="of 6 clips it fits 2: say its folder too"):
        Clips.of([films, tmp_path / "others"], named)


def test_large_and_long_films_are_cut_down(tmp_path):
    clip = flash_and_click(16, 16000, 32)
    frames = torch.nn.functional.interpolate(clip.frames, scale_factor=8)
    path = type(clip)(frames, clip.wave, 16, 16000).write(tmp_path / "large.mp4")
    found = read(path, seconds=1.0)
    assert found.frames.shape == (3, 16, 256, 341) and found.wave.shape[1] == 16000
