"""Published lists are read as they are published; what comes from one video stays in one part."""

import json
from pathlib import Path

import pytest

from avsim.__main__ import main
from avsim.clip import ClipSpec
from avsim.data.datamodule import ClipData
from avsim.data.lists import ListSource
from avsim.data.mixtures import Blend, Distractors, Mixture
from avsim.data.prepare import prepare
from avsim.data.published import Entry, Split, check_sources, make_split, read_list, source_of
from avsim.data.sources import FolderSource, ShardSource, WorldSource
from avsim.errors import InputError
from tests.data.conftest import film, shot

IDS = [f"{letter}-{number:02d}_aBcDeE" for letter in "xyz" for number in range(20)]


@pytest.fixture
def lists(tmp_path):
    """Lists in every published form, 20 source videos each."""
    x, y, z = IDS[:20], IDS[20:40], IDS[40:]
    music = {"version": 2.0, "videos": {"flute": x[:12], "acoustic_guitar violin": [*x[12:], x[0]]}}
    (tmp_path / "MUSIC21_solo_videos.json").write_text(json.dumps(music))
    rows = [
        f'{video},{30 * k},"horse, neighing",{"test" if k > 15 else "train"}' for k, video in enumerate(y)
    ]
    (tmp_path / "vggsound.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "test.csv").write_text('y-00_aBcDeE_000030.mp4,"fly, housefly buzzing"\n')
    header, lines = "Category&VideoID&Quality&StartTime&EndTime\n", [f"Church bell&{v}&good&2&8" for v in z]
    (tmp_path / "Annotations.txt").write_text(header + "\n".join(lines))
    for name, some in (("trainSet", lines[:14]), ("valSet", lines[14:16]), ("testSet", lines[16:])):
        (tmp_path / f"{name}.txt").write_text("\n".join(some) + "\n")
    (tmp_path / "train.csv").write_text(
        f"./data/audio/flute/{x[0]}.mp3,./data/frames/flute/{x[0]}.mp4,1580\n"
    )
    return tmp_path


def test_lists_as_they_are_published(lists):
    music = read_list(lists / "MUSIC21_solo_videos.json")
    assert len(music) == 21 and music[-1] == Entry(IDS[0], IDS[0], "acoustic guitar and violin")
    vgg = read_list(lists / "vggsound.csv")
    assert vgg[1] == Entry(IDS[21], f"{IDS[21]}_000030", "horse, neighing", None, "train")
    assert vgg[-1].split == "test"
    (one,) = read_list(lists / "test.csv")
    assert one == Entry(IDS[20], f"{IDS[20]}_000030", "fly, housefly buzzing")
    assert read_list(lists / "Annotations.txt")[0] == Entry(IDS[40], IDS[40], "church bell", (2.0, 8.0))
    assert {entry.split for entry in read_list(lists / "valSet.txt")} == {"validation"}
    assert read_list(lists / "train.csv") == [Entry(IDS[0], IDS[0], "flute")]
    assert source_of("glLQrEijrKg_000300") == source_of("glLQrEijrKg_300000_310000") == "glLQrEijrKg"
    assert source_of("my holiday") == "my holiday"


def test_names_that_are_no_ids_are_videos_of_their_own():
    for name in ("solo_violin_1", "solo_violin_2", "solo_sounds_1", "Prokofiev_1_2", "größe-01234_1"):
        assert source_of(name) == name
    for video in ("dQw4w9WgXcQ", "glLQrEijrKg", "-_a_b_c_d_E"):
        assert source_of(f"{video}_30") == video
    assert source_of("abcdefghijk_000030") == "abcdefghijk"  # as VGGSound names a clip, whatever its id


def sizes(split):
    return {part: len(videos) for part, videos in split.parts.items()}


def test_a_split_has_each_video_once_and_its_hashes(lists):
    split = make_split([lists / "MUSIC21_solo_videos.json"], seed=1, validation=0.2, test=0.2)
    assert {part: len(videos) for part, videos in split.parts.items()} == {
        "train": 12,
        "validation": 4,
        "test": 4,
    }
    assert split == make_split([lists / "MUSIC21_solo_videos.json"], seed=1, validation=0.2, test=0.2)
    assert len(split.find(IDS[0])[1]) == 2  # both labels, one part
    again = Split.read(split.write(lists / "music.split.json"))
    assert again.hashes == split.hashes and again.find(IDS[3])[0] == split.find(IDS[3])[0]
    vgg = make_split([lists / "vggsound.csv"])  # its test, and a validation of what trains
    assert set(vgg.parts["test"]) == set(IDS[36:40]) and len(vgg.parts["validation"]) == 2
    assert vgg.find(f"{IDS[21]}_000030")[1][0].label == "horse, neighing"
    assert vgg.find(f"{IDS[21]}_30000_40000")[1][0].name == f"{IDS[21]}_000030"
    ave = make_split([lists / f"{name}Set.txt" for name in ("train", "val", "test")])
    assert {part: len(videos) for part, videos in ave.parts.items()} == {
        "train": 14,
        "validation": 2,
        "test": 4,
    }


def test_lists_that_leak_are_refused(lists, capsys):
    with open(lists / "testSet.txt", "a") as file:
        file.write(f"Bark&{IDS[41]}&good&0&2\nBark&{IDS[40]}&good&0&2\n")
    names = [str(lists / f"{name}Set.txt") for name in ("train", "val", "test")]
    out = lists / "ave.split.json"
    assert main(["split", *names, "--out", str(out)]) == 2 and not out.exists()
    said = capsys.readouterr().err
    assert f"2 of 6 source videos of test are also in train: {IDS[40]}, {IDS[41]}" in said
    given = ["--train-list", str(lists / "vggsound.csv"), "--test-list", str(lists / "test.csv")]
    assert main(["split", *given]) == 2
    assert "1 of 1 source videos of test are also in train: y-00_aBcDeE" in capsys.readouterr().err
    assert main(["split", *names, "--out", str(out), "--drop-leaks"]) == 0
    assert IDS[40] in Split.read(out).parts["test"] and IDS[40] not in Split.read(out).parts["train"]
    assert main(["split", str(out)]) == 0 and "12 source videos" in capsys.readouterr().out


def test_a_split_that_was_changed_is_refused(lists, capsys):
    path = make_split([lists / "MUSIC21_solo_videos.json"]).write(lists / "s.split.json")
    plain = json.loads(path.read_text())
    video, entries = next(iter(plain["parts"]["test"].items()))
    plain["parts"]["train"][video] = entries
    path.write_text(json.dumps(plain))
    assert main(["split", str(path)]) == 2
    assert f"source videos of test are also in train: {video}" in capsys.readouterr().err
    del plain["parts"]["test"][video]
    path.write_text(json.dumps(plain))
    with pytest.raises(InputError, match="its part train was changed"):
        Split.read(path)
    path.write_text("{}")
    with pytest.raises(InputError, match="no split that avsim split wrote"):
        Split.read(path)


def test_prepare_and_lists_follow_a_split(lists):
    films = lists / "films"
    films.mkdir()
    for k, name in enumerate((IDS[0], IDS[1], IDS[2], f"{IDS[21]}_000030", "unlisted")):
        film(films / f"{name}.mp4", shot(2.0, 0.2 + 0.1 * k, 300.0 + 50 * k))
    split = make_split([lists / "MUSIC21_solo_videos.json"], validation=0.0, test=0.3)
    split.write(lists / "s.json")
    expected = {name: split.find(name)[0] for name in IDS[:3]}
    arguments = ["--seconds", "1", "--size", "16x16", "--fps", "8", "--sample-rate", "8000", "--jobs", "1"]
    out = lists / "clips"
    assert main(["prepare", str(films), "--out", str(out), "--split", str(lists / "s.json"), *arguments]) == 0
    index = json.loads((out / "index.json").read_text())
    assert [why.split("/")[-1] for why in index["passed_over"].values()] == ["s.json", "s.json"]
    assert any("unlisted.mp4: is not in the split" in why for why in index["passed_over"].values())
    for item in index["items"]:
        assert item["split"] == expected[item["name"].split("@")[0]]
        assert item["caption"] in ("flute", "acoustic guitar and violin")
    assert index["split_sha256"] == split.hashes
    for part in set(expected.values()):
        music = lists / "MUSIC21_solo_videos.json"
        source = ListSource(music, films, split=part, split_file=lists / "s.json")
        assert len(source) == list(expected.values()).count(part)
    with pytest.raises(InputError, match="which part of it"):
        ListSource(lists / "MUSIC21_solo_videos.json", films, split_file=lists / "s.json")


def test_training_refuses_sources_that_share_a_video(lists):
    films, spec = lists / "films", ClipSpec(0.5, 16, 16, 8.0, 8000, 1)
    films.mkdir()
    for k, name in enumerate(IDS[:3]):
        film(films / f"{name}.mp4", shot(1.0, 0.2 + 0.1 * k, 300.0 + 50 * k))
    music = lists / "MUSIC21_solo_videos.json"
    whole = ListSource(music, films)
    (lists / "one.json").write_text(json.dumps({"videos": {"flute": [IDS[1]]}}))
    one = ListSource(lists / "one.json", films)
    with pytest.raises(InputError, match=rf"source videos of test are also in train: .*{IDS[1]}"):
        ClipData(spec, Mixture(whole), test=one).setup("fit")
    ClipData(spec, Mixture(whole)).setup("fit")


def test_training_refuses_prepared_clips_that_share_a_video(tmp_path):
    """As `prepare` writes them: by content, by YouTube's id, and within blends; shots of one video may."""
    spec = ClipSpec(0.5, 16, 16, 8.0, 8000, 1)
    ours, theirs, both = tmp_path / "ours", tmp_path / "theirs", tmp_path / "both"
    for folder, names in ((ours, IDS[:2]), (theirs, IDS[2:4]), (both, ("a", "b"))):
        folder.mkdir()
        for k, name in enumerate(names):
            film(folder / f"{name}.mp4", shot(1.5, 0.2 + 0.1 * k, 300.0 + 50 * k + len(str(folder))))
    film(theirs / f"{IDS[1]}_000030.mp4", shot(1.5, 0.7, 900.0))  # another clip of ours

    def prepared(name: str, films: Path, **shares: float) -> Path:
        prepare([films], tmp_path / name, spec, **shares)
        return tmp_path / name

    one, other = (prepared(f"{f.name} clips", f, validation=0.0, test=0.0) for f in (ours, theirs))
    train, test = ShardSource(one), ShardSource(other)
    assert {*IDS[:2]} < train.videos() and len(train.videos()) == 4
    with pytest.raises(InputError, match=f"source videos of test are also in train: {IDS[1]}"):
        check_sources({"train": Distractors(Blend([train, WorldSource()])), "test": Mixture(test)})
    with pytest.raises(InputError, match="source videos of test are also in train"):
        check_sources(
            {"train": train, "test": ShardSource(prepared("again", ours, validation=0.0, test=0.0))}
        )
    with pytest.raises(InputError, match="source videos of validation are also in train"):
        check_sources({"train": FolderSource(ours), "validation": FolderSource(ours)})
    halves = prepared("halves", both, validation=0.5, test=0.0)
    check_sources({"train": ShardSource(halves), "validation": ShardSource(halves, "validation")})
    cut = tmp_path / "cut"
    cut.mkdir()
    film(cut / "a.mp4", *(shot(1.5, 0.15 + 0.2 * k, 300.0 + 100 * k) for k in (0, 3, 1)))
    shots = prepared("shots", cut, validation=0.4, test=0.0)
    check_sources({"train": ShardSource(shots), "validation": ShardSource(shots, "validation")})
    check_sources({"train": WorldSource(), "test": Blend([WorldSource()])})
