"""Videos are found once, known by their content, and captioned by what lies beside them."""

import json

import pytest

from avsim.data.captions import Captions
from avsim.data.videos import find_videos, identity
from avsim.errors import InputError


def test_finding(tmp_path):
    for name in ("b.mp4", "deep/a.MKV", "deep/tape.mpg", "notes.txt", ".hidden.mp4"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(name.encode())
    found = find_videos([tmp_path, tmp_path / "b.mp4"])
    assert [path.name for path in found] == ["b.mp4", "a.MKV", "tape.mpg"]
    with pytest.raises(InputError, match="none.mp4: no such"):
        find_videos([tmp_path / "none.mp4"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no videos in .*empty"):
        find_videos([tmp_path / "empty"])


def test_identity_is_content(tmp_path):
    a, b, c = tmp_path / "a.mp4", tmp_path / "b.mp4", tmp_path / "c.mp4"
    a.write_bytes(b"x" * 3_000_000)
    b.write_bytes(b"x" * 3_000_000)
    c.write_bytes(b"x" * 2_999_999 + b"y")
    assert identity(a) == identity(b) != identity(c)


def captions(tmp_path, suffix, text):
    (tmp_path / f"film{suffix}").write_text(text)
    return Captions.beside(tmp_path / "film.mp4")


def test_captions_of_the_whole(tmp_path):
    assert Captions.beside(tmp_path / "film.mp4").at(0, 2) == ""
    assert captions(tmp_path, ".txt", "a dog\n barks \n").at(100, 2) == "a dog barks"


@pytest.mark.parametrize("suffix", [".json", ".csv"])
def test_captions_of_spans(tmp_path, suffix):
    rows = [(0, 4, "rain"), (4, 9, "thunder, near"), (5, 6, "a flash")]
    if suffix == ".json":
        text = json.dumps([dict(zip(("start", "end", "caption"), row, strict=True)) for row in rows])
    else:
        text = "start,end,caption\n" + "".join(f'{a},{b},"{c}"\n' for a, b, c in rows)
    found = captions(tmp_path, suffix, text)
    assert found.at(1, 2) == "rain" and found.at(3.5, 2) == "thunder, near"
    assert found.at(5, 1) == "a flash"  # both cover it; the closer one speaks
    assert found.at(9.5, 2) == ""


def test_captions_of_whole_and_spans(tmp_path):
    found = captions(
        tmp_path, ".json", '{"caption": "a storm", "captions": [{"start": 1, "end": 3, "caption": "hail"}]}'
    )
    assert found.at(1, 2) == "hail" and found.at(7, 2) == "a storm"


@pytest.mark.parametrize(
    "suffix, text",
    [
        (".json", "{"),
        (".json", "{}"),
        (".json", '[{"start": 3, "end": 1, "caption": ""}]'),
        (".csv", "a,b\n1,2\n"),
    ],
)
def test_bad_captions(tmp_path, suffix, text):
    with pytest.raises(InputError, match=f"film{suffix}: not captions"):
        captions(tmp_path, suffix, text)
