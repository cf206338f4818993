"""`avsim separate`: stems that add up, the film's own picture under each, and no half-written folder."""

import json

import cv2
import numpy as np
import pytest
import torch

from avsim import media
from avsim.__main__ import main
from avsim.clip import Clip, Region
from avsim.errors import InputError
from avsim.separation import Separator, separate
from avsim.separation import stems as stems_module
from avsim.separation.film import picture_of_film, separate_film, sound_of_film
from avsim.weights import load_model, save_model
from tests.separation.mixtures import mixture


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A run with an untrained separator, and films."""
    folder = tmp_path_factory.mktemp("separate")
    torch.manual_seed(0)
    small = Separator(picture=16, width=8, fine=8, coarse=16, frame_blocks=1, bin_widths=[4, 8, 8])
    save_model(small, folder / "run" / "simulator" / "separator")
    frames, stems, _ = mixture(0)
    clip = Clip(frames.clamp(0, 1), stems.sum(0), 16.0, 8000)
    for suffix in ("mp4", "mkv", "webm", "wav"):
        clip.write(folder / f"film.{suffix}")
    clip.silent().write(folder / "silent.mp4")
    mask = np.zeros((64, 64), np.uint8)
    mask[:, 40:] = 255
    cv2.imwrite(str(folder / "right.png"), mask)
    cv2.imwrite(str(folder / "wide.png"), mask[:32])
    return folder


def run(place, film, *arguments, out="out"):
    return main(
        [
            "separate",
            str(place / film),
            "--checkpoint",
            str(place / "run"),
            "--out",
            str(place / out),
            *arguments,
        ]
    )


@pytest.mark.parametrize("film", ["film.mp4", "film.mkv", "film.webm"])
def test_every_kind_of_region(place, film, capsys):
    mask = str(place / "right.png")
    arguments = ["--box", "0,0,16,32", "--box", "8,8,20,20", "--mask", mask, "--point", "3,4", "--auto", "2"]
    assert run(place, film, *arguments, out=film + ".out") == 0
    out = place / (film + ".out")
    about = json.loads((out / "stems.json").read_text())
    names = [stem["name"] for stem in about["stems"]]
    assert names[:4] == ["box 0,0,16,32", "box 8,8,20,20", "right", "point 3,4"]
    assert names[-1] == "off screen" and 6 <= len(names) <= 7
    assert about["clip"] == str(place / film) and about["checkpoint"].endswith("run/simulator/separator")
    written = {path.name for path in out.iterdir()}
    listed = {stem[kind] for stem in about["stems"] for kind in ("wav", "mp4") if kind in stem}
    assert written == listed | {"stems.json"}
    waves = torch.stack([Clip.read(out / stem["wav"]).wave for stem in about["stems"]])
    original, rate = sound_of_film(place / film)
    assert (waves.sum(0) - original).abs().max() <= 1e-6 and about["sample_rate"] == rate
    for stem, wave in zip(about["stems"], waves, strict=True):
        assert stem["energy"] == pytest.approx(float(wave.double().square().sum()), rel=1e-6)
    shown, film_shown = Clip.read(out / about["stems"][0]["mp4"]), Clip.read(place / film)
    assert shown.wave is not None and shown.frames.shape == film_shown.frames.shape
    if film == "film.mp4":
        assert torch.equal(shown.frames, film_shown.frames)  # its packets
    assert capsys.readouterr().out.count("\n") == len(names)


def test_the_folder_holds_what_separate_returns(place):
    model = load_model(place / "run" / "simulator" / "separator")
    region = Region.box(0, 0, 16, 32, (32, 32))
    separate_film(model, place / "film.mp4", [region], place / "api")
    film = Clip.read(place / "film.mp4")
    expected = separate(model, film, [region]).wave
    found = torch.stack([Clip.read(path).wave for path in sorted((place / "api").glob("*.wav"))])
    assert (found - expected).abs().max() < 5e-3  # frames are scaled by FFmpeg here, by torch there


def test_a_film_is_read_span_by_span(place, monkeypatch):
    model = load_model(place / "run" / "simulator" / "separator")
    frames, stems, _ = mixture(1)
    Clip(frames.clamp(0, 1).repeat(1, 6, 1, 1), stems.sum(0).repeat(1, 6), 16.0, 8000).write(
        place / "long.mp4"
    )
    spans = []
    read = media.read

    def noted(path, start=0.0, seconds=None, *rest, **options):
        if options.get("want") == "frames":
            spans.append(seconds)
        return read(path, start, seconds, *rest, **options)

    monkeypatch.setattr(media, "read", noted)
    monkeypatch.setattr(stems_module, "WINDOW", 2.0)
    monkeypatch.setattr(stems_module, "OVERLAP", 1.0)
    about = separate_film(model, place / "long.mp4", [Region.box(0, 0, 9, 9, (32, 32))], place / "spans")
    assert len(spans) == 5 and max(spans) <= 2.2
    waves = torch.stack([Clip.read(place / "spans" / stem["wav"]).wave for stem in about["stems"]])
    assert (waves.sum(0) - sound_of_film(place / "long.mp4")[0]).abs().max() <= 1e-6


def test_writing_again_replaces_stems_and_nothing_else(place):
    assert run(place, "film.mp4", "--box", "0,0,9,9", "--box", "9,9,9,9", out="twice") == 0
    assert run(place, "film.mp4", "--box", "0,0,9,9", out="twice") == 0
    assert len(list((place / "twice").glob("*.wav"))) == 2
    (place / "mine").mkdir()
    (place / "mine" / "thesis.txt").write_text("all of it")
    assert run(place, "film.mp4", "--box", "0,0,9,9", out="mine") == 2
    assert [path.name for path in (place / "mine").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("film", "arguments", "message"),
    [
        ("film.mp4", ["--box", "0,0,99,9"], "box 0,0,99,9: must lie inside the picture"),
        ("film.mp4", ["--box", "1,2,3"], "expected 4 numbers"),
        ("film.mp4", ["--box", "0,0,nan,1"], "expected 4 numbers"),
        ("film.mp4", ["--box", "0,0,0,5"], "must lie inside"),
        ("film.mp4", ["--point", "40,1"], "point 40,1: must lie inside"),
        ("film.mp4", ["--point", "a,b"], "expected 2 numbers"),
        ("film.mp4", ["--mask", "nowhere.png"], "nowhere.png: no such mask"),
        ("film.mp4", ["--mask", "WIDE"], "aspects must agree"),
        ("film.mp4", ["--auto", "none"], "expected a whole number"),
        ("film.mp4", [], "no region is given"),
        ("silent.mp4", ["--auto"], "has no sound"),
        ("film.wav", ["--auto"], "has no picture"),
        ("nothing.mp4", ["--auto"], "nothing.mp4"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(place, film, arguments, message, capsys):
    before = sorted(place.iterdir())
    arguments = [str(place / "wide.png") if argument == "WIDE" else argument for argument in arguments]
    assert run(place, film, *arguments, out="bad") == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1
    assert sorted(place.iterdir()) == before


def test_checkpoints_that_cannot_be_used(place, tmp_path, capsys):
    film, out = str(place / "film.mp4"), str(tmp_path / "out")
    assert main(["separate", film, "--box", "0,0,9,9", "--out", out]) == 2
    assert "--checkpoint RUN is missing" in capsys.readouterr().err
    assert main(["separate", film, "--box", "0,0,9,9", "--out", out, "--checkpoint", str(tmp_path)]) == 2
    assert "no separator" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_full_disk_leaves_nothing(place, monkeypatch):
    def full(*_arguments, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(media, "write", full)
    model = load_model(place / "run" / "simulator" / "separator")
    before = sorted(place.iterdir())
    with pytest.raises(InputError, match="No space left"):
        separate_film(model, place / "film.mp4", [Region.box(0, 0, 9, 9, (32, 32))], place / "full")
    assert sorted(place.iterdir()) == before
    assert picture_of_film(place / "film.mp4", model).size == (32, 32)
