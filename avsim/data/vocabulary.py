"""Words of captions: what a generator was trained on, and what a prompt has beyond that."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")  # letters and hyphens; numbers are none


def words_of(caption: str) -> list[str]:
    """Its words in lower case, each once, in their order."""
    return list(dict.fromkeys(WORD.findall(caption.lower())))


def captions_of(items: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """All captions of the items of an index, of every style."""
    for item in items:
        yield item.get("caption", "")
        yield from item.get("styles", {}).values()


def vocabulary_of(captions: Iterable[str]) -> frozenset[str]:
    """All words of some captions."""
    return frozenset(word for caption in captions for word in words_of(caption))
