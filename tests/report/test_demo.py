"""The demo's page shows every part of the path, and its clips lie beside it."""

import json
import re

import pytest
import torch

from avsim.cli.demo import PROMPTS
from avsim.clip import Clip
from avsim.codecs.audio import AudioAutoencoder
from avsim.codecs.video import VideoAutoencoder
from avsim.diffusion import JointDiT
from avsim.files import claimed
from avsim.report import demo as report
from avsim.separation import Separator
from avsim.simulator import Simulator
from avsim.world.captions.parsing import facts_in
from tests.browser import CHROMIUM, MISSING, Browser

WORDS = ["a <b> golden ball falls", "a bell is struck"]


PLAYED = """Promise.all([...document.querySelectorAll("video")].map(async (video) => {
  await video.play();
  const played = new Promise((done) => video.addEventListener("timeupdate", done, {once: true}));
  await played;
  return [video.muted, video.error === null && video.readyState >= 2, video.webkitAudioDecodedByteCount];
}))"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    torch.manual_seed(0)
    simulator = Simulator(
        JointDiT(width=16, heads=1, blocks=1),
        VideoAutoencoder(widths=(8, 8, 8), depths=(1, 1, 1)),
        AudioAutoencoder(width=16, depths=(1, 1)),
        Separator(width=4, fine=4, coarse=8, frame_blocks=1, bin_widths=[4, 8]),
    )
    for part in simulator.parts().values():
        part.eval()
    return report.write_page(simulator, WORDS, tmp_path_factory.mktemp("demo"))


def test_the_page_shows_every_part_of_the_path(page):
    text = page.read_text()
    headings = re.findall(r"<h2>(.*?)</h2>", text)
    assert headings[0] == "What this is" and headings[-1] == "Metrics" and len(headings) == 6
    assert len(re.findall("<video controls(?![^>]* muted)", text)) >= len(WORDS) + 4
    assert not re.findall(r"https?://", text) and text.count("<script") == 2  # a clip's maps, the page's own
    assert "<b>" not in text and "&lt;b&gt;" in text  # prompts are escaped
    listed = json.loads((page.parent / "samples.json").read_text())
    assert [entry["task"] for entry in listed] == ["joint"] * len(WORDS) + ["foley", "animate"]
    clips = [Clip.read(page.parent / entry["file"]) for entry in listed]
    assert all(clip.frames is not None and clip.wave is not None for clip in clips)


@pytest.mark.skipif(CHROMIUM is None, reason=MISSING)
def test_a_browser_plays_every_clip_with_the_sound_on(page, tmp_path):
    with Browser(tmp_path / "chromium", page) as browser:
        players = browser.run(PLAYED)
        assert all(plays for _, plays, _ in players) and not browser.complaints()
    assert [muted for muted, _, _ in players].count(True) == 1  # the desk's video: pixels are heard there
    assert all(decoded > 0 for muted, _, decoded in players if not muted)


def test_the_prompts_are_of_the_world():
    assert len(set(PROMPTS)) == 8 and all(facts_in(prompt).things for prompt in PROMPTS)


def test_a_running_demo_keeps_others_away(tmp_path, capsys, monkeypatch):
    from avsim.__main__ import main
    from tests.small.models import export

    monkeypatch.setattr(report, "write_page", pytest.fail)
    with claimed(tmp_path / "demo"):
        run = export(tmp_path / "run")
        assert main(["demo", "--checkpoint", str(run), "--out", str(tmp_path / "demo")]) == 2
    assert "another running avsim" in capsys.readouterr().err
