"""Rules: a prompt in ordinary English or Chinese -> facts -> a caption of the synthetic worlds."""

import re
from dataclasses import dataclass

from avsim.errors import InputError
from avsim.prompting import english
from avsim.prompting.assemble import Reading, read
from avsim.world.captions.compose import plain_caption
from avsim.world.captions.facts import Facts
from avsim.world.captions.parsing import facts_in

LONGEST = 20000  # characters of a prompt that are read
CHINESE = re.compile(r"[\u3400-\u9fff]")


@dataclass(frozen=True)
class Rewritten:
    """A prompt as the checkpoint's captions are written."""

    prompt: str
    negative_prompt: str = ""  # what shall not be there
    dropped: tuple[str, ...] = ()  # words that are not in the caption


def understood(prompt: str) -> Reading:
    """What the rules read in a prompt of any words; a caption of the worlds is read as such."""
    try:
        return Reading(facts_in(prompt))
    except InputError:
        pass
    prompt = prompt[:LONGEST]
    if CHINESE.search(prompt):
        from avsim.prompting import chinese

        return read(chinese.tags_of(prompt))
    return read(english.tags_of(prompt))


def rewritten(prompt: str) -> Rewritten:
    """The prompt as a caption; one that is written so already comes back unchanged."""
    try:
        facts_in(prompt)
        return Rewritten(prompt)
    except InputError:
        pass
    reading = understood(prompt)
    return Rewritten(
        plain_caption(reading.facts), ", ".join(reading.negative), (*reading.unknown, *reading.unused)
    )


def place_caption(prompt: str, otherwise: str | None = None) -> str:
    """A caption of the place of a prompt alone, or of the place `otherwise`; "" where both are missing."""
    place = understood(prompt).facts.place or otherwise
    return "" if place is None else plain_caption(Facts(place=place))


def facts_of_prompt(prompt: str) -> Facts:
    """The facts of an ordinary sentence.

    Raises:
        InputError: a word that no fact has, or a sentence without any.
    """
    if not prompt.strip(" .\n\t"):
        return facts_in(prompt)  # which says what is wrong
    reading = understood(prompt)
    if reading.unknown:
        try:
            facts_in(prompt)
        except InputError as error:
            if "unknown word" in str(error) and repr(reading.unknown[0]) in str(error):
                raise
        raise InputError(f"{prompt!r:.200}: unknown word {reading.unknown[0]!r}")
    if reading.facts == Facts():
        return facts_in(prompt)
    return reading.facts


def caption_of_prompt(prompt: str) -> str:
    """An ordinary sentence as a caption; one that is a caption already comes back unchanged.

    Raises:
        InputError: a word that no fact has, or a sentence without any.
    """
    try:
        facts_in(prompt)
    except InputError:
        return plain_caption(facts_of_prompt(prompt))
    return prompt
