"""The metric suite: all metrics, and the corruptions that each must detect."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from avsim.evaluation.calibration import LEAST_AUROC, Calibration
from avsim.evaluation.events import EventSynchrony, Offset
from avsim.evaluation.faults import VisibleFaults, gradient_energy, log_sharpness
from avsim.evaluation.features import Features
from avsim.evaluation.grounding import Grounding
from avsim.evaluation.integrity import Integrity
from avsim.evaluation.metric import ClipScorer
from avsim.evaluation.physics import ABOUT, ROWS, PhysicsProbes
from avsim.evaluation.regions import sounding_regions
from avsim.evaluation.result import NotJudged, Reason, Score
from avsim.evaluation.space import Space
from avsim.evaluation.text import TextAgreement, facts_of_caption, sounding_things
from avsim.perception.matching import match
from avsim.perception.vocabulary import INSTRUMENTS
from avsim.world.flat.faults import FAULTS

CALIBRATIONS = Path(__file__).parent / "calibrations"  # NAME.json, committed with the weights
OOD_EMBEDDING = "world-trained video features"  # the embedding of `OOD_CHECK`


@dataclass(frozen=True)
class Metric:
    """A metric: its scorer, and how it is computed from the features of a clip."""

    name: str
    about: str  # one sentence for reports
    scorer: Callable[[], ClipScorer]
    update: Callable[[ClipScorer, Features], None]  # calls the scorer's `update`, or raises NotJudged
    corruptions: tuple[str, ...] = ()  # that it must detect
    floor: bool = True  # whether clips with each other's audio give its floor
    uses: tuple[str, ...] = ()  # trained parts; its calibration holds for their weights
    least: float = LEAST_AUROC  # that it must reach against each of `corruptions`
    min_clips: int = 1  # more than 1 for metrics that compare sets of clips
    shuffles: int = 1  # earlier clips whose audio each video is paired with for the floor

    @property
    def calibration(self) -> Calibration | None:
        """Its committed calibration; None where there is none."""
        path = CALIBRATIONS / f"{self.name.replace(' ', '-')}.json"
        return Calibration.load(path) if path.is_file() else None


def _synchrony(scorer: ClipScorer, found: Features) -> None:
    seen = [event.seconds for event in found.view.events]
    heard = [onset.seconds for onset in found.onsets]
    expected = 0 if heard and seen else sounding_things(found.caption)
    scorer.update(heard, seen, found.clip.frames_per_second, found.clip.seconds, expected)


def _offset(scorer: ClipScorer, found: Features) -> None:
    scorer.update(found.offset)


def _space(scorer: ClipScorer, found: Features) -> None:
    if found.wave.shape[0] != 2:
        raise NotJudged(Reason.MONO)
    heard = [onset.seconds for onset in found.onsets]
    events = found.view.events
    pairs = match(heard, [event.seconds for event in events], 1 / found.clip.frames_per_second)
    scorer.update(
        found.wave,
        found.clip.sample_rate,
        [heard[i] for i, _ in pairs],
        [events[j].x for _, j in pairs],
        [events[j].kind in INSTRUMENTS for _, j in pairs],
    )


def _physics(scorer: ClipScorer, found: Features) -> None:
    scorer.update(found.clip, found.onsets, found.heard, found.view)


def _integrity(scorer: ClipScorer, found: Features) -> None:
    scorer.update(found.view.things, found.clip.frames_per_second)


def _faults(scorer: ClipScorer, found: Features) -> None:
    faults, view = found.faults, _if_any(found, "view")
    sharp = math.nan if view is None else log_sharpness(gradient_energy(found.clip, view.things))
    scorer.update(faults, sharp)


def _text(scorer: ClipScorer, found: Features) -> None:
    facts = facts_of_caption(found.caption)
    view, heard = (_if_any(found, name) for name in ("view", "heard"))
    if view is None and heard is None:
        raise NotJudged(Reason.NO_DETECTOR)
    scorer.update(facts, view, heard)


def _grounding(scorer: ClipScorer, found: Features, second: bool = False) -> None:
    separate = found.detectors.second if second else found.detectors.separate
    if separate is None:
        raise NotJudged(Reason.NO_DETECTOR)
    if found.clip.wave is None:
        raise NotJudged(Reason.NO_AUDIO)
    regions = sounding_regions(found.view, found.clip.spec.size, found.clip.spec.frames_per_second)
    if not regions:
        raise NotJudged(Reason.NOTHING_HAPPENS)
    if found.before is None or found.before.clip.wave is None:
        raise NotJudged(Reason.ALONE)
    scorer.update(found.clip, regions, separate, found.before.clip)


def _if_any(found: Features, name: str) -> Any:
    """A feature, or None where it can't be computed."""
    try:
        return getattr(found, name)
    except NotJudged:
        return None


# No metric must detect shifts of 40 and 80 ms: a tolerance of a frame (62 ms at 16 fps) forgives the first,
# and both are near the 20 to 60 ms that people don't notice (ITU-R BT.1359).
SHIFTED = ("shuffled", "shifted by 160 ms", "shifted by 320 ms")
GROUNDED = 0.95  # least AUROC of truth against swapped audio
SEEN = 0.95  # least AUROC of truth against a fault that a person notices, of both through the codec too
CODED = ", through codecs"  # ends the name of a fault in a clip that then went through the codecs
BOTH_DETECTORS = ("audio_detector", "video_detector")
MIN_CLIPS = 16  # least number of clips for a distance between sets
MANY = 64  # and for a correlation over the few clips that have two hits of one thing, or a single body
SHUFFLES = 8  # floors to average: a single one varies from -0.3 to 0.3
CORRUPTIONS_OF_ROWS: dict[
    str, tuple[str, ...]
] = {  # rows of the physics probes -> the corruptions that each must detect
    "1 identity and material": ("shuffled", "wrong material"),
    "2 speed and loudness": ("shuffled",),
    "3 place and decay": ("shuffled", "wrong place"),
    "4 timbre": ("shuffled",),
    "5 size, pitch and bounces": ("shuffled",),
    "6 superposition": ("shuffled",),
}
CORRELATIONS = ("2 speed and loudness", "5 size, pitch and bounces")  # over clips; one clip has none
METRICS: tuple[Metric, ...] = (
    Metric(
        "synchrony of events",
        "Onsets in the audio against events in the video, one to one, within a frame and a half.",
        EventSynchrony,
        _synchrony,
        corruptions=SHIFTED,
        uses=BOTH_DETECTORS,
    ),
    Metric(
        "offset",
        "By how much the audio is later than the video, by the sync model. The shipped one also guides the "
        "small checkpoint, whose clips it therefore can't judge.",
        Offset,
        _offset,
        corruptions=("shifted by 160 ms", "shifted by 320 ms"),
        uses=("sync_model",),
    ),
    Metric(
        "space",
        "Level and time differences between the channels against the positions of events in the video.",
        Space,
        _space,
        corruptions=("mirrored", "swapped channels"),
        uses=BOTH_DETECTORS,
    ),
    Metric(
        "physics",
        "Six rows on whether the audio fits the video: identity and material, speed and loudness, place "
        "and decay, timbre, size and pitch and bounces, superposition.",
        PhysicsProbes,
        _physics,
        # One wrong thing changes one row of six; the mean of all rows must detect unrelated audio.
        corruptions=("shuffled",),
        uses=BOTH_DETECTORS,
        shuffles=SHUFFLES,
    ),
    *(
        Metric(
            f"physics, {row}",
            ABOUT[row],
            partial(PhysicsProbes, row),
            _physics,
            corruptions=CORRUPTIONS_OF_ROWS[row],
            uses=BOTH_DETECTORS,
            min_clips=MANY if row in CORRELATIONS else 1,
            shuffles=SHUFFLES,
        )
        for row in ROWS
    ),
    Metric(
        "integrity of things",
        "Number, kind, colour and size of each thing along the clip, and its acceleration in free fall.",
        Integrity,
        _integrity,
        corruptions=("spliced",),
        floor=False,
        uses=("video_detector",),
    ),
    Metric(
        "visible faults",
        "Ghosts, fading, smears, flicker, doubles, lost edges and the like in frames; how sharp things are.",
        VisibleFaults,
        _faults,
        corruptions=tuple(f"{name}{how}" for how in ("", CODED) for name in FAULTS),
        floor=False,
        uses=("fault_detector",),
        least=SEEN,
    ),
    *(
        Metric(
            f"grounding{by}",
            f"The share of the audio's energy that {whose} assigns to what is seen to sound; with controls.",
            Grounding,
            partial(_grounding, second=second),
            # In a mirrored clip regions are mirrored too; the metric's own control moves the video under
            # regions that stay.
            corruptions=("shuffled",),
            uses=("video_detector", part),
            least=GROUNDED,
        )
        for by, whose, part, second in (
            ("", "a separator", "separator", False),
            (" by a second separator", "a separator trained independently", "second separator", True),
        )
    ),
    Metric(
        "text",
        "Whether the caption's facts are seen and heard: things, materials, colours, sides, count, place.",
        TextAgreement,
        _text,
        corruptions=("shuffled", "another's caption"),
        uses=BOTH_DETECTORS,
    ),
)


def value_of_clip(metric: Metric, found: Features) -> float:
    """A metric's value of one clip, higher is better; nan where it can't be judged."""
    scorer = metric.scorer()
    try:
        metric.update(scorer, found)
    except NotJudged:
        return math.nan
    rows = scorer.rows
    return scorer.each(rows)[0].item() if len(rows) else math.nan


def score_clip(
    metric: Metric, scorer: ClipScorer, found: Features, calibration: Calibration | None
) -> str | None:
    """Add a clip to a scorer, judged or skipped; why its calibration refuses it, if it does.

    A clip that is longer than those of the calibration counts as the mean of its windows.
    """
    windows = [found] if calibration is None else found.windows(calibration.seconds.high)
    refusal = None if calibration is None else calibration.refusal(windows[0].clip.spec)
    if refusal is not None:
        scorer.skip(Reason.NOT_CALIBRATED)
        return refusal
    part = scorer if len(windows) == 1 else metric.scorer()
    for window in windows:
        try:
            metric.update(part, window)
        except NotJudged as unjudged:
            part.skip(unjudged.reason)
    if part is not scorer:
        scorer.keep_mean(part)
        for window in windows:
            window.before = None  # so that earlier clips are freed
    return None


@dataclass(frozen=True)
class Result:
    """The result of a metric over all clips."""

    metric: Metric
    scores: Mapping[str, Score]
    calibration: Calibration | None
    other: str | None = None  # why its calibration does not hold: it is of other weights

    @property
    def headline(self) -> str:
        """The name of the main number."""
        return next(iter(self.scores))

    def summary(self, clips: int) -> str:
        """One line: the main number, its interval, floor, ceiling, and how many clips were judged."""
        score = self.scores[self.headline]
        judged = f"judged {score.clips} of {clips}"
        if not self.applies:
            return f"{self.metric.name}: no value, {judged}"
        known = {"floor": score.floor, "ceiling": score.ceiling}
        ends = "".join(f", {name} {value:.3g}" for name, value in known.items() if math.isfinite(value))
        doubt = " (failed its calibration)" if self.calibration and self.calibration.failures else ""
        return (
            f"{self.metric.name}: {score.value:.3g} ({score.low:.3g} … {score.high:.3g}){ends}, {judged}: "
            f"{self.headline}{doubt}"
        )

    @property
    def applies(self) -> bool:
        """Whether enough clips could be judged."""
        score = self.scores[self.headline]
        return score.clips >= max(1, self.metric.min_clips) and not math.isnan(score.value)

    @property
    def warning(self) -> str | None:
        """Why the result is not valid: it doesn't apply, has failed its calibration, or has none."""
        score = self.scores[self.headline]
        if not score.clips:
            reasons = ", ".join(f"{count} {reason}" for reason, count in score.skipped.items())
            return f"doesn't apply: of the clips, {reasons or 'there are none'}"
        if math.isnan(score.value):
            return "doesn't apply: too few clips, or nothing in them to compare"
        if score.clips < self.metric.min_clips:
            return f"doesn't apply: needs {self.metric.min_clips} clips, {score.clips} were judged"
        if self.other is not None:
            return self.other
        if self.calibration is None:
            return "not calibrated: it was never measured against its corruptions"
        if failures := self.calibration.failures:
            corruptions = ", ".join(f"{one.corruption} (AUROC {one.auroc:.2f})" for one in failures)
            return f"failed its calibration: can't distinguish from the truth {corruptions}"
        if not self.calibration.calibrated:
            return "not calibrated: its calibration has no corruption that it must detect"
        return None


class MetricSuite:
    """Runs metrics on each clip and, for the floor, on its video with the audio of earlier clips.

    Args:
        metrics: the metrics.
        floors: whether to compute floors.
        calibrated: whether to skip clips outside the calibration of a metric.
        weights: {name: sha256} of the trained parts; a calibration with other weights doesn't hold.
    """

    def __init__(
        self,
        metrics: Sequence[Metric] = METRICS,
        floors: bool = True,
        calibrated: bool = True,
        weights: Mapping[str, str] | None = None,
    ) -> None:
        self.metrics = tuple(metrics)
        self.scorers = {metric.name: metric.scorer() for metric in metrics}
        self.shuffled = {metric.name: metric.scorer() for metric in metrics if metric.floor and floors}
        self.calibrations = {metric.name: metric.calibration if calibrated else None for metric in metrics}
        self.other: dict[str, str] = {}  # name of a metric -> why its calibration doesn't hold
        for name, calibration in self.calibrations.items():
            if calibration is not None and (why := calibration.other_weights(weights or {})) is not None:
                self.calibrations[name], self.other[name] = None, why
        self.refusals: dict[str, str] = {}  # name of a metric -> why it refused a clip, the first time
        self._first: Features | None = None
        shuffles = (metric.shuffles for metric in self.metrics if metric.name in self.shuffled)
        self._before: deque[Features] = deque(maxlen=max(shuffles, default=1))  # latest first

    def update(self, found: Features) -> None:
        """Add a clip."""
        found.before = self._before[0] if self._before else None
        for metric in self.metrics:
            self._update(metric, self.scorers[metric.name], found)
        if self._first is None:
            self._first = found
        for number, other in enumerate(self._before):
            self._shuffle(found, other, number)
        found.before = None  # so that earlier clips are freed
        self._before.appendleft(found)

    def _update(self, metric: Metric, scorer: ClipScorer, found: Features) -> None:
        refusal = score_clip(metric, scorer, found, self.calibrations[metric.name])
        if refusal is not None:
            self.refusals.setdefault(metric.name, refusal)

    def _shuffle(self, found: Features, other: Features, number: int = 0) -> None:
        if found.clip.frames is None or other.clip.wave is None:
            return
        mixed = found.with_sound_of(other)
        mixed.before = found
        for metric in self.metrics:
            if metric.name in self.shuffled and number < metric.shuffles:
                self._update(metric, self.shuffled[metric.name], mixed)

    def results(self, truth: Mapping[str, float] | None = None) -> list[Result]:
        """The results of all metrics, once all clips were added.

        Args:
            truth: the main number of each metric for true clips, where those were judged too: the ceiling, if
                it is above that of the calibration.
        """
        if self._first is not None and self._first is not self._before[0]:
            self._shuffle(self._first, self._before[0])
            self._first = None
            self._before.clear()
        found = []
        for metric in self.metrics:
            scores = self.scorers[metric.name].scores()
            headline = next(iter(scores))
            calibration = self.calibrations[metric.name]
            shuffled = self.shuffled.get(metric.name)
            floors = shuffled.compute() if shuffled is not None and shuffled.update_called else {}
            ceilings = [
                value
                for value in (
                    calibration.ceiling if calibration else math.nan,
                    (truth or {}).get(metric.name, math.nan),
                )
                if not math.isnan(value)
            ]
            best = max if self.scorers[metric.name].higher_is_better else min
            for name, score in scores.items():
                floor = floors[name].item() if name in floors else math.nan
                if name == headline and math.isnan(floor) and calibration is not None:
                    floor = calibration.floor
                ceiling = best(ceilings) if name == headline and ceilings else math.nan
                scores[name] = replace(score, floor=floor, ceiling=ceiling)
            found.append(Result(metric, scores, calibration, self.other.get(metric.name)))
        return found
