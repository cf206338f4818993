"""What is seen is said in words that the world's grammar reads back."""

from dataclasses import replace

import pytest

from avsim.perception.captioner import describe
from avsim.perception.detections import DetectedThing, Event, VideoDetections
from avsim.world.captions.facts import Noun, ThingFacts
from avsim.world.captions.parsing import facts_in

FRAMES, RATE = 16, 16.0
CAVE = {"cave": 0.9, "restaurant": 0.1}
VIOLIN = DetectedThing(0.0, 0.2, 0.5, "violin", "", "", 0.3, 0.9)
BELL = DetectedThing(0.0, 0.7, 0.7, "bell", "metal", "gold", 0.2, 0.8)
CUBE = DetectedThing(0.0, 0.5, 0.1, "cube", "glass", "green", 0.1, 0.8)


def touched(thing: DetectedThing, seconds: float = 0.5) -> Event:
    return Event(seconds, thing.x, thing.y, thing.kind, thing.material, 0.9)


def view(*things: DetectedThing, events=(), places=CAVE) -> VideoDetections:
    return VideoDetections(tuple(events), (things,) * FRAMES, places)


def falling(*kinds: str) -> tuple[tuple[DetectedThing, ...], ...]:
    """A cube on its way down, taken for each of `kinds` for some frames."""
    each = FRAMES // len(kinds)
    return tuple((replace(CUBE, y=0.1 + 0.05 * k, kind=kinds[k // each]),) for k in range(FRAMES))


def stated(seen: VideoDetections) -> list[ThingFacts]:
    return list(facts_in(describe(seen, RATE)).things)


@pytest.mark.parametrize(
    ("thing", "still", "sounding", "noun"),
    [
        (VIOLIN, "is held", "plays", Noun("violin")),
        (BELL, "is struck", "is struck", Noun("bell", "metal", "gold")),
        (CUBE, "hangs", "falls", Noun("cube", "glass", "green")),
        (replace(CUBE, y=0.8), "lies", "falls", Noun("cube", "glass", "green")),
        (replace(BELL, kind="drum skin", material="skin"), "is struck", "is struck", Noun("drum")),
    ],
)
def test_a_thing_is_told_by_what_it_does(thing, still, sounding, noun):
    assert stated(view(thing)) == [ThingFacts(noun, still)]
    assert stated(view(thing, events=[touched(thing)])) == [ThingFacts(noun, sounding)]


def test_each_thing_has_its_own_events_and_the_place_is_told():
    seen = view(VIOLIN, BELL, events=[touched(VIOLIN)])
    facts = facts_in(describe(seen, RATE))
    assert facts.place == "cave"
    assert {each.noun.kind: each.does for each in facts.things} == {
        "violin": "plays",
        "bell": "is left alone",
    }


def test_what_falls_is_one_thing_whatever_its_shape_was_taken_for():
    (thing,) = stated(VideoDetections((), falling("cube", "bar", "ball", "cube"), CAVE))
    assert thing.does == "falls" and thing.noun.material == "glass"


def test_two_alike_that_are_seen_at_once_are_two():
    assert len(stated(view(BELL, replace(BELL, x=0.2)))) == 2


def test_of_nothing_nothing_is_said():
    assert describe(view(), RATE) == ""
    once = ((BELL,), *((),) * (FRAMES - 1))
    assert describe(VideoDetections((), once, CAVE), RATE) == ""
