"""Text agreement: whether the detectors find the facts of a caption in the clip.

Each fact is right or wrong by itself.
"""

import logging
from collections.abc import Sequence
from functools import cache
from statistics import median
from typing import NamedTuple

import torch
from torch import Tensor

from avsim.errors import InputError
from avsim.evaluation.metric import ClipScorer
from avsim.evaluation.result import NotJudged, Reason
from avsim.perception.detections import AudioDetections, DetectedThing, VideoDetections
from avsim.prompting.rules import facts_of_prompt
from avsim.world.captions.facts import TARGET_WORDS, Facts, Noun, ThingFacts

log = logging.getLogger(__name__)
SURE = 0.5  # probability above which something counts as audible
FACTS = (
    "things seen", "materials seen", "colours seen", "sides", "number of things", "place seen",
    "things heard", "materials heard", "place heard",
)  # fmt: skip
SOUNDING = ("falls", "is struck", "plays")
KIND_OF = {words: kind for kind, words in TARGET_WORDS.items()}


class TextAgreement(ClipScorer):
    """Shares of a caption's facts that are right, by kind of fact, and of all."""

    width = (
        2 * len(FACTS) + 1
    )  # of each kind: facts, right facts; probability that what should sound is audible

    def update(self, facts: Facts, view: VideoDetections | None, heard: AudioDetections | None) -> None:
        """Score one clip by the facts of its caption; what is None can't be looked for."""
        stated = torch.zeros(2, len(FACTS), dtype=torch.float64)
        checks = [check for check in checked_facts(facts, view, heard) if check.right is not None]
        for about, _, right in checks:
            stated[:, FACTS.index(about)] += torch.tensor([1.0, right], dtype=torch.float64)
        if not checks:
            self.skip(Reason.NO_CAPTION)
            return
        sure = [_surely(stated, heard) for stated in (*facts.things, *facts.unseen)] if heard else []
        if heard and facts.place is not None:
            sure.append([heard.places.get(facts.place, 0.0)])
        probabilities = [probability for each in sure for probability in each]
        mean = sum(probabilities) / len(probabilities) if probabilities else torch.nan
        self.keep([*stated.flatten().tolist(), mean])

    def numbers(self, rows: Tensor) -> dict[str, Tensor]:
        """Over all facts of all clips; nan for kinds that no caption has."""
        stated, right = rows[..., :-1].unflatten(-1, (2, len(FACTS))).sum(-3).unbind(-2)
        found = {"facts right": right.sum(-1) / stated.sum(-1)}
        return found | {f"{name}, right": right[..., k] / stated[..., k] for k, name in enumerate(FACTS)}

    def each(self, rows: Tensor) -> Tensor:
        """The lower of the share of visible facts that are right, and the probability of the audible ones.

        In a mean over all facts ten visible ones would outweigh a single audible one.
        """
        stated, right = rows[:, :-1].unflatten(-1, (2, len(FACTS))).unbind(-2)
        seen = [k for k, name in enumerate(FACTS) if not name.endswith("heard")]
        return torch.fmin(right[:, seen].sum(-1) / stated[:, seen].sum(-1), rows[:, -1])


class Check(NamedTuple):
    """A stated fact: its kind (of `FACTS`, "" for others), its words, and whether it is right.

    `right` is None where no detector can look for it.
    """

    about: str
    stated: str
    right: bool | None


def checked_facts(facts: Facts, view: VideoDetections | None, heard: AudioDetections | None) -> list[Check]:
    """Each fact of a caption that a detector could look for; what is None wasn't looked at."""
    found = [*(_seen(facts, view) if view else ()), *(_heard(facts, heard) if heard else ())]
    for stated in (*facts.things, *facts.unseen):  # which no detector counts
        if stated.times is not None:
            found.append(Check("", f"{stated.times} times", None))
    return found


def facts_of_caption(caption: str) -> Facts:
    """The facts of a caption or of an ordinary sentence; what can't be read is logged, once.

    Raises:
        NotJudged: there is none, or none that can be read.
    """
    if not caption:
        raise NotJudged(Reason.NO_CAPTION)
    try:
        return facts_of_prompt(caption)
    except InputError as error:
        _warn_once(f"not judged by its caption: {error}")
        raise NotJudged(Reason.NO_CAPTION) from error


@cache
def _warn_once(message: str) -> None:
    log.warning(message)


def _seen(facts: Facts, view: VideoDetections) -> list[Check]:
    """Each visible fact, and whether it is right."""
    found: list[Check] = []
    shown = _tracks(view.things)
    for stated in facts.things:
        noun = stated.noun
        tracks = [track for track in shown if _is(noun, track[0])]
        if noun.kind is not None:
            found.append(Check("things seen", f"{noun.kind} seen", bool(tracks)))
        if noun.material is not None:
            right = any(track[0].material == noun.material for track in tracks)
            found.append(Check("materials seen", f"{noun.material} seen", right))
        if noun.colour is not None:
            right = any(track[0].colour == noun.colour for track in tracks)
            found.append(Check("colours seen", f"{noun.colour} seen", right))
        if noun.side is not None:
            right = any(side(track[0].x) == noun.side for track in tracks)
            found.append(Check("sides", f"{noun.side} seen", right))
    if facts.count is not None and view.things:
        right = median(map(len, view.things)) == facts.count
        found.append(Check("number of things", f"{facts.count} things seen", right))
    if facts.place is not None and view.places:
        right = max(view.places, key=view.places.__getitem__) == facts.place
        found.append(Check("place seen", f"{facts.place} seen", right))
    return found


def _heard(facts: Facts, heard: AudioDetections) -> list[Check]:
    """Each audible fact, and whether it is right."""
    found: list[Check] = []
    for stated in (*facts.things, *facts.unseen):
        if not sounds(stated):
            continue
        kind = kind_of(stated.noun)
        if kind in heard.kinds:
            found.append(Check("things heard", f"{kind} heard", heard.kinds[kind] >= SURE))
        if (material := stated.noun.material) in heard.materials:
            found.append(Check("materials heard", f"{material} heard", heard.materials[material] >= SURE))
    if facts.place is not None:
        found.append(Check("place heard", f"{facts.place} heard", heard.place == facts.place))
    return found


def _surely(stated: ThingFacts, heard: AudioDetections) -> list[float]:
    """Probability that the kind and the material of something that should sound are audible."""
    if not sounds(stated):
        return []
    found = heard.kinds.get(kind_of(stated.noun) or ""), heard.materials.get(stated.noun.material or "")
    return [probability for probability in found if probability is not None]


def kind_of(noun: Noun) -> str | None:
    """The detectors' word for a caption's noun."""
    return next((kind for words, kind in KIND_OF.items() if words[0] == noun.kind), noun.kind)


def kinds_of(noun: Noun) -> frozenset[str]:
    """The detectors' words that a caption's noun may mean: a bar may be a target, or a body that falls."""
    return frozenset(kind for kind in (kind_of(noun), noun.kind) if kind is not None)


def side(x: float) -> str:
    """The third of the frame that contains x in [0, 1]."""
    return "left" if x < 1 / 3 else "right" if x > 2 / 3 else "middle"


def sounds(stated: ThingFacts) -> bool:
    """Whether what is stated of a thing implies that it is heard."""
    return stated.does in SOUNDING and not stated.silent and stated.times != 0


def _is(noun: Noun, seen: DetectedThing) -> bool:
    return noun.kind is None or seen.kind in kinds_of(noun)


def _tracks(frames: Sequence[Sequence[DetectedThing]]) -> list[list[DetectedThing]]:
    """Detected kinds, materials and colours over time, where a quarter of the frames show them."""
    tracks: dict[tuple[str, str, str], list[DetectedThing]] = {}
    for frame in frames:
        for seen in frame:
            tracks.setdefault((seen.kind, seen.material, seen.colour), []).append(seen)
    return [track for track in tracks.values() if len(track) >= len(frames) / 4]
