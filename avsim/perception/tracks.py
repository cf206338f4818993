"""Looks at a clip, frame by frame -> the things that are in it, and whose an event is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from avsim.perception.detections import DetectedThing, Event
from avsim.perception.vocabulary import INSTRUMENTS
from avsim.world.captions.compose import adjective, where
from avsim.world.captions.facts import TARGET_WORDS, Noun
from avsim.world.flat.scene import COLOURS, TARGETS
from avsim.world.materials import MATERIALS

SIDES = ("left", "middle", "right")
NEAR = 0.15  # of the frame's width and height, that a thing moves from one look to the next at most
AT_ONCE = 2  # frames from an event to the look at its thing, at most
APART = 0.1  # of the video, from an event to the box of its thing, at most
OTHER_KIND = 0.05  # by so much an event or a look of another kind counts as farther


@dataclass(frozen=True)
class Track:
    """One thing over a clip. Its facts are those of most of its looks, weighed by their probabilities.

    A material and a colour are one fact: in the world each kind has its materials, and each of these has
    colours of its own.
    """

    kind: str
    material: str
    colour: str
    x: float  # where it is at first
    y: float
    size: float
    probability: float  # the mean over the looks, 0 where it wasn't seen
    looks: tuple[tuple[int, DetectedThing], ...]  # the number of the look, and what was seen

    @property
    def side(self) -> str:
        """Third of the video in which it begins, as captions have it."""
        return SIDES[min(2, int(self.x * 3))]

    @property
    def noun(self) -> Noun:
        """Its attributes that captions may name: of a drum no material."""
        kind, material = TARGET_WORDS.get(self.kind, (self.kind, self.material or None))
        return Noun(kind, material, self.colour or None, side=self.side)

    @property
    def called(self) -> str:
        """Such as "red rubber ball"."""
        noun = self.noun
        return " ".join(word for word in (noun.colour, adjective(noun.material or ""), noun.kind) if word)

    @property
    def name(self) -> str:
        """Such as "the red rubber ball on the right"."""
        return f"the {self.called} {where(self.side)}"


def tracks(looks: Sequence[Sequence[DetectedThing]], least: float = 0.25) -> list[Track]:
    """The things of a clip: what is seen look by look, joined to what is near it in the look before.

    What is seen in fewer than a share of `least` of the looks in which it could be is left out.
    """
    going: list[list[tuple[int, DetectedThing]]] = []
    for number, found in enumerate(looks):
        free = list(range(len(going)))
        for seen in sorted(found, key=lambda each: -each.probability):
            near = {k: _apart(going[k][-1][1], seen) for k in free}
            best = min(near, key=near.__getitem__, default=None)
            if best is not None and near[best] <= NEAR:
                going[best].append((number, seen))
                free.remove(best)
            else:
                going.append([(number, seen)])
    return [_track(each, len(looks)) for each in going if len(each) >= least * len(looks)]


def whose(event: Event, shown: Sequence[Track], frames_per_second: float) -> int | None:
    """The number of the thing whose box is nearest to an event when it happens; None: none is near."""
    frame = int(event.seconds * frames_per_second)
    near = {}
    for number, thing in enumerate(shown):
        other = OTHER_KIND * ((thing.kind, thing.material) != (event.kind, event.material))
        gaps = [
            max(abs(seen.x - event.x), abs(seen.y - event.y)) - seen.size / 2
            for look, seen in thing.looks
            if abs(look - frame) <= AT_ONCE
        ]
        if gaps and min(gaps) <= APART:
            near[number] = max(0.0, min(gaps)) + other
    return min(near, key=near.__getitem__, default=None)


def makes_of(kind: str) -> list[tuple[str, str]]:
    """The materials and colours that a thing of this kind can have."""
    if kind in INSTRUMENTS:
        return [("", "")]
    materials = (TARGETS[kind],) if kind in TARGETS else MATERIALS
    return [(material, colour) for material in materials for colour in COLOURS[material]]


def _apart(one: DetectedThing, other: DetectedThing) -> float:
    """How far two looks lie apart; of another kind, farther."""
    return max(abs(one.x - other.x), abs(one.y - other.y)) + OTHER_KIND * (one.kind != other.kind)


def _track(looks: Sequence[tuple[int, DetectedThing]], count: int) -> Track:
    first = [seen for _, seen in looks[: max(1, len(looks) // 8)]]
    votes: dict[str, dict[str, float]] = {name: defaultdict(float) for name in ("kind", "material", "colour")}
    for _, seen in looks:
        for name, said in votes.items():
            said[getattr(seen, name)] += seen.probability
    kind = max(votes["kind"], key=votes["kind"].__getitem__)
    makes = makes_of(kind)
    material, colour = max(makes, key=lambda make: votes["material"][make[0]] + votes["colour"][make[1]])
    x, y = (sum(getattr(seen, axis) for seen in first) / len(first) for axis in ("x", "y"))
    size = sum(seen.size for _, seen in looks) / len(looks)
    return Track(
        kind=kind,
        material=material,
        colour=colour,
        x=x,
        y=y,
        size=size,
        probability=sum(s.probability for _, s in looks) / count,
        looks=tuple(looks),
    )
