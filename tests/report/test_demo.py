"""The demo's page shows every part of the path; the demo itself trains, draws and writes it."""

import re
from pathlib import Path

import pytest
import torch

from avsim.codecs.audio import AudioAutoencoder
from avsim.codecs.video import VideoAutoencoder
from avsim.diffusion import JointDiT
from avsim.files import claimed
from avsim.report import demo as report
from avsim.separation import Separator
from avsim.simulator import Simulator
from avsim.verbs import demo


def check(page: Path) -> None:
    text = page.read_text()
    headings = re.findall(r"<h2>(.*?)</h2>", text)
    assert len(headings) == 8 and headings[0] == "What this is"
    assert len(re.findall("<video controls(?![^>]* muted)", text)) >= 20
    assert not re.findall(r"https?://", text) and text.count("<script") == 2  # a clip's maps, the page's own
    assert "generator</th><td>3</td>" in text  # how long it was trained


def test_the_page_shows_every_part_of_the_path(tmp_path):
    torch.manual_seed(0)
    simulator = Simulator(
        JointDiT(width=16, heads=1, blocks=1),
        VideoAutoencoder(widths=(8, 8, 8), depths=(1, 1, 1)),
        AudioAutoencoder(width=16, depths=(1, 1)),
        Separator(width=4, fine=4, coarse=8, frame_blocks=1, bin_widths=[4, 8]),
    )
    for part in simulator.parts().values():
        part.eval()
    trained = {name: report.Trained(3, 1.5) for name in demo.TRAININGS}
    check(report.write_page(simulator, trained, tmp_path / "index.html"))


def test_a_running_demo_keeps_others_away(tmp_path, capsys):
    from avsim.__main__ import main

    (tmp_path / "generator").mkdir()
    with claimed(tmp_path):
        assert main(["demo", "--out", str(tmp_path)]) == 2
    assert "another running avsim" in capsys.readouterr().err and (tmp_path / "generator").is_dir()


@pytest.mark.slow
def test_the_demo_trains_and_writes_its_page(tmp_path):
    from avsim.simulator import load

    out = tmp_path / "demo"
    (out / "latents").mkdir(parents=True)  # an earlier demo's
    trained = demo.train(out, clips=4, options=["--trainer.max_steps=3", "--data.batch_size=2"])
    assert {name: part.steps for name, part in trained.items()} == dict.fromkeys(demo.TRAININGS, 3)
    simulator = load(out / "generator", separator=out / "separator")
    check(report.write_page(simulator, trained, out / "index.html"))
