"""`avsim compare A B…`: runs, folders of clips or checkpoints side by side, with paired differences."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from avsim.cli import MOST_STEPS, add_allow_module, local_path, model, page_path, whole, words

if TYPE_CHECKING:
    from avsim.report.columns import Column


def add(subparsers: argparse._SubParsersAction) -> None:
    """Add the subcommand's arguments."""
    parser = subparsers.add_parser(
        "compare",
        help="compare runs, folders of clips or checkpoints side by side",
        description="Write one page: the paired difference of each metric with its 95 % interval, metrics "
        "over steps, settings that differ, cost, and the clips of each prompt playing together. Clips are "
        "matched by prompt and seed, by prompt, or by file name. A is the first column; the others are "
        "compared with it.",
    )
    parser.add_argument(
        "columns",
        nargs="*",
        type=model,
        metavar="A",
        help="runs with samples, folders of clips, or (with --prompts) checkpoints",
    )
    parser.add_argument(
        "--out",
        type=page_path,
        default=Path("runs/compare/index.html"),
        metavar="PAGE",
        help="the page, or a folder for its index.html (default %(default)s)",
    )
    parser.add_argument(
        "--prompts",
        type=local_path,
        metavar="FILE",
        help="generate with the checkpoints: a prompt a line, or .jsonl with prompt and seed",
    )
    parser.add_argument("--seed", type=whole(), default=0, help="of the first prompt (default %(default)s)")
    parser.add_argument("--steps", type=whole(1, MOST_STEPS), help="of the sampler (default 8)")
    parser.add_argument(
        "--grounding", action="store_true", help="measure grounding too (a second or two for each clip)"
    )
    parser.add_argument(
        "--blind", action="store_true", help="write a blind listening test of two columns and its key instead"
    )
    parser.add_argument("--question", type=words, metavar="TEXT", help="of the listening test")
    parser.add_argument(
        "--votes", type=local_path, nargs="+", metavar="FILE", help="print the win rate of saved votes"
    )
    parser.add_argument(
        "--key", type=local_path, metavar="FILE", help="of the listening test (default: that beside --out)"
    )
    parser.add_argument(
        "--wandb", action="store_true", help="log the tables to wandb (offline unless WANDB_MODE says so)"
    )
    parser.add_argument(
        "--workspace", action="store_true", help="make the matching wandb workspace (needs an account)"
    )
    parser.add_argument(
        "--report", action="store_true", help="make the matching wandb report (needs an account)"
    )
    parser.add_argument("--project", default="avsim", help="on wandb (default %(default)s)")
    parser.add_argument("--entity", help="user or team on wandb, for --workspace and --report")
    add_allow_module(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Write the page, or the listening test; or read its votes."""
    import os

    _check(arguments)
    if arguments.votes:
        from avsim.report.listening import key_of, outcome

        print(outcome(arguments.votes, arguments.key or key_of(arguments.out)).text)
        return
    columns = _columns(arguments)
    if arguments.blind:
        from avsim.report.listening import QUESTION, write_listening_test

        question = arguments.question or QUESTION
        page, key = write_listening_test(columns, arguments.out, arguments.seed, question)
        print(page)
        print(f"key: {key}")
        return
    from avsim.report.compare import compare, write_page

    found = compare(columns, arguments.grounding)
    print(write_page(found, arguments.out))
    for column in columns[1:]:
        decided = [each for each in found.differences[column.name] if each.verdict in ("better", "worse")]
        words = "; ".join(f"{each.verdict} in {each.metric}" for each in decided)
        print(f"{column.title} against {columns[0].title}: {words or 'undecided in every metric'}")
    if arguments.wandb or arguments.workspace or arguments.report:
        from avsim.report import compare_wandb

        if arguments.wandb:
            # wandb keeps the media of an offline table here until it is synced, else in the home folder
            os.environ.setdefault("WANDB_DATA_DIR", str(arguments.out.parent.absolute() / "wandb"))
            compare_wandb.log_table(columns, arguments.out.parent, arguments.project, found.differences)
        to = columns, arguments.entity, arguments.project
        if arguments.workspace:
            print(compare_wandb.save(compare_wandb.workspace(*to)))
        if arguments.report:
            print(compare_wandb.save(compare_wandb.report(*to)))


def _check(arguments: argparse.Namespace) -> None:
    """Check the arguments before any work.

    Raises:
        InputError: some that don't go together.
    """
    from avsim.errors import InputError

    for what in ("workspace", "report"):
        if getattr(arguments, what) and not arguments.entity:
            raise InputError(f"--{what} needs --entity: the user or team on wandb that owns the project")
    if arguments.votes:
        if arguments.columns:
            raise InputError("--votes: reads votes alone; name no folders beside it")
        return
    if arguments.key is not None:
        raise InputError("--key: is for --votes, which is missing")
    if not arguments.columns:
        raise InputError("nothing to compare; name runs, folders of clips or checkpoints (see --help)")
    from avsim.report.html import check_own_page

    check_own_page(arguments.out)
    if arguments.question is not None and not arguments.blind:
        raise InputError("--question: is of a listening test; --blind is missing")
    if arguments.steps is not None and arguments.prompts is None:
        raise InputError("--steps: is for checkpoints; --prompts FILE is missing")


def _columns(arguments: argparse.Namespace) -> list[Column]:
    """The columns; checkpoints generate into a folder beside the page first."""
    from avsim.report.columns import read_columns

    if arguments.prompts is None:
        return read_columns(arguments.columns)
    from avsim.report.generated import generate_column, is_checkpoint, read_prompts

    prompts = read_prompts(arguments.prompts, arguments.seed)
    folders: list[Path] = []
    costs: dict[int, dict[str, str]] = {}
    beside = arguments.out.parent / f"{arguments.out.stem}-clips"
    for number, given in enumerate(arguments.columns):
        if not is_checkpoint(given):
            folders.append(Path(given))
            continue
        folder = beside / f"{Path(given).resolve().name if Path(given).is_dir() else given.replace('/', '-')}"
        folder = folder if folder not in folders else folder.with_name(f"{folder.name}-{number}")
        costs[number] = generate_column(given, prompts, folder, arguments.steps)
        folders.append(folder)
    return read_columns(folders, costs)
