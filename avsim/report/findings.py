"""What detectors find in a clip, for its card: events, onsets, and which prompted facts they confirm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from avsim.clip import Clip
from avsim.evaluation.features import Detectors, Features
from avsim.evaluation.ood import OOD_MARGIN, OODCheck
from avsim.evaluation.result import NotJudged
from avsim.evaluation.suite import OOD_EMBEDDING
from avsim.evaluation.text import checked_facts, facts_of_caption

FOREIGN = "it looks unlike the synthetic world's clips, which the detectors were trained on"


@dataclass(frozen=True)
class Mark:
    """A moment of a clip, in seconds, and what was found there."""

    seconds: float
    text: str


@dataclass(frozen=True)
class Fact:
    """A prompted fact, and whether it was found; None: not judged."""

    text: str
    found: bool | None


@dataclass(frozen=True)
class Findings:
    """What a card shows of a clip's content; `note` says why something was not judged."""

    facts: Sequence[Fact] = ()
    events: Sequence[Mark] = ()
    onsets: Sequence[Mark] = ()
    note: str = ""
    out_of_distribution: bool = False  # it looks unlike what the detectors were trained on


def findings(features: Features, ood_check: OODCheck | None = None) -> Findings:
    """What the detectors of some features find; in clips unlike their training, onsets alone are listed."""
    clip, notes = features.clip, []
    onsets: list[Mark] = []
    if clip.wave is None:
        notes.append("it has no audio")
    else:
        onsets = [Mark(each.seconds, _named(each.kind, each.material)) for each in features.onsets]
    if clip.frames is None:
        notes.append("it has no video")
    elif ood_check is not None and _is_foreign(clip, features.detectors, ood_check):
        return Findings((), (), [Mark(each.seconds, "") for each in onsets], f"Not judged: {FOREIGN}.", True)
    view = heard = None
    try:
        view = features.view if clip.frames is not None else None
        heard = features.heard if clip.wave is not None else None
    except NotJudged as unjudged:
        notes.append(str(unjudged.reason))
    events = [Mark(each.seconds, _named(each.kind, each.material)) for each in view.events] if view else []
    facts: list[Fact] = []
    try:
        if not features.caption:
            return Findings((), events, onsets, _note(notes))
        stated = facts_of_caption(features.caption)
        facts = [Fact(check.stated, check.right) for check in checked_facts(stated, view, heard)]
    except NotJudged as unjudged:
        notes.append(f"the prompt's facts: {unjudged.reason}, or none that the detectors can look for")
    return Findings(facts, events, onsets, _note(notes))


def _is_foreign(clip: Clip, detectors: Detectors, ood_check: OODCheck) -> bool:
    embedding = detectors.embeddings.get(OOD_EMBEDDING)
    return embedding is not None and ood_check.warning([embedding(clip)], OOD_MARGIN) is not None


def _note(notes: Sequence[str]) -> str:
    return f"Not judged: {'; '.join(notes)}." if notes else ""


def _named(kind: str, material: str) -> str:
    return " ".join(filter(None, (material, kind)))
