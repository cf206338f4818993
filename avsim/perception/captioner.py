"""What is seen, in the world's own words: the caption that a clip without one could have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import median

import numpy as np

from avsim.perception.detections import VideoDetections
from avsim.perception.tracks import Track, tracks, whose
from avsim.perception.vocabulary import INSTRUMENTS
from avsim.world.captions.compose import plain_caption, short_caption
from avsim.world.captions.facts import Facts, Noun, ThingFacts
from avsim.world.flat.scene import MOST, SHAPES, TARGETS

PARAPHRASES = 20  # tries at other words
LEAST = 0.15  # of the frames must show a thing
TOGETHER = 0.3  # of the looks at a thing, up to which another one may be it, lost and found again
FALLEN = 0.1  # of the frame's height, from which on a thing that moves down has fallen


def describe(view: VideoDetections, frames_per_second: float) -> str:
    """Such as "a gold metal cube falls in a cave", as short as training's captions; "" of nothing.

    What stands to be struck is struck, where nothing is seen to happen: a stick is easily missed.
    """
    facts = facts_in(view, frames_per_second)
    return short_caption(facts, np.random.default_rng(0)) if facts.things else ""


def describe_in_styles(view: VideoDetections, frames_per_second: float, seed: int = 0) -> dict[str, str]:
    """Captions by style: "short" as `describe`, "full" with sides and counts, "paraphrased"; none of nothing.

    `seed` chooses the words of the paraphrase, which states the facts of the short caption.
    """
    facts = facts_in(view, frames_per_second)
    if not facts.things:
        return {}
    short = short_caption(facts, np.random.default_rng(0))
    tries = (short_caption(facts, np.random.default_rng((seed, k))) for k in range(PARAPHRASES))
    return {
        "short": short,
        "full": plain_caption(facts_in(view, frames_per_second, detailed=True)),
        "paraphrased": next((text for text in tries if text != short), short),
    }


def facts_in(view: VideoDetections, frames_per_second: float, detailed: bool = False) -> Facts:
    """What the detections state of a clip; `detailed` with sides, counts and moments."""
    shown = _joined(tracks(view.things, LEAST))[:MOST]
    owners = [whose(event, shown, frames_per_second) for event in view.events]
    sounding = set(owners) - {None}
    sounding = sounding or {number for number, thing in enumerate(shown) if thing.kind in TARGETS}
    things = [_stated(thing, number in sounding) for number, thing in enumerate(shown)]
    if detailed:
        for number, thing in enumerate(shown):
            moments = [
                event.seconds for event, owner in zip(view.events, owners, strict=True) if owner == number
            ]
            things[number] = _detailed(things[number], thing, moments)
    place = max(view.places, key=view.places.__getitem__)
    return Facts(place=place, count=len(things) if detailed else None, things=tuple(things))


def _detailed(stated: ThingFacts, thing: Track, moments: Sequence[float]) -> ThingFacts:
    """With its side, and how often and when first it is struck, plays, or lands."""
    stated = replace(stated, noun=replace(stated.noun, side=thing.side))
    if not moments:
        return stated
    if stated.does in ("is struck", "plays"):
        return replace(stated, times=len(moments), seconds=round(min(moments), 1))
    return replace(stated, times=len(moments)) if stated.does == "falls" else stated


def _joined(things: Sequence[Track]) -> list[Track]:
    """Tracks of which no two are the same thing, lost and found again: of one make, and hardly seen at once.

    Of what falls the shape is read off worst: it doesn't count.
    """
    kept: list[Track] = []
    for thing in sorted(things, key=lambda each: -len(each.looks)):
        if not any(_make(thing) == _make(other) and _together(thing, other) <= TOGETHER for other in kept):
            kept.append(thing)
    return kept


def _make(thing: Track) -> tuple[str, str, str]:
    return ("" if thing.kind in SHAPES else thing.kind), thing.material, thing.colour


def _together(one: Track, other: Track) -> float:
    """The share of the shorter one's looks in which both are seen."""
    looks, others = ({number for number, _ in thing.looks} for thing in (one, other))
    return len(looks & others) / min(len(looks), len(others))


def _stated(thing: Track, sounds: bool) -> ThingFacts:
    noun = replace(thing.noun, side=None)
    noun = noun if noun.material else Noun(noun.kind)  # a drum's colour isn't stated
    if thing.kind in INSTRUMENTS:
        return ThingFacts(noun, "plays" if sounds else "is held")
    if thing.kind in TARGETS:
        return ThingFacts(noun, "is struck" if sounds else "is left alone")
    heights = [seen.y for _, seen in thing.looks]
    if sounds or heights[-1] - heights[0] > FALLEN:
        return ThingFacts(noun, "falls")
    return ThingFacts(noun, "lies" if median(heights) > 0.6 else "hangs")
