"""What is seen, in the world's own words: the caption that a clip without one could have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import median

import numpy as np

from avsim.perception.detections import VideoDetections
from avsim.perception.tracks import Track, tracks, whose
from avsim.perception.vocabulary import INSTRUMENTS
from avsim.world.captions.compose import short_caption
from avsim.world.captions.facts import Facts, Noun, ThingFacts
from avsim.world.flat.scene import MOST, SHAPES, TARGETS

LEAST = 0.15  # of the frames must show a thing
TOGETHER = 0.3  # of the looks at a thing, up to which another one may be it, lost and found again
FALLEN = 0.1  # of the frame's height, from which on a thing that moves down has fallen


def describe(view: VideoDetections, frames_per_second: float) -> str:
    """Such as "a gold metal cube falls in a cave", as short as training's captions; "" of nothing.

    What stands to be struck is struck, where nothing is seen to happen: a stick is easily missed.
    """
    shown = _joined(tracks(view.things, LEAST))[:MOST]
    if not shown:
        return ""
    sounding = {whose(event, shown, frames_per_second) for event in view.events} - {None}
    sounding = sounding or {number for number, thing in enumerate(shown) if thing.kind in TARGETS}
    things = tuple(_stated(thing, number in sounding) for number, thing in enumerate(shown))
    facts = Facts(place=max(view.places, key=view.places.__getitem__), things=things)
    return short_caption(facts, np.random.default_rng(0))


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
