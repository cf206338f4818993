"""`avsim page FOLDER`: a page that shows and plays every clip of a folder."""

import argparse
from pathlib import Path

from avsim.cli import local_path, page_path


def add(subparsers: argparse._SubParsersAction) -> None:
    """Add the subcommand's arguments."""
    parser = subparsers.add_parser(
        "page",
        help="show the clips of a folder on one page",
        description="Write one page of a folder's clips: each plays beside its frames, waveform and "
        "spectrogram, with detected events and onsets, its prompt (of samples.json, prompts.jsonl or a file "
        "beside it), and the facts of the prompt that detectors find.",
    )
    parser.add_argument("folder", type=local_path, metavar="FOLDER", help="a folder of videos")
    parser.add_argument(
        "--out",
        type=page_path,
        default=None,
        metavar="PAGE",
        help="the page, or a folder for it (default: FOLDER/index.html)",
    )
    parser.add_argument(
        "--linked", action="store_true", help="play the clips where they lie (default: the page holds them)"
    )
    parser.add_argument("--no-detect", action="store_true", help="run no detectors")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Write the page."""
    from avsim.errors import InputError
    from avsim.report.folder import write_folder_page

    folder: Path = arguments.folder
    if arguments.out is not None and arguments.out.is_dir():
        raise InputError(f"--out {arguments.out}: is a folder; expected the name of a page")
    print(write_folder_page(folder, arguments.out, arguments.linked, not arguments.no_detect))
