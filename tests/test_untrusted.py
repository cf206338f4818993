"""Lists, listings and settings that others wrote: garbage in them is one line and exit code 2."""

import json
import os

import pytest

from avsim.__main__ import main
from avsim.data.shards import SHARDS
from avsim.errors import InputError
from avsim.untrusted import inside, read_json, read_text

SAMPLE = {"file": "0000.mp4", "prompt": "a bell", "seed": 0, "task": "joint"}
DEEP = "[" * 100_000
GARBAGE = {
    "empty": b"",
    "no text": b"\xff\xfe\x00garbage",
    "no json": b"{",
    "too deep": DEEP.encode(),
    "a number": b"3",
    "a huge number": b"9" * 10_000,
    "a text": b'"text"',
    "null": b"null",
    "an object": b'{"videos": 3}',
    "numbers": b"[1, 2]",
    "nothing in it": b"[]",
    "lists": b"[[[]]]",
}
ENTRIES = {
    "outside": {"file": "../secret.mp4"},
    "absolute": {"file": "/etc/passwd"},
    "a number": {"file": 3},
    "a list": {"file": ["0000.mp4"]},
    "nothing": {"file": ""},
    "a NUL byte": {"file": "a\0b.mp4"},
    "no Unicode": {"file": "\ud800.mp4"},
    "a long name": {"file": "a" * 5000},
    "a prompt that is none": {"prompt": ["a bell"]},
    "a prompt that is a number": {"prompt": 3},
}
OF_COMPARE = {"a seed": {"seed": "0"}, "a true seed": {"seed": True}, "a task": {"task": None}}


def refuse(arguments, capsys, names=""):
    capsys.readouterr()
    code = main(list(map(str, arguments)))
    err = capsys.readouterr().err
    assert code == 2, err
    assert len(err.splitlines()) == 1 and err.startswith("avsim") and names in err, err


@pytest.fixture
def run(tmp_path):
    """A run with samples to compare."""
    folder = tmp_path / "run" / "samples" / "step=00000001"
    folder.mkdir(parents=True)
    (folder / SAMPLE["file"]).write_bytes(b"film")
    (folder / "samples.json").write_text(json.dumps([SAMPLE]))
    return tmp_path / "run"


@pytest.mark.parametrize("content", GARBAGE.values(), ids=GARBAGE)
def test_listings_of_garbage(content, run, tmp_path, capsys):
    listing = run / "samples" / "step=00000001" / "samples.json"
    listing.write_bytes(content)
    if content != b"[]":  # a run may have drawn nothing
        refuse(["compare", run, "--out", tmp_path / "page.html"], capsys, "samples.json")
    refuse(["evaluate", listing.parent, "--out", tmp_path / "out"], capsys, "samples.json")
    for name in ("list.json", "list.csv", "list.txt"):
        (tmp_path / name).write_bytes(content)
        refuse(["split", tmp_path / name], capsys, name)
        refuse(["evaluate", listing.parent / SAMPLE["file"], "--prompts", tmp_path / name,
                "--out", tmp_path / "out"], capsys)  # fmt: skip
    assert not (tmp_path / "page.html").exists() and not (tmp_path / "out").exists()


@pytest.mark.parametrize("change", ENTRIES.values(), ids=ENTRIES)
def test_entries_of_listings(change, run, tmp_path, capsys):
    listing = run / "samples" / "step=00000001" / "samples.json"
    listing.write_text(json.dumps([SAMPLE, {**SAMPLE, **change}]))
    refuse(["compare", run, "--out", tmp_path / "page.html"], capsys, "samples.json")
    refuse(["evaluate", listing.parent, "--out", tmp_path / "out"], capsys, "samples.json")


@pytest.mark.parametrize("change", OF_COMPARE.values(), ids=OF_COMPARE)
def test_entries_of_compared_runs(change, run, tmp_path, capsys):
    listing = run / "samples" / "step=00000001" / "samples.json"
    listing.write_text(json.dumps([{**SAMPLE, **change}]))
    refuse(["compare", run, "--out", tmp_path / "page.html"], capsys, "samples.json")


@pytest.mark.parametrize(
    "content", [b"step,loss\n0,many\n", b"\xff,step\n1,2\n", b'step,loss\n0,"' + b"x" * 200_000 + b'"\n']
)
def test_metrics_of_garbage(content, run, tmp_path, capsys):
    (run / "csv").mkdir()
    (run / "csv" / "metrics.csv").write_bytes(content)
    refuse(["compare", run, "--out", tmp_path / "page.html"], capsys, "metrics.csv")


def test_other_names_of_steps_are_none(run, tmp_path, capsys):
    for name in ("step=²", "step=-1", "step=x", "step=" + "9" * 200):
        (run / "samples" / name).mkdir()
        (run / "samples" / name / "samples.json").write_text("[]")
    code = main(["compare", str(run), "--out", str(tmp_path / "page.html")])
    assert code in (0, 2) and "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("content", GARBAGE.values(), ids=GARBAGE)
def test_settings_of_garbage(content, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "settings.json").write_bytes(content)
    line = ["world", "--level", "easy", "--seconds", "0.25", "--jobs", "1", "--out", tmp_path / "out"]
    refuse(line, capsys)


@pytest.mark.parametrize("content", GARBAGE.values(), ids=GARBAGE)
def test_garbage_among_parts_is_made_anew(content, tmp_path, capsys):
    line = ["world", "--level", "easy", "--seconds", "0.25", "--shards", "--jobs", "1", "--out", tmp_path]
    assert main(list(map(str, line))) == 0
    (part,) = (tmp_path / "parts").glob("*.json")
    before = part.read_bytes(), (tmp_path / "index.json").read_bytes()
    part.write_bytes(content)
    assert main(list(map(str, line))) == 0, capsys.readouterr().err
    assert (part.read_bytes(), (tmp_path / "index.json").read_bytes()) == before
    assert len(list((tmp_path / SHARDS).iterdir())) == 1


def test_files_that_are_no_text_of_a_sensible_size(tmp_path):
    with open(tmp_path / "huge.json", "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(InputError, match="huge.json: is 1,099,511,627,776 bytes"):
        read_json(tmp_path / "huge.json")
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(InputError, match="pipe.json: is no regular file"):
        read_text(tmp_path / "pipe.json")
    with pytest.raises(InputError, match="none.json: no such file"):
        read_text(tmp_path / "none.json")
    (tmp_path / "marked.json").write_text("[1]", encoding="utf-8-sig")
    assert read_json(tmp_path / "marked.json", list) == [1]
    with pytest.raises(InputError, match="marked.json: holds .1.; expected an object"):
        read_json(tmp_path / "marked.json", dict)


def test_what_lies_inside_a_folder(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "link").symlink_to("/etc")
    assert inside(tmp_path, "in/../in/a.mp4", "x") == tmp_path / "in/../in/a.mp4"
    for name in ("..", "in/../../a", "link/passwd", "/etc/passwd", "", None, "a\0"):
        with pytest.raises(InputError, match="^x: names"):
            inside(tmp_path, name, "x")
