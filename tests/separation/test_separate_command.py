"""`avsim separate`: stems that add up, the video's own video under each, and no half-written folder."""

import json
import shutil

import cv2
import numpy as np
import pytest
import torch

from avsim import media
from avsim.__main__ import main
from avsim.clip import Clip, Region
from avsim.errors import InputError
from avsim.perception import VideoDetector
from avsim.separation import Separator, separate
from avsim.separation import stems as stems_module
from avsim.separation.video_file import audio_of_video, frames_of_video, separate_video
from avsim.weights import SMALL, load_model, save_model
from avsim.world import WorldDataset
from tests.separation.mixtures import mixture


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A run with an untrained separator, and videos."""
    folder = tmp_path_factory.mktemp("separate")
    torch.manual_seed(0)
    small = Separator(short_side=16, width=8, fine=8, coarse=16, frame_blocks=1, bin_widths=[4, 8, 8])
    save_model(small, folder / "run" / "simulator" / "separator")
    frames, stems, _ = mixture(0)
    clip = Clip(frames.clamp(0, 1), stems.sum(0), 16.0, 8000)
    for suffix in ("mp4", "mkv", "webm", "wav"):
        clip.write(folder / f"film.{suffix}")
    clip.without_audio().write(folder / "silent.mp4")
    mask = np.zeros((64, 64), np.uint8)
    mask[:, 40:] = 255
    cv2.imwrite(str(folder / "right.png"), mask)
    cv2.imwrite(str(folder / "wide.png"), mask[:32])
    cv2.imwrite(str(folder / "black.png"), 0 * mask)
    (folder / "empty").mkdir()
    detector = VideoDetector(fine=8, coarse=8, blocks=1)
    detector.thing_threshold.fill_(0.99)  # sees nothing
    save_model(detector, folder / "looks")
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
    original, rate = audio_of_video(place / film)
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
    separate_video(model, place / "film.mp4", [region], place / "api")
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
    about = separate_video(model, place / "long.mp4", [Region.box(0, 0, 9, 9, (32, 32))], place / "spans")
    assert len(spans) == 5 and max(spans) <= 2.2
    waves = torch.stack([Clip.read(place / "spans" / stem["wav"]).wave for stem in about["stems"]])
    assert (waves.sum(0) - audio_of_video(place / "long.mp4")[0]).abs().max() <= 1e-6


def moving(folder, size=64):
    """Images of a bar that goes from left to right."""
    folder.mkdir()
    for number in range(8):
        mask = np.zeros((size, size), np.uint8)
        mask[:, size * number // 8 : size * (number + 1) // 8] = 255
        cv2.imwrite(str(folder / f"{number:03d}.png"), mask)
    return folder


def test_masks_of_every_frame(place, caplog):
    masks = moving(place / "bar")
    frames = torch.stack([Clip.read(path).frames[:, 0] for path in sorted(masks.iterdir())], 1)
    Clip(frames, None, 8.0).write(place / "bar.mp4")
    assert run(place, "film.mp4", "--mask", str(masks), "--mask", str(place / "bar.mp4"), out="moving") == 0
    assert "bar: the mask is 64x64, the video 32x32: it is scaled" in caplog.text
    about = json.loads((place / "moving" / "stems.json").read_text())
    one, other, _ = about["stems"]
    assert one["box"] == {"x": 0, "y": 0, "width": 32, "height": 32}
    assert one["energy"] == pytest.approx(other["energy"], rel=0.1)  # the same mask; each has half of it
    model = load_model(place / "run" / "simulator" / "separator")
    mask = torch.zeros(16, 32, 32)
    for frame in range(16):
        mask[frame, :, 4 * (frame // 2) : 4 * (frame // 2 + 1)] = 1
    expected = separate(model, Clip.read(place / "film.mp4"), [Region(mask)]).wave[0]
    found = sum(Clip.read(place / "moving" / stem["wav"]).wave for stem in (one, other))
    assert (found - expected).abs().max() < 1e-2


def test_the_page_lies_beside_the_stems(place, capsys):
    assert run(place, "film.mp4", "--page", out="page") == 0
    page = place / "page" / "index.html"
    assert "window.cards" in page.read_text() and str(page) in capsys.readouterr().out
    assert (place / "page" / "off-screen.wav").is_file()
    frames, stems, _ = mixture(2)
    long = Clip.fitted(frames[:, ::4].clamp(0, 1).repeat(1, 32, 1, 1), stems.sum(0).repeat(1, 32), 4.0, 8000)
    long.write(place / "32s.mp4")
    assert run(place, "32s.mp4", "--page", out="bad") == 2
    assert "32 s are too long for a page" in capsys.readouterr().err and not (place / "bad").exists()


def test_forty_regions_and_silence(place):
    boxes = [each for k in range(40) for each in ("--box", f"{k % 8 * 4},{k // 8 * 6},4,6")]
    assert run(place, "film.mp4", *boxes, out="forty") == 0
    about = json.loads((place / "forty" / "stems.json").read_text())
    waves = torch.stack([Clip.read(place / "forty" / stem["wav"]).wave for stem in about["stems"]])
    assert len(waves) == 41 and (waves.sum(0) - audio_of_video(place / "film.mp4")[0]).abs().max() <= 1e-5
    quiet = Clip.read(place / "film.mp4")
    Clip(quiet.frames, 0 * quiet.wave, quiet.frames_per_second, quiet.sample_rate).write(place / "quiet.mkv")
    assert run(place, "quiet.mkv", "--auto", "--box", "0,0,9,9", "--page", out="quiet") == 0
    about = json.loads((place / "quiet" / "stems.json").read_text())
    assert [stem["level_db"] for stem in about["stems"]] == [None, None]  # nothing sounds: no region is found


def test_a_separator_may_be_given_by_its_own_folder(place):
    own = str(place / "run" / "simulator" / "separator")
    assert run(place, "film.mp4", "--box", "0,0,9,9", "--checkpoint", own, out="own") == 0


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
        ("film.mp4", ["--box", "0,0,99,9"], "box 0,0,99,9: must lie inside the video"),
        ("film.mp4", ["--box", "1,2,3"], "expected 4 numbers"),
        ("film.mp4", ["--box", "0,0,nan,1"], "expected 4 numbers"),
        ("film.mp4", ["--box", "0,0,0,5"], "must lie inside"),
        ("film.mp4", ["--point", "40,1"], "point 40,1: must lie inside"),
        ("film.mp4", ["--point", "a,b"], "expected 2 numbers"),
        ("film.mp4", ["--mask", "nowhere.png"], "nowhere.png: no such mask"),
        ("film.mp4", ["--mask", "WIDE"], "aspects must agree"),
        ("film.mp4", ["--auto", "none"], "expected a whole number"),
        (
            "film.mp4",
            ["--text", "the violin"],
            "no such folder; --text needs a detector: --video-detector MODEL",
        ),
        ("film.mp4", ["--text", "the violyn"], "did you mean 'violin'?"),
        (
            "film.mp4",
            ["--text", "the violin", "--video-detector", "nowhere"],
            "nowhere: no such folder; --text needs",
        ),
        (
            "film.mp4",
            ["--text", "the violin", "--video-detector", "OOD_EMBEDDING"],
            "no such thing is seen; seen: nothing",
        ),
        ("film.mp4", ["--mask", "EMPTY"], "holds no masks"),
        ("film.mp4", ["--mask", "BLACK"], "the mask is empty"),
        ("film.mp4", [], "no region is given"),
        ("silent.mp4", ["--auto"], "has no audio"),
        ("film.wav", ["--auto"], "has no video"),
        ("nothing.mp4", ["--auto"], "nothing.mp4"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(place, film, arguments, message, capsys, monkeypatch):
    monkeypatch.setattr("avsim.weights.SMALL", place / "nothing ships")
    before = sorted(place.iterdir())
    named = {"WIDE": "wide.png", "OOD_EMBEDDING": "looks", "EMPTY": "empty", "BLACK": "black.png"}
    arguments = [str(place / named[each]) if each in named else each for each in arguments]
    assert run(place, film, *arguments, out="bad") == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1
    assert sorted(place.iterdir()) == before


def test_what_ships_is_used_where_nothing_is_named(place, tmp_path, capsys, monkeypatch):
    save_model(load_model(place / "run" / "simulator" / "separator"), tmp_path / "small" / "separator")
    save_model(load_model(place / "looks"), tmp_path / "small" / "video_detector")
    monkeypatch.setattr("avsim.weights.SMALL", tmp_path / "small")
    film = str(place / "film.mp4")
    assert main(["separate", film, "--box", "0,0,9,9", "--out", str(tmp_path / "out")]) == 0
    assert main(["separate", film, "--text", "the bell", "--out", str(tmp_path / "two")]) == 2
    assert "no such thing is seen" in capsys.readouterr().err


def test_checkpoints_that_cannot_be_used(place, tmp_path, capsys):
    film, out = str(place / "film.mp4"), str(tmp_path / "out")
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
        separate_video(model, place / "film.mp4", [Region.box(0, 0, 9, 9, (32, 32))], place / "full")
    assert sorted(place.iterdir()) == before
    assert frames_of_video(place / "film.mp4", model).size == (32, 32)


def test_a_film_unlike_the_training_is_said(place, capsys):
    shutil.copytree(
        SMALL / "video_detector", place / "run" / "simulator" / "video_detector"
    )  # and what is ood_check to it
    try:
        clip, _ = WorldDataset("medium", seed=5, split="test")[0]
        clip.write(place / "world.mp4")
        for film, foreign in (("world.mp4", False), ("film.mp4", True)):  # boxes on a plain ground
            capsys.readouterr()
            assert run(place, film, "--box", "0,0,16,32", out=f"{film}.judged") == 0
            said = capsys.readouterr().err
            assert ("looks unlike what the separator was trained on" in said) == foreign, said
    finally:
        shutil.rmtree(place / "run" / "simulator" / "video_detector")
