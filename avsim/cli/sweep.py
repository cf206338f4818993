"""`avsim sweep SWEEP.yaml`: trials of `avsim fit` by Optuna on this machine, and a page of their results."""

import argparse
from pathlib import Path

from avsim.cli import local_path, whole

MOST_TRIALS = 10_000


def add(subparsers: argparse._SubParsersAction) -> None:
    """Add the subcommand's arguments."""
    parser = subparsers.add_parser(
        "sweep",
        help="search settings of avsim fit, on this machine",
        description="Run trials of avsim fit with the parameters of a wandb sweep's yaml (method, metric, "
        "parameters, command), chosen by Optuna, without an account. DIR gets a run for each trial and one "
        "page: parallel coordinates, importance, the best clips. A sweep that was stopped goes on.",
    )
    parser.add_argument("sweep", type=local_path, metavar="SWEEP", help="the yaml of a sweep")
    parser.add_argument("-n", "--count", type=whole(1, MOST_TRIALS), default=10, help="trials (default 10)")
    parser.add_argument("--seed", type=whole(0, 2**32 - 1), default=0, help="of the search (default 0)")
    parser.add_argument(
        "--out", type=local_path, required=True, metavar="DIR", help="for runs and index.html"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Run the trials that are missing, then write the page."""
    from avsim.data.resuming import check_own, check_settings
    from avsim.files import claimed
    from avsim.report.sweep import write_page
    from avsim.training.sweep import open_study, read_sweep, run_trials

    sweep = read_sweep(arguments.sweep)
    folder: Path = arguments.out
    check_own(folder, "sweep")
    with claimed(folder):
        check_settings(folder, {**sweep.plain(), "seed": arguments.seed}, "trials of a sweep")
        study = open_study(sweep, folder, arguments.seed)
        run_trials(
            sweep, study, folder, arguments.count, lambda line: print(line, flush=True), arguments.seed
        )
        print(write_page(sweep, study, folder))
