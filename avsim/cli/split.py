"""`avsim split LISTS… --out FILE`: published lists -> a split without leaks."""

import argparse

from avsim.cli import local_path, whole


def add(subparsers: argparse._SubParsersAction) -> None:
    """Add the subcommand's arguments."""
    parser = subparsers.add_parser(
        "split",
        help="split published lists (MUSIC, AVE, VGGSound) by source video, or check a split for leaks",
        description="Read lists as MUSIC, MUSIC-21, AVE and VGGSound publish them and write a split: each "
        "source video in one part, with a hash of each. Lists that put one video into two parts are refused. "
        "Without --out, lists or splits are only checked. 'avsim prepare VIDEOS --split FILE' uses one.",
    )
    parser.add_argument(
        "lists", nargs="*", type=local_path, metavar="LIST", help="lists, or one split to check"
    )
    for part in ("train", "validation", "test"):
        parser.add_argument(
            f"--{part}-list",
            action="append",
            default=[],
            type=local_path,
            metavar="LIST",
            help=f"is all in {part}",
        )
    parser.add_argument(
        "--out", type=local_path, metavar="FILE", help="the split, such as data/music.split.json"
    )
    parser.add_argument("--validation", type=float, default=0.1, help="share (default %(default)s)")
    parser.add_argument(
        "--test", type=float, default=0.1, help="share, if no list says (default %(default)s)"
    )
    parser.add_argument("--seed", type=whole(), default=0, help="of the random split (default %(default)s)")
    parser.add_argument(
        "--drop-leaks", action="store_true", help="remove leaks from training, instead of refusing them"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Check or write, and print the size of each part."""
    from avsim.data.published import KIND, Split, make_split
    from avsim.untrusted import read_json

    given = {part: getattr(arguments, f"{part}_list") for part in ("train", "validation", "test")}
    only = arguments.lists[0] if len(arguments.lists) == 1 and not any(given.values()) else None
    if only is not None and only.is_file() and only.suffix == ".json":
        found = read_json(only)
        if isinstance(found, dict) and found.get("kind") == KIND:
            _print(Split.read(only))
            return
    split = make_split(
        arguments.lists,
        arguments.seed,
        arguments.validation,
        arguments.test,
        given,
        arguments.drop_leaks,
    )
    if arguments.out is not None:
        split.write(arguments.out)
    _print(split)


def _print(split) -> None:  # noqa: ANN001
    for part, videos in split.parts.items():
        count = sum(map(len, videos.values()))
        print(f"{part:<11}{len(videos):>7} source videos {count:>7} entries  sha256 {split.hashes[part]}")
