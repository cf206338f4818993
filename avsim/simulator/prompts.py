"""Warnings about prompts with words or places that the model was not trained on."""

from __future__ import annotations

import logging
import re
from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING

from avsim.data.vocabulary import words_of

if TYPE_CHECKING:
    from avsim.simulator.models import Models

log = logging.getLogger("avsim")
MAX_WORDS = 8  # unknown words of a prompt that a warning names
_WARNED_OF_WORDS: list[str] = []  # the prompt that the warning was about


@lru_cache(maxsize=64)
def warn_once(message: str) -> None:
    """Warn once per process: many clips are generated with the same settings."""
    log.warning(message)


def check_prompt(models: Models, prompt: str) -> None:
    """Warn about words and places that the model was not trained on, and about a prompt that is cut."""
    text = models.part("generator").text
    tokens, unknown = text.check(prompt)
    if tokens > text.length:
        warn_once(f"a prompt of {tokens} tokens: the first {text.length} are used, the rest is cut")
    if models.places:  # the model was trained on the synthetic worlds
        from avsim.perception.vocabulary import PLACES

        named = [place for place in PLACES if re.search(rf"\b{place}", prompt.lower())]
        if never := [place for place in named if place not in models.places]:
            shown = ", ".join(models.places)
            warn_once(f"the model was not trained on a {' or a '.join(never)}; its places are: {shown}")
    if models.vocabulary is not None:
        unknown = [word for word in words_of(prompt) if word not in models.vocabulary]
    if unknown and not _WARNED_OF_WORDS:  # once per process, not for each prompt of a list
        _WARNED_OF_WORDS.append(prompt)
        known = _known_words(models)
        words = ", ".join(_with_suggestion(word, known) for word in unknown[:MAX_WORDS])
        more = f" and {len(unknown) - MAX_WORDS} more" if len(unknown) > MAX_WORDS else ""
        log.warning("words that the model was not trained with: %s%s", words, more)


def _known_words(models: Models) -> frozenset[str]:
    """The words that are suggested: those of the training captions, else those of the synthetic worlds."""
    if models.vocabulary is not None:
        return models.vocabulary
    from avsim.world.captions.parsing import VOCABULARY

    return VOCABULARY


def _with_suggestion(word: str, known: frozenset[str]) -> str:
    """An unknown word, and the known one that is most similar, if any."""
    near = get_close_matches(word, known, n=1, cutoff=0.75)
    return word[:40] + (f" ({near[0]}?)" if near else "")
