"""One clip of a comparison: its card, and what each metric finds in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from avsim.errors import InputError
from avsim.evaluation.features import Detectors, Features
from avsim.evaluation.ood import OODCheck
from avsim.evaluation.suite import METRICS, Metric
from avsim.report.card import broken, card
from avsim.report.files import WHOLE, Judges, seen_file, shown_file
from avsim.report.html import Html
from avsim.report.listing import Entry
from avsim.report.paired import Judged, judge
from avsim.weights import shipped

SEPARATING = ("grounding", "grounding by a second separator")  # seconds a clip

UNREAD = Judged(None, "can't be read")
FOREIGN = Judged(None, "looks unlike the clips that metrics were calibrated on")


@dataclass(frozen=True, eq=False)
class Examined:
    """A clip's card and its row of each metric, by name."""

    card: Html
    rows: Mapping[str, Judged]


def judges_of(grounding: bool = False) -> Judges:
    """The detectors that metrics need; the separator's only for `grounding`."""
    separator = shipped("separator") if grounding else None
    heard, seen, sync = (shipped(part) for part in ("audio_detector", "video_detector", "sync_model"))
    detectors = Detectors.trained(heard, seen, sync, separator)
    return Judges(detectors, OODCheck.of(detectors.weights.get("video_detector")))


def metrics_for(grounding: bool, pairs: int) -> tuple[list[Metric], list[str]]:
    """The metrics that can say something of so many pairs, and why others are left out."""
    kept, left = [], []
    for metric in METRICS:
        calibration = metric.calibration
        if metric.name in SEPARATING and (not grounding or metric.name == SEPARATING[1]):
            continue
        if metric.min_clips > pairs:
            left.append(f"{metric.name}: needs {metric.min_clips} pairs")
        elif calibration is not None and calibration.failures:
            left.append(f"{metric.name}: failed its calibration")
        else:
            kept.append(metric)
    return kept, left


def examine(
    entry: Entry,
    label: str,
    judges: Judges,
    metrics: Sequence[Metric],
    before: Features | None,
    top: float | None = None,
) -> tuple[Examined, Features | None]:
    """A clip's card and rows; and its features, for the next clip's controls.

    Args:
        entry: the clip.
        label: of its column.
        judges: the detectors.
        metrics: to judge it by.
        before: another clip of the column.
        top: upper end of its spectrogram in Hz.
    """
    names = [metric.name for metric in metrics]
    try:
        seen = seen_file(entry, judges)
        shown = shown_file(entry, seen, top=top)
    except InputError as error:
        made = broken(f"{label}: {entry.name}", str(error))
        return Examined(made, dict.fromkeys(names, UNREAD)), before
    about = {name: value for name, value in entry.stated.items() if name not in ("task", "seed")}
    held = seen.info.seconds <= WHOLE
    made = card(replace(shown, caption="", label=label, about=about, samples=held))
    if seen.features is None:
        return Examined(made, dict.fromkeys(names, FOREIGN)), before
    seen.features.before = before
    rows = {metric.name: judge(metric, seen.features) for metric in metrics}
    seen.features.before = None
    return Examined(made, rows), seen.features
