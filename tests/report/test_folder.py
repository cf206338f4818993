"""`avsim page FOLDER`: a card for each clip; those that can't be read are shown as such."""

import json

import pytest
import torch

from avsim import Clip
from avsim.__main__ import main
from avsim.errors import InputError
from avsim.report.files import playable, read_small
from avsim.report.folder import write_folder_page
from tests.browser import CHROMIUM, MISSING, Browser, until


def clip(seconds: float = 1.0) -> Clip:
    return Clip(torch.rand(3, round(16 * seconds), 32, 48), 0.1 * torch.randn(2, round(16000 * seconds)))


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "clips"
    clip().write(made / "one.mp4")
    clip().write(made / "deep" / "two.webm")
    clip().write(made / "three.mkv")  # which no browser plays as it is
    (made / "one.txt").write_text("a red ball falls <b>")
    (made / "broken.mp4").write_bytes(b"no video at all")
    return made


@pytest.mark.skipif(CHROMIUM is None, reason=MISSING)
@pytest.mark.parametrize("linked", [False, True])
def test_every_clip_plays_and_the_broken_one_is_shown_as_such(folder, tmp_path, capsys, linked):
    assert main(["page", str(folder), *(["--linked"] if linked else [])]) == 0
    path = folder / "index.html"
    assert capsys.readouterr().out.strip() == str(path)
    text = path.read_text()
    assert "a red ball falls &lt;b&gt;" in text and text.count('class="card broken"') == 1
    assert ('"source":"one.mp4"' in text) is linked and ("file:" in text) is linked
    with Browser(tmp_path / "chromium", path) as browser:
        assert browser.run(until("cards.filter((c) => c.media?.readyState >= 2).length === 3"))
        browser.run("cards[0].play()")
        assert browser.run("new Promise((done) => setTimeout(() => done(cards[0].now()), 500))") > 0.1
        assert browser.complaints() == []


def test_listings_are_read(folder, tmp_path):
    lines = [
        {"file": "one.mp4", "prompt": "a bell is struck in a restaurant", "seed": 7},
        {"file": "three.mkv", "prompt": "p"},
    ]
    (folder / "prompts.jsonl").write_text("\n".join(map(json.dumps, lines)))
    text = write_folder_page(folder, tmp_path / "page.html").read_text()
    assert text.count("<article") == 2 and "<dd>7</dd>" in text
    assert "bell seen" in text or "Not judged" in text
    (folder / "samples.json").write_text(
        json.dumps([{"file": "one.mp4", "prompt": "q", "seed": 1, "task": "joint"}])
    )
    (folder / "settings.json").write_text(
        json.dumps({"checkpoint": "mine", "steps": 5, "guidance_scale": 3.5})
    )
    text = write_folder_page(folder, tmp_path / "page.html", detect=False).read_text()
    assert "<dd>mine</dd>" in text and "guidance scale 3.5" in text and "Not judged" not in text
    sampled = {
        "student": True,
        "sync_scale": 0.7,
        "sync_start": 0.6,
        "audio_text_scale": 1.0,
        "modality_start": 0.5,
    }
    (folder / "settings.json").write_text(json.dumps({"checkpoint": "mine", "negative_prompt": "a trumpet"}))
    line = {"file": "one.mp4", "prompt": "q", "seed": 1, "task": "joint"}
    (folder / "samples.json").write_text(json.dumps([line | {"sampled_with": sampled}]))
    text = write_folder_page(folder, tmp_path / "page.html", detect=False).read_text()
    assert "<dd>student, sync scale 0.7, sync start 0.6</dd>" in text
    assert "trumpet" not in text  # which is of another clip of the folder
    off = {"student": False, "guidance_scale": 1.0, "sync_scale": 0.0, "sync_start": 0.5}
    (folder / "samples.json").write_text(json.dumps([line | {"sampled_with": off}]))
    assert "<dd>off</dd>" in write_folder_page(folder, tmp_path / "page.html", detect=False).read_text()


def test_a_long_clip_is_read_in_few_frames(tmp_path):
    frames = torch.zeros(3, 80, 16, 16)
    path = Clip.fitted(frames, 0.1 * torch.randn(1, 320000), 2.0, 8000).write(tmp_path / "long.mp4")
    small = read_small(path)
    assert small.frames.shape[1] == 24 and abs(small.wave.shape[1] / 8000 - 40) < 0.1
    from avsim import media

    held = playable(path, small, media.probe(path), None)
    assert held.seconds == 40.0 and held.fps == 2.0 and held.source.startswith("data:video/mp4")
    other = path.rename(tmp_path / "long.mkv")
    with pytest.raises(InputError, match="40 s are too long to encode"):
        playable(other, small, media.probe(other), None)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda f: (f / "prompts.jsonl").write_text("{}"), "line 1"),
        (lambda f: (f / "prompts.jsonl").write_text('{"file": "../../x.mp4", "prompt": ""}'), "outside"),
        (lambda f: (f / "prompts.jsonl").write_text("\n"), "lists no clip"),
        (lambda f: (f / "samples.json").write_text("[1]"), "expected a list of objects"),
        (lambda f: (f / "index.html").write_text("my own page"), "no page of avsim's"),
        (
            lambda f: [p.unlink() for p in f.rglob("*.*") if p.name != "broken.mp4" and p.is_file()],
            "none of the 1",
        ),
    ],
)
def test_what_is_no_folder_of_clips_is_one_line(folder, capsys, change, found):
    change(folder)
    assert main(["page", str(folder), "--no-detect"]) == 2
    line = capsys.readouterr().err.strip()
    assert found in line and "\n" not in line
