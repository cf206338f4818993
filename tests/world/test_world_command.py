"""`avsim world`: shards that train, videos with captions, truth; it resumes, and says what can't be."""

import json
import re
import shutil
from dataclasses import replace

import pytest
import torch

from avsim import ClipSpec, media
from avsim.__main__ import main
from avsim.data.captions import Captions
from avsim.data.shards import ShardFolder
from avsim.data.sources import ShardSource
from avsim.data.worlds import PART_CLIPS
from avsim.report.gallery import world_card
from avsim.seeds import generator
from avsim.world import DIFFICULTIES, Truth, WorldDataset
from avsim.world.truth import Captions as ThingFacts
from tests.running import Running

SMALL = ["--size", "32x32", "--sample-rate", "8000", "--channels", "1", "--seconds", "1", "--jobs", "1"]
SPEC = ClipSpec(1.0, 32, 32, 16.0, 8000, 1)


def world(*arguments) -> int:
    return main(["world", *map(str, arguments)])


def files(folder) -> dict[str, bytes]:
    """All that a run made, by name, but the parts, which may be cut otherwise; of videos the names alone,
    as an encoder doesn't write the same bytes each time.
    """
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    found = {name: data for name, data in found.items() if not name.startswith("parts")}
    return {name: b"" if name.endswith(".mp4") else data for name, data in found.items()}


def test_shards_hold_the_worlds_clips_and_train(tmp_path):
    assert world("--out", tmp_path, "-n", 5, "--level", "easy", "--seed", 3, "--shards", *SMALL) == 0
    expected = WorldDataset(replace(DIFFICULTIES["easy"], spec=SPEC), 3)
    source = ShardSource(tmp_path)
    assert len(source) == 5 and source.spec == SPEC
    for index in range(5):
        clip, truth = expected[index]
        taken = source.sample(index, SPEC, generator(0, "take"))
        assert taken.caption == truth.caption and source.group(index) != source.group(index - 1)
        assert (taken.frames - clip.frames).abs().max() <= 0.5 / 255 + 1e-6
        assert (taken.wave - clip.wave).abs().max() <= 0.5 / 32767 + 1e-6
    item = ShardFolder.open(tmp_path, "clips").items()[0]
    assert item["full"] == expected[0][1].captions.full and item["things"]


def test_films_with_captions_stems_and_truth(tmp_path):
    assert world("--out", tmp_path, "-n", 2, "--scene", "strike", "--stems", "--truth", *SMALL) == 0
    items = json.loads((tmp_path / "clips.json").read_text())
    for item in items:
        film = tmp_path / item["file"]
        clip, truth = media.read(film), Truth.load(tmp_path / "truth" / item["name"])
        assert tuple(clip.frames.shape) == (3, 16, 32, 32)
        assert Captions.beside(film).at(0.0, 1.0) == item["caption"] == truth.caption
        assert truth.scene.targets
        stems = {path.stem: media.read(path).wave for path in (tmp_path / "stems" / item["name"]).iterdir()}
        assert set(stems) == set(truth.stems)
        assert all(torch.allclose(stems[name], truth.stems[name], atol=1e-6) for name in stems)


def test_what_is_there_is_not_made_again_and_more_can_be_asked_for(tmp_path):
    options = ["--level", "easy", "--shards", *SMALL]
    assert world("--out", tmp_path / "whole", "-n", PART_CLIPS + 2, *options) == 0
    assert world("--out", tmp_path / "parts", "-n", PART_CLIPS, *options) == 0
    first = next((tmp_path / "parts" / "shards").iterdir())
    before = first.stat().st_mtime_ns
    assert world("--out", tmp_path / "parts", "-n", PART_CLIPS + 2, *options) == 0
    assert first.stat().st_mtime_ns == before
    assert files(tmp_path / "parts") == files(tmp_path / "whole")
    first.unlink()  # as if it had never been written
    (tmp_path / "parts" / "shards" / f".{first.name}.half").mkdir()
    assert world("--out", tmp_path / "parts", "-n", PART_CLIPS + 2, *options) == 0
    assert files(tmp_path / "parts") == files(tmp_path / "whole")


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_the_same(tmp_path):
    options = ["world", "-n", "12", "--level", "easy", *SMALL]
    running = Running(tmp_path / "log", *options, "--out", str(tmp_path / "killed"))
    running.wait_for(lambda: any((tmp_path / "killed" / "parts").glob("*.json")))
    running.process.kill()
    running.process.join()
    assert not (tmp_path / "killed" / "clips.json").exists()
    assert main([*options, "--out", str(tmp_path / "killed")]) == 0
    assert main([*options, "--out", str(tmp_path / "whole")]) == 0
    assert files(tmp_path / "killed") == files(tmp_path / "whole")


def test_the_number_of_processes_changes_nothing(tmp_path):
    for jobs in ("1", "2"):
        options = ["-n", "6", "--scene", "drop", "--truth", *SMALL]
        assert world("--out", tmp_path / jobs, *options, "--jobs", jobs) == 0
    for index in range(6):
        one, two = (Truth.load(tmp_path / jobs / "truth" / f"{index:06d}") for jobs in ("1", "2"))
        assert one.scene == two.scene and one.captions == two.captions and one.contacts == two.contacts
        assert all(torch.equal(one.stems[name], two.stems[name]) for name in one.stems)
        assert torch.allclose(one.masks, two.masks, atol=1e-6)


def test_held_out_clips_are_shards_to_test_on(tmp_path):
    assert world("--out", tmp_path, "-n", 2, "--split", "held out", "--shards", *SMALL) == 0
    assert len(ShardSource(tmp_path, "test")) == 2


def test_a_scene_file_and_a_sentence(tmp_path):
    (tmp_path / "scene.yaml").write_text("place: cave\nplayers: [{instrument: tuba}]\n")
    for name, own in (
        ("file", ["--from", tmp_path / "scene.yaml"]),
        ("words", ["--say", "a tuba in a cave"]),
    ):
        assert world("--out", tmp_path / name, "-n", 2, "--truth", *own, *SMALL) == 0
        truths = [Truth.load(tmp_path / name / "truth" / f"{index:06d}") for index in range(2)]
        for truth in truths:
            assert truth.place == "cave" and [thing.kind for thing in truth.things] == ["tuba"]
        assert truths[0].scene.seed != truths[1].scene.seed


def test_the_gallery_is_one_page_that_needs_nothing_else(tmp_path):
    options = ["--scene", "drop,ensemble", "--place", "cave,restaurant", *SMALL[:-2]]
    assert world("--gallery", "--out", tmp_path, *options) == 0
    text = (tmp_path / "index.html").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]
    assert text.count("<article") == 4 and text.count('"source":"data:video/mp4') == 4
    assert "http://" not in text and "https://" not in text and text.count("<script>") == 1
    for word in ("drop", "ensemble", "cave", "restaurant"):
        assert re.search(rf"<(p|h2)[^>]*>{word}<", text)


def test_captions_are_escaped():
    clip, truth = WorldDataset(replace(DIFFICULTIES["easy"], spec=SPEC))[0]
    truth = replace(truth, captions=ThingFacts("<b>short</b>", "a & b <script>", ('"quoted"<i>',)))
    page = world_card(clip, truth)
    assert "<b>" not in page and "<script>" not in page and "<i>" not in page
    assert "&lt;b&gt;short" in page and "a &amp; b" in page


MISTAKES = {
    "an unknown scene": (["--scene", "opera"], "opera"),
    "no scene": (["--scene", ","], "empty"),
    "an unknown place": (["--place", "moon"], "moon"),
    "an unknown material": (["--material", "cheese"], "cheese"),
    "an unknown level": (["--level", "hard"], "hard"),
    "an unknown split": (["--split", "dev"], "dev"),
    "negative seconds": (["--seconds", "-1"], "-1"),
    "no seconds": (["--seconds", "nan"], "nan"),
    "an hour": (["--seconds", "3600"], "3600"),
    "too small": (["--size", "8x8"], "8"),
    "too large": (["--size", "4096x4096"], "4096"),
    "too wide": (["--size", "512x64"], "8"),
    "no size": (["--size", "big"], "WxH"),
    "too fast": (["--fps", "900"], "900"),
    "too fine": (["--sample-rate", "1"], "sample_rate"),
    "no clips": (["-n", "0"], "0"),
    "no processes": (["--jobs", "0"], "jobs"),
    "a file that is not there": (["--from", "absent.yaml"], "absent.yaml"),
    "words that it doesn't know": (["--say", "a gong is struck"], "gong"),
    "both": (["--say", "a ball falls", "--from", "absent.yaml"], "not allowed"),
    "a level for a sentence": (["--say", "a ball falls", "--level", "easy"], "--level"),
    "nowhere": (["--out", "/proc/nowhere"], "/proc/nowhere"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_2(mistake, tmp_path, capsys):
    arguments, named = MISTAKES[mistake]
    assert world("--out", tmp_path / "out", *arguments) == 2
    err = capsys.readouterr().err
    assert named in err and len(err.splitlines()) == 1 and err.startswith("avsim"), err
    assert not (tmp_path / "out").exists()


def test_clips_of_other_settings_are_not_mixed(tmp_path, capsys):
    assert world("--out", tmp_path, "--level", "easy", *SMALL) == 0
    before = files(tmp_path)
    for other in (["--seed", "1"], ["--shards"], ["--fps", "8"]):
        assert world("--out", tmp_path, "--level", "easy", *SMALL, *other) == 2
        err = capsys.readouterr().err.splitlines()[-1]
        assert "choose another folder" in err and len(err) < 600
    assert files(tmp_path) == before
    shutil.rmtree(tmp_path / "clips")
    assert world("--out", tmp_path, "--level", "easy", *SMALL) == 0
    assert files(tmp_path) == before
