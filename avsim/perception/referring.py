"""Referring expressions: "the violin on the left" -> one of the detected things."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from avsim.errors import InputError
from avsim.perception.tracks import Track
from avsim.perception.vocabulary import INSTRUMENTS
from avsim.world.captions.facts import Noun
from avsim.world.captions.lexicon import ARTICLES, WORDS

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
EXAMPLE = "the violin on the left"
log = logging.getLogger("avsim")


@dataclass(frozen=True)
class ReferringExpression:
    """The attributes of a referring expression."""

    noun: Noun
    instrument: bool = False  # it is requested as an instrument, or as its player
    order: tuple[str, float] | None = None  # of what fits: by what to choose, and where in that order


def parse_expression(text: str) -> ReferringExpression:
    """The attributes of a phrase: kind, material, colour and side in the world's vocabulary, or None.

    Raises:
        InputError: a word outside the vocabulary, or no attribute at all.
    """
    plain = re.sub(r"[^a-z\- ]", " ", text.lower())
    rest, stated = f" {' '.join(plain.split())} ", {}
    for slot in SLOTS:
        for value, said in WORDS[slot].items():
            for words in sorted(said, key=len, reverse=True):
                if slot not in stated and f" {words} " in rest:
                    stated[slot], rest = value, rest.replace(f" {words} ", " ", 1)
        if slot == "material" and slot not in stated and " wood " in rest:
            stated[slot], rest = "wood", rest.replace(" wood ", " ", 1)
    order, instrument = None, False
    fillers = {*ARTICLES, *ANY, "of", "with", "who", "plays", "'s"}
    for word in rest.split():
        if word in ("left", "right", "middle", "centre") and "side" not in stated:
            stated["side"] = "middle" if word == "centre" else word
        elif word in ORDERS and order is None:
            order = ORDERS[word]
        elif word not in fillers:
            near = get_close_matches(word, KNOWN, n=1, cutoff=0.75)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise InputError(f"{text!r}: unknown word {word!r}{hint}; ask such as {EXAMPLE!r}")
        instrument = instrument or word in ("instrument", "player")
    if not stated and order is None and not instrument:
        raise InputError(f"{text!r}: says nothing of a thing; ask such as {EXAMPLE!r}")
    return ReferringExpression(Noun(**stated), instrument, order)


def select(text: str, things: Sequence[Track]) -> Track:
    """The one thing that a phrase means.

    Detectors err: where nothing fits at all, but one thing fits all but one of three facts or more, it is
    that, with a warning.

    Raises:
        InputError: no detected thing fits, or several do; both messages list the detected things.
    """
    wanted = parse_expression(text)
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
    elif len(fits) > 1:
        named = ", ".join(thing.name for thing in fits)
        raise InputError(f"{text!r}: {len(fits)} things are so: {named}; say which, such as 'on the left'")
    return fits[0]


def _mismatches(wanted: ReferringExpression, thing: Track) -> int:
    """How many of the facts that are requested a thing lacks; a side is that of its beginning."""
    known = vars(thing.noun)
    wrong = [name for name, fact in vars(wanted.noun).items() if fact is not None and fact != known[name]]
    return len(wrong) + 2 * (wanted.instrument and thing.kind not in INSTRUMENTS)
