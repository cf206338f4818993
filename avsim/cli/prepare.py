"""`avsim prepare VIDEOS… --out DIR`: videos -> shards of clips."""

import argparse

from avsim.cli import check_clip, local_path, rate, seconds, size, whole


def add(subparsers: argparse._SubParsersAction) -> None:
    """Add the subcommand's arguments."""
    parser = subparsers.add_parser(
        "prepare",
        help="cut videos into shards of clips",
        description="Cut videos into clips within shots, drop black, frozen, silent and unreadable ones, and "
        "write them to shards. Run it again to resume. Captions are read from "
        "files beside a video that have its name: NAME.txt, one caption of the whole video; NAME.json, "
        '{"caption": "a violin plays"} or [{"start": 0, "end": 4.5, "caption": "a bell rings"}]; NAME.csv, '
        "columns start, end, caption, in seconds.",
    )
    parser.add_argument(
        "videos", nargs="+", type=local_path, metavar="VIDEO", help="video files, or folders of them"
    )
    parser.add_argument("--out", type=local_path, required=True, metavar="DIR", help="folder for the shards")
    parser.add_argument("--seconds", type=seconds, default=2.0, help="length of a clip (default %(default)s)")
    parser.add_argument(
        "--stride", type=seconds, help="seconds from clip to clip in a shot (default: --seconds)"
    )
    parser.add_argument("--size", type=size, default=(64, 64), metavar="WxH", help="pixels (default 64x64)")
    parser.add_argument("--fps", type=rate, default=16.0, help="frames per second (default %(default)s)")
    parser.add_argument(
        "--sample-rate", type=whole(1, 768000), default=16000, help="Hz (default %(default)s)"
    )
    parser.add_argument("--channels", type=int, default=2, choices=(1, 2), help="audio channels (default 2)")
    parser.add_argument("--jobs", type=whole(1, 1024), help="processes (default: one per core)")
    parser.add_argument("--seed", type=whole(), default=0, help="of the splits (default %(default)s)")
    parser.add_argument("--validation", type=float, default=0.1, help="share (default %(default)s)")
    parser.add_argument("--test", type=float, default=0.1, help="share (default %(default)s)")
    parser.add_argument(
        "--split",
        type=local_path,
        metavar="FILE",
        help="a file of avsim split: the split of each video, and captions",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Prepare the videos and print the counts."""
    import os
    import sys

    from rich.console import Console
    from rich.table import Table

    from avsim.clip import ClipSpec
    from avsim.data.prepare import prepare
    from avsim.data.videos import uncaptioned

    height, width = arguments.size
    spec = ClipSpec(
        arguments.seconds, height, width, arguments.fps, arguments.sample_rate, arguments.channels
    )
    check_clip(spec)
    made = prepare(
        arguments.videos,
        arguments.out,
        spec,
        stride=arguments.stride,
        jobs=os.cpu_count() or 1 if arguments.jobs is None else arguments.jobs,
        seed=arguments.seed,
        validation=arguments.validation,
        test=arguments.test,
        split_file=arguments.split,
    )
    table = Table("", "count", title=f"{made.videos} videos, {made.shots} shots -> {arguments.out}")
    for split in ("train", "validation", "test"):
        table.add_row(f"clips to {split}", str(made.clips.get(split, 0)))
    for reason, count in made.dropped.items():
        table.add_row(f"dropped: {reason}", str(count))
    table.add_row("videos passed over", str(len(made.passed_over)))
    console = Console()
    console.print(table)
    if warning := uncaptioned(made.uncaptioned, sum(made.clips.values())):
        print(warning, file=sys.stderr)
    for why in made.passed_over.values():
        console.print(f"passed over: {why}", markup=False, highlight=False)
