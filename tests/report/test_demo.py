"""The demo's page shows every part of the path, and its clips lie beside it."""

import json
import re

import pytest
import torch

from avsim.cli.demo import FAILURES, PROMPTS
from avsim.clip import Clip
from avsim.codecs.audio import AudioAutoencoder
from avsim.codecs.video import VideoAutoencoder
from avsim.diffusion import JointDiT
from avsim.files import claimed
from avsim.prompting import rewrite
from avsim.report import demo as report
from avsim.separation import Separator
from avsim.simulator import Simulator
from avsim.world.captions.parsing import facts_in
from tests.browser import CHROMIUM, MISSING, Browser

WORDS = [report.Prompt("a <b> golden ball falls", "a golden ball falls"), report.Prompt("x", "y <b>")]
WRONG = [(report.Prompt("hit a bell", "a bell is struck in a restaurant"), "It <b> fails.")]


PLAYED = """(async () => {
  const found = [];
  for (const card of cards) {
    card.root.scrollIntoView();
    card.enter();
    card.play();
    await new Promise((done) => {
      const begun = performance.now();
      const look = () => card.now() > 0.1 || performance.now() - begun > 8000 ? done() : setTimeout(look, 10);
      look();
    });
    found.push([card.now() > 0.1, card.media.muted, Boolean(card.mixer?.wired)]);
    card.pause();
  }
  return found;
})()"""


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
    return report.write_page(simulator, WORDS, tmp_path_factory.mktemp("demo"), 0, WRONG)


def test_the_page_shows_every_part_of_the_path(page):
    text = page.read_text()
    headings = re.findall(r"<h2>(.*?)</h2>", text)
    assert headings == [
        "What fails", "Audio for a silent video", "A clip extended", "A clip that repeats",
        "The audio of every pixel", "Metrics",
    ]  # fmt: skip
    assert text.count(">generated</p>") == len(WORDS) + 3 and text.count(">rendered by the world</p>") == 2
    assert not re.findall(r"https?://", text) and text.count("<script>") == 1
    assert "<b>" not in text and "&lt;b&gt;" in text  # prompts are escaped
    listed = json.loads((page.parent / "samples.json").read_text())
    assert [entry["task"] for entry in listed] == ["joint"] * (len(WORDS) + 1) + ["foley", "extend", "loop"]
    leads, names = re.findall(r'href="#([^"]+)"', text), re.findall(r'<section id="([^"]+)"', text)
    assert leads == names and len(names) == len(headings)
    clips = [Clip.read(page.parent / entry["file"]) for entry in listed]
    assert all(clip.frames is not None and clip.wave is not None for clip in clips)


@pytest.mark.skipif(CHROMIUM is None, reason=MISSING)
def test_a_browser_plays_every_clip_with_the_audio_on(page, tmp_path):
    with Browser(tmp_path / "chromium", page) as browser:
        played = browser.run(PLAYED)
        assert not browser.complaints()
    assert len(played) >= len(WORDS) + 6 and all(plays for plays, _, _ in played)
    assert all(muted == mixed for _, muted, mixed in played)  # what is muted is heard as its stems


def test_the_prompts_are_ordinary_words_that_the_rules_rewrite():
    captions = [rewrite(prompt) for prompt in (*PROMPTS, *(prompt for prompt, _ in FAILURES))]
    assert len(set(captions)) == 9 and all(facts_in(caption).things for caption in captions)
    assert sum(caption != prompt for caption, prompt in zip(captions, PROMPTS, strict=False)) >= 5


def test_a_running_demo_keeps_others_away(tmp_path, capsys, monkeypatch):
    from avsim.__main__ import main
    from tests.small.models import export

    monkeypatch.setattr(report, "write_page", pytest.fail)
    with claimed(tmp_path / "demo"):
        run = export(tmp_path / "run")
        assert main(["demo", "--checkpoint", str(run), "--out", str(tmp_path / "demo")]) == 2
    assert "another running avsim" in capsys.readouterr().err
