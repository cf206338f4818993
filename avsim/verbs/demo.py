"""`avsim demo`: a small world, four short trainings, and one page of what they can do by then."""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from avsim.errors import InputError

if TYPE_CHECKING:
    from avsim.report.demo import Trained

TRAININGS = ("video_codec", "audio_codec", "generator", "separator")
LATENTS = "latents"
CLIPS = 256  # of the world, that the generator learns from


def add(subparsers: argparse._SubParsersAction) -> None:
    """Add the verb's arguments."""
    parser = subparsers.add_parser(
        "demo",
        help="make a world, train on it for minutes, and write a page of what came of it",
        description="Make a small world of things that fall, are struck and sound, train codecs, generator "
        "and separator on it for about a minute each, generate, separate, and write one page with players "
        "that have sound. Nothing is downloaded.",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs/demo"),
        metavar="DIR",
        help="folder for the trainings and index.html; replaces an earlier demo (default %(default)s)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Train, then write the page."""
    from avsim.report.demo import write_page
    from avsim.simulator import load

    trained = train(arguments.out)
    _say("drawing, separating, writing the page")
    simulator = load(arguments.out / "generator", separator=arguments.out / "separator")
    print(write_page(simulator, trained, arguments.out / "index.html"))


def train(out: Path, clips: int = CLIPS, options: Sequence[str] = ()) -> dict[str, Trained]:
    """Train all four parts in `out`, each by `avsim fit` with its yaml of configs/demo and further `options`.

    Raises:
        InputError: the folder can't be written, or another avsim writes there.
    """
    from avsim.clip import ClipSpec
    from avsim.data.encode import encode
    from avsim.data.sources import WorldSource
    from avsim.files import claimed

    trained = {}
    with claimed(out):
        for name in (*TRAININGS, LATENTS):
            shutil.rmtree(out / name, ignore_errors=True)
        for name in TRAININGS:
            more = list(options)
            if name == "generator":
                _say(f"{clips} clips of the world through the codecs")
                see, hear = (out / part / "simulator" / part for part in ("video_codec", "audio_codec"))
                source = WorldSource("easy", count=clips)
                encode({"train": source}, ClipSpec(), see, hear, out / LATENTS)
                more += [f"--data.folder={out / LATENTS}"]
                more += [f"--model.video_codec={see}", f"--model.audio_codec={hear}"]
            _say(f"training the {name.replace('_', ' ')}")
            trained[name] = _fit(out, name, more)
    return trained


def _fit(out: Path, name: str, options: Sequence[str]) -> Trained:
    """One `avsim fit`."""
    from avsim.report.demo import Trained
    from avsim.verbs import cli
    from avsim.weights import CONFIG

    folder, start = _configs(), time.monotonic()
    files = [folder / "base.yaml", folder / "demo" / "shared.yaml", folder / "demo" / f"{name}.yaml"]
    chosen = [argument for file in files for argument in ("-c", str(file))]
    rest = [*chosen, "--run", str(out / name), *options]
    cli.run(argparse.Namespace(verb="fit", rest=rest))
    exported = json.loads((out / name / "simulator" / name / CONFIG).read_text())
    return Trained(exported["notes"]["step"], time.monotonic() - start)


def _configs() -> Path:
    """The checkout's folder of yaml files."""
    folder = Path(__file__).parents[2] / "configs"
    if not (folder / "demo").is_dir():
        raise InputError(f"{folder}: no such folder; the demo runs from a checkout of avsim")
    return folder


def _say(what: str) -> None:
    from rich.console import Console

    Console().rule(what, align="left")
