"""Chinese -> tags: the longest word of the lexicon that begins at each character; no spaces are needed."""

import re
import unicodedata
from dataclasses import replace
from functools import cache

from avsim.prompting import english
from avsim.prompting.lexicons import Lexicon, entries, words_of_language
from avsim.prompting.tags import Part, Tag

STOPS, COMMAS = frozenset("。.;!?…:\n"), frozenset(",—()·")
MARKS = frozenset("\"“”‘’'《》「」【】-~ \t\r")
FOREIGN = re.compile(r"[a-z][a-z' -]*[a-z]|[a-z]")
DIGITS = re.compile(r"\d+(?:\.\d+)?")
OF_NOUNS = (Part.COLOUR, Part.MATERIAL, Part.SIZE, Part.SIDE)


@cache
def lexicon() -> Lexicon:
    """All Chinese words and phrases."""
    words = Lexicon()
    for table, part, value, phrase in entries("chinese"):
        word, _, material = phrase.partition("/")
        words.add(word, part, material or value)
        if table == "actions":
            words.add(f"{word}了", part, value)
            words.add(f"{word}着", part, value)
    return words


@cache
def function_characters() -> frozenset[str]:
    """Characters that say nothing of a scene by themselves."""
    return frozenset(words_of_language("chinese")["function"])


def tags_of(text: str) -> list[Tag]:
    """The tags of a text in Chinese, with English words in it; runs of unknown characters are one word."""
    variants = words_of_language("chinese")["simplified"]
    text = unicodedata.normalize("NFKC", text).lower()
    text = text.translate(str.maketrans(variants["from"], variants["to"]))
    words, characters = lexicon(), list(text)
    tags: list[Tag] = []
    place = 0
    while place < len(text):
        mark = text[place]
        if mark in STOPS or mark in COMMAS:
            tags.append(Tag(Part.STOP if mark in STOPS else Part.COMMA, words=mark))
            place += 1
        elif number := DIGITS.match(text, place):
            tags.append(Tag(Part.NUMBER, float(number[0]), number[0]))
            place = number.end()
        elif word := FOREIGN.match(text, place):
            own = {"s": [Tag(Part.SECONDS_UNIT, words="s")]}
            tags += own.get(word[0]) or english.tags_of(word[0])
            place = word.end()
        elif found := words.find(characters, place):
            tag, end = found
            tags.append(replace(tag, words=text[place:end]))
            place = end
        else:
            if mark not in function_characters() and mark not in MARKS:
                joined = tags and tags[-1].part is Part.UNKNOWN and text[:place].endswith(tags[-1].words)
                before = tags.pop().words if joined else ""
                tags.append(Tag(Part.UNKNOWN, words=before + mark))
            place += 1
    return _with_articles(tags)


def _with_articles(tags: list[Tag]) -> list[Tag]:
    """A noun without a number may be one that was named before, as with "the"."""
    found: list[Tag] = []
    for number, tag in enumerate(tags):
        if tag.part is Part.KIND:
            before = number
            while before and tags[before - 1].part in OF_NOUNS:
                before -= 1
            if not before or tags[before - 1].part is not Part.NUMBER:
                found.append(Tag(Part.ARTICLE, words="the"))
        found.append(tag)
    return found
