"""The README: its size, its links, and every command and snippet in it."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from avsim.__main__ import TRAINER_VERBS, build_parser
from avsim.weights import SMALL
from tests.running import avsim

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()
# What makes a command of the README small: two steps, few and small batches, little compute per clip.
TINY = ["-c", "configs/size/tiny.yaml", "--data.batch_size=2", "--data.workers=0"]
GENERATOR = ["--model.model.width=32", "--model.model.heads=2", "--model.model.blocks=2"]
SMALLER = {
    "runs/video_codec": [*TINY, "--model.model.widths=[8,8,8]", "--model.model.depths=[1,1,1]"],
    "runs/audio_codec": [*TINY, "--model.model.width=16"],
    "runs/generator": [*TINY, *GENERATOR],
    "runs/seed-1": [*TINY, *GENERATOR],
    "runs/student": TINY,
    "runs/separator": [*TINY, "--model.model.short_side=32", "--model.model.bin_widths=[4,8]"],
    "runs/mine": TINY,
    "runs/beeps": [*TINY, "--model.model.widths=[8,8,8]", "--model.model.depths=[1,1,1]"],
    # `samples.yaml` lists callbacks that `tiny.yaml` would replace, so that it goes behind it.
    "configs/samples.yaml": ["-c", "configs/samples.yaml", "--trainer.callbacks.every_n_steps=2"],
    "prepare": ["--validation", "0.3", "--test", "0.2", "--jobs", "1"],
    "world": ["--jobs", "1"],
}


class Command(NamedTuple):
    section: str
    line: str

    @property
    def arguments(self) -> list[str]:
        return shlex.split(self.line, comments=True)[1:]


def fenced(language: str) -> list[tuple[str, str]]:
    """(Heading, text) of each code block of a language, in order."""
    found, heading = [], ""
    for part in re.finditer(r"^## ([^\n]+)$|^```(\w+)\n(.*?)^```$", TEXT, re.M | re.S):
        heading = part[1] or heading
        if part[2] == language:
            found.append((heading, part[3]))
    return found


LINES = [
    Command(heading, line)
    for heading, block in fenced("bash")
    for line in block.replace("\\\n", " ").splitlines()
]
COMMANDS = [each for each in LINES if each.line.startswith("avsim ")]
INSTALL = [each.line for each in LINES if each.section == "Install"]
IN_TEXT = [Command("", line) for line in re.findall(r"`(avsim [a-z]+ [^`]*-[^`]*)`", TEXT)]


def smaller(arguments: list[str]) -> list[str]:
    """The arguments, with what makes the command small."""
    if arguments[0] != "fit":
        return [*arguments, *SMALLER.get(arguments[0], [])]
    run = arguments[arguments.index("--run") + 1]
    more = SMALLER[run]
    if "configs/samples.yaml" in arguments:  # replaced by `tiny.yaml`, which lists callbacks of its own
        more = [*more, "-c", "configs/samples.yaml"]
    return [*arguments, *more]


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A folder with the configs, as a checkout has them, and room for what commands write."""
    for name in ("configs", "experiments"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def run(place: Path, arguments: list[str]) -> None:
    done = avsim(place / "output", *arguments, cwd=place)
    assert done.code == 0, f"avsim {shlex.join(arguments)}\n{done.err}"


def test_the_readme_is_short():
    lines = TEXT.splitlines()
    assert len(lines) <= 220
    assert [line for line in lines if len(line) > 120] == []


def test_its_links_and_paths_exist():
    links = re.findall(r"\]\(([^)#]+)\)", TEXT)
    assert len(links) > 8
    paths = re.findall(r"`((?:avsim|configs|experiments)/[\w./-]+)`", TEXT)
    for link in [*(link for link in links if "://" not in link), *paths]:
        assert (ROOT / link).exists(), link
    for package in re.findall(r"^\| `(\w+)/`", TEXT, re.M):
        assert (ROOT / "avsim" / package).is_dir(), package


def test_its_measurements_are_those_of_the_experiments():
    results = [path.read_text() for path in (ROOT / "experiments").glob("*/RESULT.md")]
    values = re.findall(r"(\d\.\d\d) \((\d\.\d\d) … (\d\.\d\d)\)", TEXT)
    assert len(values) > 8
    for value, low, high in values:
        row = rf"{value} (\| |\(){low} … {high}"
        assert any(re.search(row, text) for text in results), f"{value} ({low} … {high})"


def test_install_and_test_commands_are_those_that_continuous_integration_runs():
    demo, test = INSTALL
    assert test in (ROOT / ".ci" / "run").read_text()
    assert demo.endswith("&& .venv/bin/avsim demo") and build_parser().parse_args(["demo"]).verb == "demo"


@pytest.mark.parametrize("command", [*COMMANDS, *IN_TEXT], ids=lambda each: each.line[:60])
def test_a_command_is_parsed(command, checkout, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    arguments = [each for each in command.arguments if each not in ("SUBCOMMAND",)]
    if arguments[0] not in TRAINER_VERBS:
        build_parser().parse_args(arguments)
        return
    assert arguments[0] == "fit" and "--run" in arguments
    if "mylib" in arguments:  # a class of the reader's own; its command is run below
        return
    done = avsim(checkout / "output", *arguments, "--print_config", cwd=checkout)
    assert done.code == 0 and "class_path" in done.out, done.err


def run_snippets(heading: str, first: int = 0) -> dict:
    """Execute a section's snippets from the `first` on in one namespace; returns the namespace."""
    snippets = [text for each, text in fenced("python") if each == heading][first:]
    assert snippets
    names: dict = {}
    for snippet in snippets:
        exec(compile(snippet, "README.md", "exec"), names)
    return names


def test_python_snippets_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = run_snippets("Five minutes in Python")
    clip, spec = names["clip"], names["clip"].spec
    assert tuple(clip.frames.shape) == (3, 32, 64, 64) and tuple(clip.wave.shape) == (2, 32000)
    assert (names["dubbed"].frames - avsim_read("ball.mp4").frames).abs().max() == 0
    assert (names["seen"].wave == clip.wave).all() and names["moving"].spec == spec
    assert names["longer"].seconds == clip.seconds + 1


def test_the_snippet_that_adds_audio_runs(monkeypatch):
    """On a tiny transformer in place of the published one, which is not fetched."""
    diffusers = pytest.importorskip("diffusers")
    from tests.models import tiny

    fetched: list = []
    monkeypatch.setattr(
        diffusers.WanTransformer3DModel,
        "from_pretrained",
        lambda *where, **options: fetched.append((where, options)) or tiny.wan(),
    )
    names = run_snippets("Add a model or a dataset", first=1)
    assert fetched == [(("Wan-AI/Wan2.1-T2V-1.3B-Diffusers",), {"subfolder": "transformer"})]
    assert len(names["model"].fusion) == names["model"].video.depth


def avsim_read(path: str):
    from avsim import Clip

    return Clip.read(path)


@pytest.mark.slow
def test_commands_of_five_minutes_run_in_order(checkout):
    commands = [each for each in COMMANDS if each.section == "Five minutes on the command line"]
    assert len(commands) > 7
    (checkout / "p.txt").write_text("a bell rings in a cafe\n")  # the reader's own prompts and model
    (checkout / "runs").mkdir()
    (checkout / "runs/mine").symlink_to(SMALL)
    for command in commands:
        run(checkout, smaller(command.arguments))
    written = {path.relative_to(checkout).parts[0] for path in checkout.rglob("*") if path.is_file()}
    assert {"ball.mp4", "bells", "dubbed.mp4", "stems", "compare.html", "report", "bench", "world"} <= written


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_training_on_one_s_own_videos_runs_in_order(checkout, monkeypatch):
    world = ["world", "--level", "medium", "-n", "8", "--seconds", "4", "--jobs", "1", "--out", "videos"]
    run(checkout, world)
    sections = ("Train on your own videos", "Add a model or a dataset")
    for command in (each for each in COMMANDS if each.section == sections[0]):
        run(checkout, smaller(command.arguments))
    assert (checkout / "compare.html").is_file() and (checkout / "mine.mp4").is_file()

    snippet = next(text for heading, text in fenced("python") if heading == sections[1])
    (checkout / "mylib.py").write_text(snippet)
    path = os.pathsep.join([str(checkout), str(ROOT)])
    for line in (each.line for each in LINES if each.section == sections[1]):
        arguments = shlex.split(line)
        if arguments[0] == "avsim":
            arguments = ["python", "-m", "avsim", *smaller(arguments[1:])]
        done = subprocess.run(
            [sys.executable, *arguments[1:]],
            cwd=checkout, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, f"{line}\n{done.stderr}"
