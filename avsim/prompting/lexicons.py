"""A lexicon: words and phrases of one language, and the tags they get."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from avsim.prompting.tags import Part, Tag


@dataclass
class Lexicon:
    """Phrases as tuples of words (English) or of characters (Chinese) -> their meaning."""

    phrases: dict[tuple[str, ...], Tag] = field(default_factory=dict)
    longest: int = 0

    def add(self, units: Iterable[str], part: Part, value: Any = None, plural: bool = False) -> None:
        """Add a phrase; the first meaning that is given to one stays."""
        key = tuple(units)
        self.phrases.setdefault(key, Tag(part, value, plural=plural))
        self.longest = max(self.longest, len(key))

    def find(self, units: list[str], start: int) -> tuple[Tag, int] | None:
        """The longest phrase that begins at `start`, and where it ends."""
        for end in range(min(len(units), start + self.longest), start, -1):
            if found := self.phrases.get(tuple(units[start:end])):
                return found, end
        return None

    def split(self, text: str) -> list[str]:
        """How a phrase is cut into units; languages without spaces override it."""
        return text.split()

    def add_table(self, part: Part, table: Mapping[Any, str] | str) -> None:
        """Add phrases that are separated by bars, for each value, or all for None."""
        for value, phrases in table.items() if isinstance(table, Mapping) else ((None, table),):
            for phrase in phrases.split("|"):
                self.add(self.split(phrase), part, value)
