"""`avsim caption FOLDER`: captions of videos, or of clips in shards, in several styles."""

from __future__ import annotations

import argparse

from avsim.cli import add_allow_module, local_path, seconds, whole


def add(subparsers: argparse._SubParsersAction) -> None:
    """Add the subcommand's arguments."""
    parser = subparsers.add_parser(
        "caption",
        help="write captions of videos, or of clips in shards, in several styles",
        description="Caption the videos of a folder (into NAME.captions.json beside each, which avsim "
        "prepare reads) or the clips of avsim prepare (into their index, before avsim encode). Each training "
        "sample has one of the captions. Run it again to resume.",
    )
    parser.add_argument("folder", type=local_path, metavar="FOLDER", help="of videos, or of avsim prepare")
    parser.add_argument(
        "--captioner",
        default="detectors",
        metavar="NAME",
        help="detectors (default; for clips of the synthetic worlds), transformers:MODEL (a vision-language "
        "model), or module:function with --allow-module",
    )
    parser.add_argument(
        "--seconds", type=seconds, help="length of the spans of a video, each with captions (default 2)"
    )
    parser.add_argument("--seed", type=whole(), default=0, help="of the paraphrases (default %(default)s)")
    add_allow_module(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Caption the folder and print the counts."""
    from rich.console import Console

    from avsim.captioning import caption_folder, caption_shards, captioner_of
    from avsim.data.shards import INDEX, SHARDS
    from avsim.errors import InputError

    folder, name = arguments.folder, arguments.captioner
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    if (folder / INDEX).is_file() or (folder / SHARDS).is_dir():
        if arguments.seconds is not None:
            raise InputError("--seconds is of videos; the clips of shards have their own length")
        made = caption_shards(folder, captioner_of(name), name, arguments.seed)
    else:
        span = 2.0 if arguments.seconds is None else arguments.seconds
        made = caption_folder(folder, captioner_of(name), name, span, arguments.seed)
    console = Console()
    counts = (
        f"captioned: {made.written}; of an earlier run: {made.kept}; passed over: {len(made.passed_over)}"
    )
    console.print(f"{counts} -> {folder}", markup=False, highlight=False)
    for what, why in made.passed_over.items():
        console.print(f"passed over: {what}: {why}", markup=False, highlight=False)
