"""Forms of clauses, for writing and for parsing: text with slots <-> the facts in the slots."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from avsim.world.captions.facts import Noun
from avsim.world.captions.lexicon import ARTICLES, NUMBERS, OFTEN, WORDS

Generator = np.random.Generator

NOUNS = ("thing", "other")  # slots of noun phrases
COUNT = rf"\d+|{'|'.join(NUMBERS)}"
NUMERIC = {
    "count": f"(?:{COUNT})",
    "often": f"(?:{'|'.join(OFTEN.values())}|(?:{COUNT}) times)",
    "seconds": r"\d+(?:\.\d+)? ?(?:s|seconds?)",
    "again": r"\d+(?:\.\d+)? ?(?:s|seconds?)",
    "rate": r"\d+(?:\.\d+)?",
}


def pick(choices: Sequence[Any], random: Generator) -> Any:
    """One of them."""
    return choices[int(random.integers(len(choices)))]


def noun_phrase(noun: Noun, random: Generator, article: str = "a") -> str:
    """Such as "a large golden metal ball on the left"."""
    slots = ("size", "colour", "material", "kind", "side")
    words = [pick(WORDS[slot][value], random) for slot in slots if (value := getattr(noun, slot)) is not None]
    if article == "a" and words[0][0] in "aeiou":
        article = "an"
    return " ".join([article, *words])


def number(value: int, random: Generator) -> str:
    """As a word, where there is one, or in digits."""
    return NUMBERS[value] if value < len(NUMBERS) and random.random() < 0.7 else str(value)


@dataclass(frozen=True)
class Form:
    """One way to state some facts.

    {slot} is a fact's place; [...] is left out where its fact isn't stated; "(s)" and "(es)" are endings of
    numbers other than one.
    """

    text: str

    @property
    def slots(self) -> list[str]:
        """The names of all of them."""
        return re.findall(r"\{(\w+)\}", self.text)

    def say(self, stated: Mapping[str, Any], random: Generator) -> str:
        """The form with words in it for what is stated."""

        def optional(match: re.Match[str]) -> str:
            slots = Form(match[1]).slots
            return match[1] if all(stated.get(slot) is not None for slot in slots) else ""

        text = re.sub(r"\[(.*?)\]", optional, self.text)
        text = re.sub(r"\((e?s)\)", "" if stated.get("count") == 1 else r"\1", text)
        return re.sub(r"\{(\w+)\}", lambda match: _said(match[1], stated[match[1]], random), text)

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """A regular expression of the form with any words in its slots."""
        text = re.sub(r"\((e?s)\)", r"(?:\1)?", self.text)
        text = re.sub(r"\[(.*?)\]", r"(?:\1)?", text)
        return re.compile(re.sub(r"\{(\w+)\}", lambda match: _expected(match[1]), text) + r"(?![\w-])")

    def read(self, text: str, start: int) -> tuple[dict[str, Any], int] | None:
        """What is stated from `start` on, and where that ends; None where the text doesn't have this form."""
        found = self.pattern.match(text, start)
        if found is None:
            return None
        stated = {slot: _meant(slot, found) for slot in self.slots}
        return {slot: value for slot, value in stated.items() if value is not None}, found.end()


def _said(slot: str, value: Any, random: Generator) -> str:
    if slot in NOUNS:
        return noun_phrase(value, random)
    match slot:
        case "count":
            return number(value, random)
        case "often":
            return OFTEN.get(value) or f"{number(value, random)} times"
        case "seconds" | "again":
            return f"{value:g} {pick(('s', 'seconds'), random) if value != 1 else 's'}"
        case "rate":
            return f"{value:g}"
    return pick(WORDS[slot][value], random)


def _expected(slot: str) -> str:
    """The pattern of what may stand in a slot."""
    if slot in NOUNS:
        parts = [f"(?:{_words(f'{slot}_{part}', part)} )?" for part in ("size", "colour", "material")]
        side = f"(?: {_words(f'{slot}_side', 'side')})?"
        return f"(?:(?:{'|'.join(ARTICLES)}) )?{''.join(parts)}{_words(f'{slot}_kind', 'kind')}{side}"
    return f"(?P<{slot}>{NUMERIC[slot]})" if slot in NUMERIC else _words(slot, slot)


def _words(group: str, slot: str) -> str:
    every = sorted((word for words in WORDS[slot].values() for word in words), key=len, reverse=True)
    return f"(?P<{group}>{'|'.join(map(re.escape, every))})"


def _meant(slot: str, found: re.Match[str]) -> Any:
    """The value of what stands in a slot."""
    if slot in NOUNS:
        parts = ("kind", "material", "colour", "size", "side")
        return Noun(*(_value(part, found[f"{slot}_{part}"]) for part in parts))
    words = found[slot]
    if words is None:
        return None
    match slot:
        case "count":
            return _count(words)
        case "often":
            twice = {word: value for value, word in OFTEN.items()}
            return twice.get(words) or _count(words.removesuffix(" times"))
        case "seconds" | "again":
            return float(words.removesuffix("s").removesuffix("second").strip())
        case "rate":
            return float(words)
    return _value(slot, words)


def _count(words: str) -> int:
    return NUMBERS.index(words) if words in NUMBERS else int(words)


def _value(slot: str, words: str | None) -> Any:
    """The fact that words of a slot stand for."""
    return next((value for value, said in WORDS[slot].items() if words in said), None)
