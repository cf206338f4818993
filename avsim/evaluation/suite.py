"""The panel: which judges there are, what each asks of a clip, and the lies that it is there to find."""

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
from avsim.evaluation.features import Evidence
from avsim.evaluation.grounding import Grounding
from avsim.evaluation.integrity import Integrity
from avsim.evaluation.metric import Judge
from avsim.evaluation.physics import ROWS, ReportCard
from avsim.evaluation.regions import sounding_regions
from avsim.evaluation.result import Reason, Score, Unjudged
from avsim.evaluation.space import Space
from avsim.evaluation.text import TextAgreement, facts_of_caption
from avsim.perception.matching import match
from avsim.perception.vocabulary import INSTRUMENTS

CALIBRATIONS = Path(__file__).parent / "calibrations"  # NAME.json, committed with the weights
LOOKS = "world-trained picture features"  # the embedding of `FAMILIAR`


@dataclass(frozen=True)
class Question:
    """What one judge asks of a clip."""

    name: str
    about: str  # one sentence for people
    judge: Callable[[], Judge]
    ask: Callable[[Judge, Evidence], None]  # ends in the judge's `update`, or raises Unjudged
    lies: tuple[str, ...] = ()  # that it is there to find
    floor: bool = True  # whether clips with each other's sound show what it gives to nonsense
    uses: tuple[str, ...] = ()  # trained parts, whose weights its calibration holds for
    least: float = LEAST_AUROC  # with which it must tell its own lies, before it may judge
    crowd: int = 1  # clips that it takes to say anything: 1, unless it compares clips with each other
    shuffles: int = 1  # sounds of clips before that each picture is given for the floor

    @property
    def calibration(self) -> Calibration | None:
        """What it was shown to do; None where nothing is committed."""
        path = CALIBRATIONS / f"{self.name.replace(' ', '-')}.json"
        return Calibration.load(path) if path.is_file() else None


def _synchrony(judge: Judge, found: Evidence) -> None:
    seen = [event.seconds for event in found.view.events]
    heard = [onset.seconds for onset in found.onsets]
    judge.update(heard, seen, found.clip.frames_per_second, found.clip.seconds)


def _offset(judge: Judge, found: Evidence) -> None:
    judge.update(found.offset)


def _space(judge: Judge, found: Evidence) -> None:
    if found.wave.shape[0] != 2:
        raise Unjudged(Reason.MONO)
    heard = [onset.seconds for onset in found.onsets]
    events = found.view.events
    pairs = match(heard, [event.seconds for event in events], 1 / found.clip.frames_per_second)
    judge.update(
        found.wave,
        found.clip.sample_rate,
        [heard[i] for i, _ in pairs],
        [events[j].x for _, j in pairs],
        [events[j].kind in INSTRUMENTS for _, j in pairs],
    )


def _physics(judge: Judge, found: Evidence) -> None:
    judge.update(found.clip, found.onsets, found.heard, found.view)


def _integrity(judge: Judge, found: Evidence) -> None:
    judge.update(found.view.things, found.clip.frames_per_second)


def _text(judge: Judge, found: Evidence) -> None:
    facts = facts_of_caption(found.caption)
    view, heard = (_if_any(found, name) for name in ("view", "heard"))
    if view is None and heard is None:
        raise Unjudged(Reason.NO_DETECTOR)
    judge.update(facts, view, heard)


def _grounding(judge: Judge, found: Evidence, second: bool = False) -> None:
    separate = found.detectors.second if second else found.detectors.separate
    if separate is None:
        raise Unjudged(Reason.NO_DETECTOR)
    if found.clip.wave is None:
        raise Unjudged(Reason.NO_SOUND)
    regions = sounding_regions(found.view, found.clip.spec.size, found.clip.spec.frames_per_second)
    if not regions:
        raise Unjudged(Reason.NOTHING_HAPPENS)
    if found.before is None or found.before.clip.wave is None:
        raise Unjudged(Reason.ALONE)
    judge.update(found.clip, regions, separate, found.before.clip)


def _if_any(found: Evidence, name: str) -> Any:
    """What is found, or None where it can't be looked for."""
    try:
        return getattr(found, name)
    except Unjudged:
        return None


# Shifts of 40 and 80 ms are no judge's own lies: a tolerance of a frame (62 ms at 16 fps) forgives the first,
# and both are near the 20 to 60 ms that people don't notice (ITU-R BT.1359).
SHIFTED = ("shuffled", "shifted by 160 ms", "shifted by 320 ms")
GROUNDED = 0.95  # AUROC of truth against swapped sound, before it may be used on clips that were made
HEARD_AND_SEEN = ("sound", "picture")
CROWD = 16  # clips of which a distance between crowds says something
MANY = 64  # and a correlation over those few clips that have two hits of one thing, or one body alone
SHUFFLES = 8  # floors of which it takes to know its own: one of them lies anywhere from -0.3 to 0.3
ROWS_ARE_FOR: dict[
    str, tuple[str, ...]
] = {  # rows of the physics card -> the lies that each is there to find
    "1 identity and material": ("shuffled", "wrong material"),
    "2 speed and loudness": ("shuffled",),
    "3 place and decay": ("shuffled", "wrong place"),
    "4 timbre": ("shuffled",),
    "5 size, pitch and bounces": ("shuffled",),
    "6 superposition": ("shuffled",),
}
CORRELATIONS = ("2 speed and loudness", "5 size, pitch and bounces")  # over clips; one clip has none
QUESTIONS: tuple[Question, ...] = (
    Question(
        "synchrony of events",
        "What is heard to begin against what is seen to happen, one to one, within a frame and half of one.",
        EventSynchrony,
        _synchrony,
        lies=SHIFTED,
        uses=HEARD_AND_SEEN,
    ),
    Question(
        "offset",
        "By how much the sound comes after the picture, as a judge trained on the world has it. The one that "
        "ships is what the small checkpoint draws by: of such clips it is no judge.",
        Offset,
        _offset,
        lies=("shifted by 160 ms", "shifted by 320 ms"),
        uses=("offset",),
    ),
    Question(
        "space",
        "Level and time between both channels against the place of what is seen to happen.",
        Space,
        _space,
        lies=("mirrored", "swapped channels"),
        uses=HEARD_AND_SEEN,
    ),
    Question(
        "physics",
        "Six rows on whether what is heard is what is seen: identity and material, speed and loudness, place "
        "and decay, timbre, size and pitch and bounces, superposition.",
        ReportCard,
        _physics,
        # One wrong thing changes one row of six, which finds it; the mean of all is there for a wrong sound.
        lies=("shuffled",),
        uses=HEARD_AND_SEEN,
        shuffles=SHUFFLES,
    ),
    *(
        Question(
            f"physics, {row}",
            "One row of the physics report card, as a probe of its own.",
            partial(ReportCard, row),
            _physics,
            lies=ROWS_ARE_FOR[row],
            uses=HEARD_AND_SEEN,
            crowd=MANY if row in CORRELATIONS else 1,
            shuffles=SHUFFLES,
        )
        for row in ROWS
    ),
    Question(
        "integrity of things",
        "Number, kind, colour and size of each thing along the clip, and its acceleration in free fall.",
        Integrity,
        _integrity,
        lies=("spliced",),
        floor=False,
        uses=("picture",),
    ),
    *(
        Question(
            f"grounding{by}",
            f"The share of the sound's energy that {whose} gives to what is seen to sound; with controls.",
            Grounding,
            partial(_grounding, second=second),
            # In a mirrored clip what sounds is found where it now is: the judge's own control moves the
            # picture under regions that stay.
            lies=("shuffled",),
            uses=("picture", part),
            least=GROUNDED,
        )
        for by, whose, part, second in (
            ("", "a separator", "separator", False),
            (" by a second separator", "a separator trained independently", "second separator", True),
        )
    ),
    Question(
        "text",
        "Whether what the caption tells is seen and heard: things, materials, colours, sides, count, place.",
        TextAgreement,
        _text,
        lies=("shuffled", "another's caption"),
        uses=HEARD_AND_SEEN,
    ),
)


@dataclass(frozen=True)
class Verdict:
    """What a judge says of all clips."""

    question: Question
    scores: Mapping[str, Score]
    calibration: Calibration | None
    other: str | None = None  # why there is a calibration that doesn't hold: it is of other weights

    @property
    def headline(self) -> str:
        """The name of the number that stands for all."""
        return next(iter(self.scores))

    @property
    def applies(self) -> bool:
        """Whether the clips were enough, and such as can be judged."""
        score = self.scores[self.headline]
        return score.clips >= max(1, self.question.crowd) and not math.isnan(score.value)

    @property
    def trouble(self) -> str | None:
        """Why it should not be believed: it doesn't apply, has failed or was never calibrated."""
        score = self.scores[self.headline]
        if not score.clips:
            reasons = ", ".join(f"{count} {reason}" for reason, count in score.skipped.items())
            return f"doesn't apply: of the clips, {reasons or 'there are none'}"
        if math.isnan(score.value):
            return "doesn't apply: too few clips, or nothing in them that could be compared"
        if score.clips < self.question.crowd:
            return f"doesn't apply: it takes {self.question.crowd} clips, and {score.clips} were judged"
        if self.other is not None:
            return self.other
        if self.calibration is None:
            return "not calibrated: it was not yet shown to tell its own lies from the truth"
        if failures := self.calibration.failures:
            lies = ", ".join(f"{one.lie} (AUROC {one.auroc:.2f})" for one in failures)
            return f"failed its calibration: can't tell from the truth {lies}"
        if not self.calibration.proven:
            return "not proven: its calibration holds no lie that it is there to find"
        return None


class Panel:
    """Judges that see each clip as it is, and with the sounds of one or more clips before, for the floor.

    Args:
        questions: what is asked.
        floors: whether to judge shuffled pairs too.
        calibrated: whether to refuse clips outside what a judge was calibrated for.
        weights: of the trained parts that are asked, {name: sha256}; a calibration with others doesn't hold.
    """

    def __init__(
        self,
        questions: Sequence[Question] = QUESTIONS,
        floors: bool = True,
        calibrated: bool = True,
        weights: Mapping[str, str] | None = None,
    ) -> None:
        self.questions = tuple(questions)
        self.judges = {question.name: question.judge() for question in questions}
        self.shuffled = {q.name: q.judge() for q in questions if q.floor and floors}
        self.calibrations = {q.name: q.calibration if calibrated else None for q in questions}
        self.other: dict[str, str] = {}  # a judge -> why its calibration doesn't hold
        for name, calibration in self.calibrations.items():
            if calibration is not None and (why := calibration.other_weights(weights or {})) is not None:
                self.calibrations[name], self.other[name] = None, why
        self.refusals: dict[str, str] = {}  # a judge -> why it refused a clip, the first time
        self._first: Evidence | None = None
        shuffles = (question.shuffles for question in self.questions if question.name in self.shuffled)
        self._before: deque[Evidence] = deque(maxlen=max(shuffles, default=1))  # the last comes first

    def update(self, found: Evidence) -> None:
        """Show a clip to all judges."""
        found.before = self._before[0] if self._before else None
        for question in self.questions:
            self._ask(question, self.judges[question.name], found)
        if self._first is None:
            self._first = found
        for number, other in enumerate(self._before):
            self._shuffle(found, other, number)
        found.before = None  # or all clips would be held
        self._before.appendleft(found)

    def _ask(self, question: Question, judge: Judge, found: Evidence) -> None:
        calibration = self.calibrations[question.name]
        refusal = calibration.refusal(found.clip.spec) if calibration else None
        if refusal is not None:
            self.refusals.setdefault(question.name, refusal)
            judge.skip(Reason.NOT_CALIBRATED)
            return
        try:
            question.ask(judge, found)
        except Unjudged as unjudged:
            judge.skip(unjudged.reason)

    def _shuffle(self, found: Evidence, other: Evidence, number: int = 0) -> None:
        if found.clip.frames is None or other.clip.wave is None:
            return
        mixed = found.with_sound_of(other)
        mixed.before = found
        for question in self.questions:
            if question.name in self.shuffled and number < question.shuffles:
                self._ask(question, self.shuffled[question.name], mixed)

    def verdicts(self, truth: Mapping[str, float] | None = None) -> list[Verdict]:
        """What all judges say, once all clips were shown.

        Args:
            truth: what each judge's first number is for true clips, where they were judged too: the ceiling,
                if it is above that of the calibration.
        """
        if self._first is not None and self._first is not self._before[0]:
            self._shuffle(self._first, self._before[0])
            self._first = None
            self._before.clear()
        found = []
        for question in self.questions:
            scores = self.judges[question.name].scores()
            headline = next(iter(scores))
            calibration = self.calibrations[question.name]
            shuffled = self.shuffled.get(question.name)
            floors = shuffled.compute() if shuffled is not None and shuffled.update_called else {}
            ceilings = [
                value
                for value in (
                    calibration.ceiling if calibration else math.nan,
                    (truth or {}).get(question.name, math.nan),
                )
                if not math.isnan(value)
            ]
            best = max if self.judges[question.name].higher_is_better else min
            for name, score in scores.items():
                floor = floors[name].item() if name in floors else math.nan
                if name == headline and math.isnan(floor) and calibration is not None:
                    floor = calibration.floor
                ceiling = best(ceilings) if name == headline and ceilings else math.nan
                scores[name] = replace(score, floor=floor, ceiling=ceiling)
            found.append(Verdict(question, scores, calibration, self.other.get(question.name)))
        return found
