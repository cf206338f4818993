"""A lexicon: words and phrases of one language, and the tags they get."""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from avsim.prompting.tags import Part, Tag

TABLES = {  # of a language's file -> what their phrases are
    "ignored": Part.IGNORED,
    "nothing_sounds": Part.NOTHING_SOUNDS, "no_cuts": Part.NO_CUT, "no_moves": Part.NO_MOVE,
    "moves": Part.MOVE, "cuts": Part.CUT, "things_seen": Part.THINGS_SEEN, "silent": Part.SILENT,
    "leaves": Part.LEAVES, "hidden": Part.HIDDEN, "registers": Part.REGISTER, "lines": Part.LINE,
    "backgrounds": Part.BACKGROUND, "seconds": Part.SECONDS, "times": Part.TIMES, "forces": Part.FORCE,
    "speeds": Part.SPEED, "kinds": Part.KIND, "players": Part.AGENT, "materials": Part.MATERIAL,
    "colours": Part.COLOUR, "sizes": Part.SIZE, "sides": Part.SIDE, "numbers": Part.NUMBER,
    "places": Part.PLACE, "floors": Part.FLOOR, "lawns": Part.FLOOR, "actions": Part.ACTION,
    "counted": Part.COUNTED, "sticks": Part.STICK, "walls": Part.WALL, "pillars": Part.PILLAR,
    "ground": Part.GROUND, "agents": Part.AGENT, "something": Part.SOMETHING, "pronouns": Part.PRONOUN,
    "negations": Part.NEGATION, "then": Part.THEN, "before": Part.BEFORE, "after": Part.AFTER,
    "and": Part.AND, "or": Part.OR, "of": Part.OF, "on": Part.ON, "be": Part.BE, "for": Part.FOR,
    "articles": Part.ARTICLE, "with": Part.WITH, "times_unit": Part.TIMES_UNIT, "per_second": Part.PER_SECOND,
    "seconds_unit": Part.SECONDS_UNIT, "shots": Part.ORDINAL,
}  # fmt: skip


@dataclass
class Lexicon:
    """Phrases, as tuples of words (English) or of characters (Chinese), and what they mean."""

    phrases: dict[tuple[str, ...], Tag] = field(default_factory=dict)
    longest: int = 0

    def add(self, units: Iterable[str], part: Part, value: Any = None, plural: bool = False) -> None:
        """Add a phrase; the first meaning that is given to one stays."""
        key = tuple(units)
        self.phrases.setdefault(key, Tag(part, value, plural=plural))
        self.longest = max(self.longest, len(key))

    def find(self, units: Sequence[str], start: int) -> tuple[Tag, int] | None:
        """The longest phrase that begins at `start`, and where it ends."""
        for end in range(min(len(units), start + self.longest), start, -1):
            if found := self.phrases.get(tuple(units[start:end])):
                return found, end
        return None


@cache
def words_of_language(language: str) -> dict[str, Any]:
    """The tables of "english" or "chinese", as they are written."""
    text = files("avsim.prompting").joinpath(f"{language}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def entries(language: str) -> Iterable[tuple[str, Part, Any, str]]:
    """Each phrase of a language: its table, what it is, its meaning, and the phrase."""
    written = words_of_language(language)
    for table, part in TABLES.items():
        content = written.get(table, "")
        rows = content if isinstance(content, Mapping) else {"lawn" if table == "lawns" else "": content}
        for key, phrases in rows.items():
            for phrase in split(phrases):
                yield table, part, _value(part, key), phrase


def split(phrases: str) -> list[str]:
    """Phrases that are separated by bars or line ends."""
    return [phrase.strip() for phrase in re.split(r"[|\n]", phrases) if phrase.strip()]


def _value(part: Part, key: str) -> Any:
    if part in (Part.NUMBER, Part.TIMES, Part.ORDINAL):
        return int(key)
    return float(key) if part is Part.SECONDS else key or None
