"""Words -> the thing that they mean: "the violin on the left", found among what a detector sees."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from avsim.errors import InputError
from avsim.perception.found import Event, Seen
from avsim.perception.vocabulary import INSTRUMENTS
from avsim.world.facts import TARGET_WORDS, Noun
from avsim.world.lexicon import ARTICLES, WORDS
from avsim.world.scene import COLOURS
from avsim.world.words import where

SIDES = ("left", "middle", "right")
ORDERS = {  # words that choose among what fits the others: by what, and at which share of the order
    "bigger": ("size", 1.0), "biggest": ("size", 1.0), "larger": ("size", 1.0), "largest": ("size", 1.0),
    "smaller": ("size", 0.0), "smallest": ("size", 0.0),
    "leftmost": ("x", 0.0), "rightmost": ("x", 1.0), "upper": ("y", 0.0), "lower": ("y", 1.0),
    **{
        word: ("size", share)
        for size, share in (("small", 0.0), ("medium", 0.5), ("large", 1.0))
        for word in WORDS["size"][size]
    },
}  # fmt: skip
ANY = ("one", "thing", "object", "instrument", "player")  # of no kind of its own
SLOTS = ("side", "kind", "colour", "material")  # in the order in which they are looked for
KNOWN = {*ORDERS, *ANY, *(words for slot in SLOTS for said in WORDS[slot].values() for words in said)}
AT_ONCE = 2  # frames from an event to the look at its thing, at most
APART = 0.1  # of the picture, from an event to the box of its thing, at most
OTHER_KIND = 0.05  # by so much a thing of another kind than the event's counts as farther
NEAR = 0.15  # of the picture's width and height, that a thing moves from one look to the next at most
MAKES = [("", ""), *((material, colour) for material, colours in COLOURS.items() for colour in colours)]
EXAMPLE = "the violin on the left"
log = logging.getLogger("avsim")


@dataclass(frozen=True)
class Asked:
    """What words say of a thing."""

    noun: Noun
    instrument: bool = False  # it is asked for as an instrument, or as its player
    order: tuple[str, float] | None = None  # of what fits: by what to choose, and where in that order


@dataclass(frozen=True)
class Track:
    """One thing over a clip. Its facts are those of most of its looks, weighed by their probabilities.

    A material and a colour are one fact: in the world each material has colours of its own.
    """

    kind: str
    material: str
    colour: str
    x: float  # where it is at first
    y: float
    size: float
    probability: float  # the mean over the looks, 0 where it wasn't seen
    looks: tuple[tuple[int, Seen], ...]  # the number of the look, and what was seen

    @property
    def side(self) -> str:
        """Third of the picture in which it begins, as captions have it."""
        return SIDES[min(2, int(self.x * 3))]

    @property
    def name(self) -> str:
        """Such as "a red rubber ball on the right"."""
        substance = "wooden" if self.material == "wood" else self.material
        kind = TARGET_WORDS.get(self.kind, (self.kind, None))[0]
        if self.kind in TARGET_WORDS and TARGET_WORDS[self.kind][1] is None:
            substance = ""
        words = [word for word in (self.colour, substance, kind) if word]
        return f"the {' '.join(words)} {where(self.side)}"


def asked(text: str) -> Asked:
    """What a phrase asks for: kind, material, colour and side in the world's own words, each or none.

    Raises:
        InputError: a word that isn't one of them, or none that says what is meant.
    """
    plain = re.sub(r"[^a-z\- ]", " ", text.lower())
    rest, told = f" {' '.join(plain.split())} ", {}
    for slot in SLOTS:
        for value, said in WORDS[slot].items():
            for words in sorted(said, key=len, reverse=True):
                if slot not in told and f" {words} " in rest:
                    told[slot], rest = value, rest.replace(f" {words} ", " ", 1)
        if slot == "material" and slot not in told and " wood " in rest:
            told[slot], rest = "wood", rest.replace(" wood ", " ", 1)
    order, instrument = None, False
    fillers = {*ARTICLES, *ANY, "of", "with", "who", "plays", "'s"}
    for word in rest.split():
        if word in ("left", "right", "middle", "centre") and "side" not in told:
            told["side"] = "middle" if word == "centre" else word
        elif word in ORDERS and order is None:
            order = ORDERS[word]
        elif word not in fillers:
            known = {
                *ORDERS,
                *ANY,
                *(w for values in WORDS.values() for said in values.values() for w in said),
            }
            near = get_close_matches(word, known, n=1, cutoff=0.75)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise InputError(f"{text!r}: unknown word {word!r}{hint}; ask such as {EXAMPLE!r}")
        instrument = instrument or word in ("instrument", "player")
    if not told and order is None and not instrument:
        raise InputError(f"{text!r}: says nothing of a thing; ask such as {EXAMPLE!r}")
    return Asked(Noun(**told), instrument, order)


def tracks(looks: Sequence[Sequence[Seen]], least: float = 0.25) -> list[Track]:
    """The things of a clip: what is seen look by look, joined to what is near it in the look before.

    What is seen in fewer than a share of `least` of the looks in which it could be is left out.
    """
    going: list[list[tuple[int, Seen]]] = []
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


def _apart(one: Seen, other: Seen) -> float:
    """How far two looks lie apart; of another kind, farther."""
    return max(abs(one.x - other.x), abs(one.y - other.y)) + 0.05 * (one.kind != other.kind)


def _track(looks: Sequence[tuple[int, Seen]], count: int) -> Track:
    first = [seen for _, seen in looks[: max(1, len(looks) // 8)]]
    votes: dict[str, dict[str, float]] = {name: defaultdict(float) for name in ("kind", "material", "colour")}
    for _, seen in looks:
        for name, said in votes.items():
            said[getattr(seen, name)] += seen.probability
    material, colour = max(MAKES, key=lambda make: votes["material"][make[0]] + votes["colour"][make[1]])
    x, y = (sum(getattr(seen, axis) for seen in first) / len(first) for axis in ("x", "y"))
    size = sum(seen.size for _, seen in looks) / len(looks)
    return Track(
        kind=max(votes["kind"], key=votes["kind"].__getitem__),
        material=material,
        colour=colour,
        x=x,
        y=y,
        size=size,
        probability=sum(s.probability for _, s in looks) / count,
        looks=tuple(looks),
    )


def chosen(text: str, things: Sequence[Track]) -> Track:
    """The one thing that a phrase means.

    Detectors err: where nothing fits at all, but one thing fits all but one of three facts or more, it is
    that, with a warning.

    Raises:
        InputError: nothing like it is seen, or several things are and the words don't tell them apart; both
            say what is seen.
    """
    wanted = asked(text)
    wrong = [_mismatches(wanted, thing) for thing in things]
    fits = [thing for thing, count in zip(things, wrong, strict=True) if count == 0]
    seen = ", ".join(thing.name for thing in things) or "nothing that the detector knows"
    if not fits and wrong.count(1) == 1 and sum(fact is not None for fact in vars(wanted.noun).values()) >= 3:
        fits = [things[wrong.index(1)]]
        log.warning("%r: no such thing is seen; taken to mean %s", text, fits[0].name)
    if not fits:
        raise InputError(f"{text!r}: no such thing is seen; seen: {seen}")
    if wanted.order is not None:
        by, share = wanted.order
        fits = [sorted(fits, key=lambda thing: getattr(thing, by))[round(share * (len(fits) - 1))]]
    elif wanted.noun.side is None or len(fits) > 1:
        if len(fits) > 1:
            named = ", ".join(thing.name for thing in fits)
            raise InputError(
                f"{text!r}: {len(fits)} things are so: {named}; say which, such as 'on the left'"
            )
    return fits[0]


def _mismatches(wanted: Asked, thing: Track) -> int:
    """How many of the facts that are asked for a thing lacks; a side is that of its beginning."""
    kind, material = TARGET_WORDS.get(thing.kind, (thing.kind, thing.material or None))
    known = replace(Noun(), kind=kind, material=material, colour=thing.colour or None, side=thing.side)
    wrong = [
        name for name, fact in vars(wanted.noun).items() if fact is not None and fact != getattr(known, name)
    ]
    return len(wrong) + 2 * (wanted.instrument and thing.kind not in INSTRUMENTS)
