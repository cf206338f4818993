"""`avsim demo`: clips of the small checkpoint, generated and separated, as files and one page."""

from __future__ import annotations

import argparse
from pathlib import Path

from avsim.cli import local_path, model, whole

PROMPTS = (  # as people write them; they are rewritten as the model's captions
    "hit a bell in a cafe",
    "a golden metal ball drops in a studio",
    "someone on the left plays the violin in a concert hall",
    "knock on a wooden block in a concert hall",
    "a man with a trumpet in the mountains",
    "有人在音乐厅里弹吉他",
)
FAILURES = (
    ("hit a green glass bottle three times in a restaurant", "Counts in prompts are not followed reliably."),
    ("a red rubber cube drops onto the grass in a park", "Falling things blur, and leave ghosts behind."),
    ("tap a white ceramic bowl with a stick in a studio", "A stick is a haze."),
)


def add(subparsers: argparse._SubParsersAction) -> None:
    """Add the subcommand's arguments."""
    parser = subparsers.add_parser(
        "demo",
        help="generate, separate and measure a few clips, and write a page of them",
        description="With the shipped checkpoint: generate clips from prompts in ordinary words, beside the "
        "synthetic world's own clips of the same sentences; audio for a silent clip; a longer clip; separate "
        "each by its regions, measure them, and write DIR/*.mp4 and one page. A minute or two on two cores; "
        "nothing is downloaded or trained.",
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
    from avsim.prompting import rewrite_prompt
    from avsim.report.demo import Prompt, write_page
    from avsim.simulator import load

    def written(text: str) -> Prompt:
        return Prompt(text, rewrite_prompt(text, arguments.checkpoint).prompt)

    separator = _separator(arguments.checkpoint)
    simulator = load(arguments.checkpoint, separator=separator, device=accelerator())
    busy = Console(stderr=True).status("generating, separating and measuring: a minute or two on two cores")
    failures = [(written(text), why) for text, why in FAILURES]
    with claimed(arguments.out), busy:
        page = write_page(
            simulator, [written(text) for text in PROMPTS], arguments.out, arguments.seed, failures
        )
    print(page)


def _separator(checkpoint: str) -> str | None:
    """The separator: the checkpoint's own, else the shipped one."""
    from avsim.simulator.loading import part_folders

    return None if "separator" in part_folders(checkpoint) else "small"
