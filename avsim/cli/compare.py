"""`avsim compare RUN…`: the samples of several runs side by side."""

import argparse
from pathlib import Path

from avsim.cli import local_path


def add(subparsers: argparse._SubParsersAction) -> None:
    """Add the subcommand's arguments."""
    parser = subparsers.add_parser(
        "compare",
        help="compare the samples of runs side by side",
        description="Write one page with a row for each prompt and seed and a column for each run, with the "
        "sound on, from the latest samples of each run.",
    )
    parser.add_argument("runs", nargs="+", type=local_path, metavar="RUN", help="folders of runs")
    parser.add_argument(
        "--out",
        type=local_path,
        default=Path("runs/compare/index.html"),
        metavar="PAGE",
        help="the page (default %(default)s)",
    )
    parser.add_argument(
        "--wandb", action="store_true", help="log the same table to wandb (offline unless WANDB_MODE says so)"
    )
    parser.add_argument(
        "--workspace", action="store_true", help="make the matching wandb workspace (needs an account)"
    )
    parser.add_argument("--project", default="avsim", help="on wandb (default %(default)s)")
    parser.add_argument("--entity", help="user or team on wandb, for --workspace")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Write the page; log the table and the workspace with their flags."""
    import os

    from avsim.errors import InputError
    from avsim.report import compare

    if arguments.workspace and not arguments.entity:
        raise InputError("--workspace needs --entity: the user or team on wandb that owns the project")
    runs = compare.read_runs(arguments.runs)
    print(compare.write_page(runs, arguments.out))
    if arguments.wandb:
        # wandb keeps the media of an offline table here until it is synced, else in the home folder
        os.environ.setdefault("WANDB_DATA_DIR", str(arguments.out.parent.absolute() / "wandb"))
        compare.log_table(runs, arguments.out.parent, arguments.project)
    if arguments.workspace:
        print(compare.save_workspace(runs, arguments.entity, arguments.project))
