"""`avsim bench`: AV-Truth, a benchmark of foley and of metrics on counterfactual pairs with exact truth."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avsim.cli import add_allow_module, check_clip, local_path, model, names, rate, seconds, size, whole

if TYPE_CHECKING:
    from avsim.benchmark.metrics import Sensitivity
    from avsim.benchmark.score import BenchScore

BASELINES = ("truth", "codec", "shuffled", "silence", "triggered", "model", "prompted")
MOST_PAIRS = 10_000


def add(subparsers: Any) -> None:
    """Add the subcommand's arguments."""
    parser = subparsers.add_parser(
        "bench",
        help="AV-Truth: score foley, and metrics, against exact truth",
        description="A benchmark of synthetic clips in counterfactual pairs: exactly one fact differs "
        "(material, size, side, speed, room, order, target); all hits keep their times.",
    )
    ways = parser.add_subparsers(dest="way", required=True, metavar="WAY", parser_class=type(parser))

    make = ways.add_parser(
        "make",
        help="write the silent videos and their true audio",
        description="Write the benchmark: videos/NAME.mp4 without audio, for a model to make audio for, "
        "truth/NAME.wav and bench.json. Run it again to resume.",
    )
    make.add_argument("--out", type=local_path, required=True, metavar="DIR", help="folder for the benchmark")
    make.add_argument(
        "-n",
        "--count",
        type=whole(1, MOST_PAIRS),
        default=16,
        help="pairs of each change (default %(default)s)",
    )
    make.add_argument("--change", type=names, metavar="NAME,…", help="which facts change (default: all)")
    make.add_argument("--seed", type=whole(), default=0, help="of the scenes (default %(default)s)")
    make.add_argument("--seconds", type=seconds, default=2.0, help="length of a clip (default %(default)s)")
    make.add_argument("--size", type=size, metavar="WxH", default=(64, 64), help="pixels (default 64x64)")
    make.add_argument("--fps", type=rate, default=16.0, help="frames per second (default %(default)s)")
    make.add_argument(
        "--sample-rate", type=whole(8000, 192000), default=16000, help="Hz (default %(default)s)"
    )
    make.add_argument("--jobs", type=whole(1, 1024), help="processes (default: one per core)")
    make.set_defaults(way_run=_make)

    score = ways.add_parser(
        "score",
        help="score folders of audio for the benchmark's videos",
        description="Score folders with one file per video (NAME.mp4, .wav, …) and baselines: the share of "
        "pairs whose audio fits its own truth (chance 0.5), onset F1, delay and loudness. A missing file "
        "counts as wrong.",
    )
    score.add_argument("folders", nargs="*", type=local_path, metavar="FOLDER", help="a model's outputs")
    _add_bench(score)
    score.add_argument(
        "--baseline", nargs="+", choices=BASELINES, default=[], metavar="NAME",
        help=f"baselines to score as well: {', '.join(BASELINES)}",
    )  # fmt: skip
    score.add_argument(
        "--checkpoint", type=model, default="small", metavar="RUN",
        help="of the baselines codec, model and prompted (default: the shipped model)",
    )  # fmt: skip
    score.add_argument("--out", type=local_path, required=True, metavar="DIR", help="for scores.json and .md")
    add_allow_module(score)
    score.set_defaults(way_run=_score)

    metrics = ways.add_parser(
        "metrics",
        help="score metrics: does each notice one wrong fact?",
        description="For each metric: how often a clip with true audio gets a better value than with one "
        "wrong fact, a delay, a gain or a panning (AUROC with its 95 % interval; 0.5 is chance).",
    )
    _add_bench(metrics)
    metrics.add_argument(
        "--metric", nargs="+", metavar="NAME", help="names of avsim's metrics (default: all of single clips)"
    )
    metrics.add_argument(
        "--out", type=local_path, required=True, metavar="DIR", help="for metrics.json and .md"
    )
    metrics.set_defaults(way_run=_metrics)
    parser.set_defaults(run=run)


def _add_bench(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--bench", type=local_path, required=True, metavar="DIR", help="the folder of avsim bench make"
    )


def run(arguments: argparse.Namespace) -> None:
    """Do the chosen part."""
    arguments.way_run(arguments)


def _make(arguments: argparse.Namespace) -> None:
    import os

    from avsim.benchmark.make import make
    from avsim.benchmark.pairs import CHANGES
    from avsim.clip import ClipSpec

    height, width = arguments.size
    spec = ClipSpec(arguments.seconds, height, width, arguments.fps, arguments.sample_rate, 2)
    check_clip(spec)
    jobs = os.cpu_count() or 1 if arguments.jobs is None else arguments.jobs
    changes = arguments.change or tuple(CHANGES)
    bench = make(arguments.out, spec, arguments.count, arguments.seed, changes, jobs)
    print(f"{len(bench.clips)} clips, {len(bench.pairs())} pairs -> {arguments.out}")


def _score(arguments: argparse.Namespace) -> None:
    from avsim.benchmark.baselines import baseline
    from avsim.benchmark.make import Bench
    from avsim.benchmark.score import score, score_folder, table
    from avsim.errors import InputError
    from avsim.report.listing import titles

    if not (arguments.folders or arguments.baseline):
        raise InputError("nothing to score: give a model's folder, or --baseline NAME")
    bench = Bench.read(arguments.bench)
    made = [score(bench, baseline(name, bench, arguments.checkpoint), name) for name in arguments.baseline]
    names = titles(arguments.folders)
    made += [score_folder(bench, *each) for each in zip(arguments.folders, names, strict=True)]
    for one in made:
        for line in one.missing[:3]:
            print(f"{one.name}: counts as wrong: {line}")
    _write(arguments.out, "scores", made, table(made))


def _metrics(arguments: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.progress import Progress

    from avsim.benchmark.make import Bench
    from avsim.benchmark.metrics import sensitivities, table
    from avsim.errors import InputError
    from avsim.evaluation.features import Detectors
    from avsim.evaluation.suite import METRICS

    known = {metric.name: metric for metric in METRICS if metric.min_clips == 1 and metric.floor}
    if unknown := [name for name in arguments.metric or () if name not in known]:
        raise InputError(f"--metric {unknown[0]!r}: expected some of {', '.join(map(repr, known))}")
    chosen = [known[name] for name in arguments.metric or known]
    bench = Bench.read(arguments.bench)
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("measuring", total=len(bench.clips))
        found = [*sensitivities(bench, chosen, Detectors.shipped(), lambda: progress.advance(task))]
    _write(arguments.out, "metrics", found, table(found))


def _write(folder: Path, name: str, found: Sequence[BenchScore | Sensitivity], text: str) -> None:
    """Results as FOLDER/NAME.json, and their table as NAME.md and on the screen."""
    import json

    from avsim.files import atomic

    with atomic(folder / f"{name}.json") as temporary:
        temporary.write_text(json.dumps([one.plain() for one in found], indent=1))
    with atomic(folder / f"{name}.md") as temporary:
        temporary.write_text(text + "\n")
    print(text)
