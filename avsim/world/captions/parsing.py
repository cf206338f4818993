"""A caption, or a sentence in its vocabulary -> the facts that it states."""

import re
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any

from avsim.errors import InputError
from avsim.world.captions.facts import Facts, Meeting, Noun, ThingFacts
from avsim.world.captions.grammar import Form
from avsim.world.captions.lexicon import (
    ALSO_READ,
    ANYWHERE,
    ARTICLES,
    CORES,
    CORES_ALSO_READ,
    JOINTS,
    NUMBERS,
    OF_ALL,
    OFF_SCREEN,
    OFTEN,
    TAILS,
    WORDS,
)

_CORES = [
    (does, Form(text)) for of in (CORES, CORES_ALSO_READ) for does, texts in of.items() for text in texts
]
_CORES.append(("", Form("{thing}")))  # a noun phrase alone
_TAILS = {
    does: [
        (fact, Form(text))
        for fact, texts in (tails | ANYWHERE).items()
        for text in (*texts, *(ALSO_READ.get(fact, ())))
    ]
    for does, tails in TAILS.items()
}
_OF_ALL = [(fact, Form(text)) for fact, texts in OF_ALL.items() for text in texts]
_PLACE, _OFF = Form("{place}"), re.compile("|".join(OFF_SCREEN))
_NUMBER = re.compile(r"\d+(\.\d+)?s?")


def _vocabulary() -> frozenset[str]:
    """Every word of every form and fact."""
    tails = [
        text
        for of in (*TAILS.values(), ALSO_READ, ANYWHERE, OF_ALL)
        for texts in of.values()
        for text in texts
    ]
    cores = [text for of in (CORES, CORES_ALSO_READ) for texts in of.values() for text in texts]
    forms = [re.sub(r"\{\w+\}|[\[\]]", " ", text) for text in (*tails, *cores)]
    forms = [each for text in forms for each in (text.replace("(s)", "").replace("(es)", ""),
                                                 text.replace("(s)", "s").replace("(es)", "es"))]  # fmt: skip
    facts = [word for values in WORDS.values() for words in values.values() for word in words]
    others = [*NUMBERS, *OFTEN.values(), *ARTICLES, *JOINTS, *OFF_SCREEN, "times s seconds"]
    return frozenset(word for text in (*forms, *facts, *others) for word in words_of(text))


def words_of(text: str) -> list[str]:
    """Its words, in lower case; numbers too, punctuation not."""
    return re.findall(r"\d+(?:\.\d+)?|[a-z]+(?:-[a-z]+)*", text.lower())


VOCABULARY = _vocabulary()  # all words that a caption may have, besides numbers in digits


def unknown_words(text: str) -> tuple[str, ...]:
    """The words that no caption has, each once, in their order."""
    words = [word for word in words_of(text) if word not in VOCABULARY and not _NUMBER.fullmatch(word)]
    return tuple(dict.fromkeys(words))


def facts_in(text: str) -> Facts:
    """The facts that a caption states; others are None or absent.

    Raises:
        InputError: a word that no caption has, or words in an order that can't be read.
    """
    if unknown := unknown_words(text):
        near = get_close_matches(unknown[0], VOCABULARY, n=1, cutoff=0.75)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise InputError(f"{text!r}: unknown word {unknown[0]!r}{hint}")
    reader = _Reader()
    plain = " ".join(text.lower().split()).rstrip(" .")
    clauses = re.split("|".join(map(re.escape, JOINTS)), plain)
    if not plain:
        raise InputError("a caption without words; expected such as 'a metal ball falls in a cave'")
    for clause in clauses:
        reader.read(clause, text)
    return reader.facts()


@dataclass
class _Reader:
    """What was read so far."""

    of_all: dict[str, Any] = field(default_factory=dict)
    things: list[ThingFacts] = field(default_factory=list)
    unseen: list[ThingFacts] = field(default_factory=list)
    meetings: list[Meeting] = field(default_factory=list)
    walls: list[tuple[str, str]] = field(default_factory=list)
    moves: list[tuple[int, str]] = field(default_factory=list)

    def facts(self) -> Facts:
        moves = self.of_all.pop("moves", tuple(sorted(self.moves)) or None)
        return Facts(
            **self.of_all,
            things=tuple(self.things),
            unseen=tuple(self.unseen),
            meetings=tuple(self.meetings),
            walls=tuple(self.walls),
            moves=moves,
        )

    def read(self, clause: str, text: str) -> None:
        """Take in one clause."""
        hidden, start = False, 0
        while True:  # what may stand before a clause
            if found := _PLACE.read(clause, start):
                self.of_all["place"] = found[0]["place"]
                start = found[1]
            elif off := _OFF.match(clause, start):
                hidden, start = True, off.end()
            else:
                break
            start = _gap(clause, start)
        if start < len(clause) and not (self._of_all(clause[start:]) or self._thing(clause[start:], hidden)):
            raise InputError(f"{text!r}: {clause!r} can't be read; write such as {EXAMPLE!r}")

    def _of_all(self, clause: str) -> bool:
        """Read a clause about the whole clip."""
        for fact, form in _OF_ALL:
            found = form.read(clause, 0)
            if found is None or self._place(clause, found[1]) != len(clause):
                continue
            stated = found[0]
            match fact:
                case "count" | "pillars":
                    self.of_all[fact] = stated["count"]
                case "walls":
                    self.walls.append((stated["at"], stated["wall"]))
                case "cuts":
                    cuts = [stated[slot] for slot in ("seconds", "again") if slot in stated]
                    self.of_all[fact] = tuple(sorted([*self.of_all.get(fact, ()), *cuts]))
                case "moves":
                    self.moves.append((stated["shot"], stated["move"]))
                case "no cuts" | "no moves":
                    self.of_all[fact.removeprefix("no ")] = ()
                case "silent":
                    self.of_all[fact] = True
                case "unseen":
                    self.unseen.append(ThingFacts(Noun()))
                case "meetings":
                    self.meetings.append(Meeting(stated["thing"], stated["other"], stated.get("often")))
                case _:
                    self.of_all[fact] = stated[fact]
            return True
        return False

    def _place(self, clause: str, start: int) -> int:
        """Where the rest of a clause ends if it is a place, and take that in; else `start`."""
        found = _PLACE.read(clause, _gap(clause, start))
        if found is None:
            return start
        self.of_all["place"] = found[0]["place"]
        return found[1]

    def _thing(self, clause: str, hidden: bool) -> bool:
        """Read a clause about one thing."""
        for does, form in _CORES:
            found = form.read(clause, 0)
            if found is None:
                continue
            stated, place, off = _tails(clause, found[1], does)
            if stated is None:
                continue
            if place:
                self.of_all["place"] = place
            noun = found[0]["thing"]
            if "side" in stated:
                noun = replace(noun, side=stated.pop("side"))
            tip = {"tip": found[0]["tip"]} if "tip" in found[0] else {}
            whole = ThingFacts(noun, does or None, **tip, **stated)
            (self.unseen if hidden or off else self.things).append(whole)
            return True
        return False


EXAMPLE = "a metal stick strikes a glass bottle at 0.8 s, hard, in a cave"


def _gap(clause: str, start: int) -> int:
    """Behind a comma or a space."""
    while start < len(clause) and clause[start] in ", ":
        start += 1
    return start


def _tails(clause: str, start: int, does: str) -> tuple[dict[str, Any] | None, str | None, bool]:
    """What follows a thing's core: facts, or None where it can't be read; a place; whether off screen."""
    stated: dict[str, Any] = {}
    place, off = None, False
    while start < len(clause):
        start = _gap(clause, start)
        if found := _PLACE.read(clause, start):
            place, start = found[0]["place"], found[1]
            continue
        if hidden := _OFF.match(clause, start):
            off, start = True, hidden.end()
            continue
        matches = [(fact, read) for fact, form in _TAILS[does] if (read := form.read(clause, start))]
        if not matches:
            return None, None, False
        fact, (values, start) = max(matches, key=lambda match: match[1][1])
        stated[fact] = next(iter(values.values())) if values else True
    return stated, place, off
