"""`avsim demo`: clips of the small checkpoint, generated and separated, as files and one page."""

from __future__ import annotations

import argparse
from pathlib import Path

from avsim.cli import local_path, model, whole

PROMPTS = (
    "a golden metal ball falls in a studio",
    "a red rubber cube drops onto grass in a national park",
    "a brown wooden block is struck by a stick in a concert hall",
    "a stick strikes a green glass bottle 3 times in a restaurant",
    "a turquoise ceramic bowl is struck by a stick, and a white ceramic bowl stands untouched in a studio",
    "a golden bell is struck in a restaurant",
    "someone plays a violin on the left in a concert hall",
    "a trumpet is played in a national park",
)


def add(subparsers: argparse._SubParsersAction) -> None:
    """Add the subcommand's arguments."""
    parser = subparsers.add_parser(
        "demo",
        help="generate, separate and measure a few clips, and write a page of them",
        description="With the shipped checkpoint: generate clips from eight prompts, audio for a silent "
        "clip, and a clip from an image; separate each by its regions, measure them, and write DIR/*.mp4 "
        "and one page with players. SceneVariants a minute on two cores; nothing is downloaded or trained.",
    )
    parser.add_argument(
        "--checkpoint",
        type=model,
        default="small",
        metavar="MODEL",
        help="a run, a hub id, or the shipped model (default %(default)s)",
    )
    parser.add_argument("--seed", type=whole(), default=0, help="of all clips (default %(default)s)")
    parser.add_argument(
        "--out",
        type=local_path,
        default=Path("runs/demo"),
        metavar="DIR",
        help="folder for the clips and index.html (default %(default)s)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Generate, separate, measure, write the page.

    Raises:
        InputError: a checkpoint that lacks a part, a folder that can't be written or is being written to.
    """
    from rich.console import Console

    from avsim.devices import accelerator
    from avsim.files import claimed
    from avsim.report.demo import write_page
    from avsim.simulator import load

    separator = _separator(arguments.checkpoint)
    simulator = load(arguments.checkpoint, separator=separator, device=accelerator())
    busy = Console(stderr=True).status("drawing, separating and judging: a minute of two cores")
    with claimed(arguments.out), busy:
        page = write_page(simulator, PROMPTS, arguments.out, arguments.seed)
    print(page)


def _separator(checkpoint: str) -> str | None:
    """The separator: the checkpoint's own, else the shipped one."""
    from avsim.simulator.loading import part_folders

    return None if "separator" in part_folders(checkpoint) else "small"
