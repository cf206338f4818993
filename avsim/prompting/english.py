"""English -> tags: inflections, spelling, and what an ambiguous word is by its neighbours."""

import re
import unicodedata
from dataclasses import replace
from difflib import get_close_matches
from functools import cache

from avsim.prompting.lexicons import Lexicon, entries, split, words_of_language
from avsim.prompting.numbers import BOTH
from avsim.prompting.tags import Part, Tag
from avsim.world.captions.lexicon import ORDINALS

WORD = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+(?:['’][^\W\d_]+)*|[.,;:!?\n–—…()\"“”]|[^\s\w]|_")
STOPS, COMMAS = frozenset(".;!?\n…"), frozenset(",:–—()")
QUIET_MARKS = frozenset("\"“”'’‘-/*_`")
CORRECTED = 200  # unknown words of a prompt, whose spelling is looked at
SHORTEST = 4  # letters of a word that is corrected
SHORT = 5  # letters up to which a word is corrected only if that is nearly certain
CUTOFF, STRICT = 0.8, 0.85  # share of letters in common, as difflib counts them
SUBJECT_BEFORE = (Part.KIND, Part.PRONOUN, Part.AGENT, Part.PLACE, Part.HIDDEN, Part.FORCE, Part.SPEED,
                  Part.TIMES, Part.UNKNOWN)  # fmt: skip
COUNTABLE = (
    "kinds",
    "players",
    "places",
    "floors",
    "lawns",
    "counted",
    "sticks",
    "walls",
    "pillars",
    "ground",
)
ADVERBS_OF_THE_MIDDLE = ("central", "centrally", "centred", "centered", "right in the middle", "dead centre")


def inflections(verb: str) -> list[str]:
    """A regular verb's forms; of a phrase, those of its first word. Doubled consonants are among them."""
    first, _, rest = verb.partition(" ")
    stem = first.removesuffix("e")
    forms = [first, f"{first}es" if first.endswith(("s", "sh", "ch", "x", "z", "o")) else f"{first}s"]
    forms += [f"{stem}ed", f"{stem}ing"]
    if first.endswith("y") and first[-2:-1] not in "aeiou":
        forms += [f"{first[:-1]}ies", f"{first[:-1]}ied"]
    if re.search(r"[^aeiou][aeiou][bdgklmnpt]$", first):
        forms += [f"{first}{first[-1]}{end}" for end in ("ed", "ing")]
    return [f"{form} {rest}".strip() for form in forms]


def plural(noun: str) -> str:
    """Of a regular noun, or of a phrase's last word."""
    if noun.endswith(("s", "sh", "ch", "x")):
        return f"{noun}es"
    return f"{noun[:-1]}ies" if re.search(r"[^aeiou]y$", noun) else f"{noun}s"


@cache
def lexicon() -> Lexicon:
    """All English words and phrases; where one has two meanings, the one that is added first."""
    words, ways = Lexicon(), split(words_of_language("english")["side_ways"])
    for table, part, value, phrase in entries("english"):
        forms = [phrase]
        if table == "sides":
            forms = [way.format(phrase) for way in ways]
        elif table == "actions":
            forms = inflections(phrase)
        for form in forms:
            words.add(form.split(), part, value)
        if table in COUNTABLE:
            words.add(plural(phrase).split(), part, value, plural=True)
    for phrase in ADVERBS_OF_THE_MIDDLE:
        words.add(phrase.split(), Part.SIDE, "middle")
    for number, word in enumerate(ORDINALS):
        words.add([word, "shot"], Part.ORDINAL, number)
        words.add(["shot", str(number + 1)], Part.ORDINAL, number)
    return words


@cache
def function_words() -> frozenset[str]:
    """Words that say nothing of a scene."""
    return frozenset(words_of_language("english")["function"].split())


@cache
def protected() -> frozenset[str]:
    """Words that are never taken for misspelt ones."""
    return frozenset(words_of_language("english")["protected"].split())


@cache
def spelled() -> tuple[str, ...]:
    """Words to which a misspelt one is corrected."""
    words = {word for phrase in lexicon().phrases for word in phrase if len(word) >= SHORTEST}
    return tuple(sorted(words | {word for word in function_words() if len(word) > SHORTEST}))


@cache
def spelled_names() -> tuple[str, ...]:
    """Those of things, colours and materials, to which short words are corrected more readily."""
    names = (Part.KIND, Part.COLOUR, Part.MATERIAL)
    words = {word for phrase, tag in lexicon().phrases.items() if tag.part in names for word in phrase}
    return tuple(sorted(word for word in words if len(word) >= SHORTEST))


def corrected(word: str) -> str | None:
    """A word of the lexicon that a misspelt one stands for."""
    if len(word) < 3 or word in protected():
        return None
    if len(word) > SHORT:
        near = get_close_matches(word, spelled(), n=3, cutoff=CUTOFF)
        return next((each for each in near if each[0] == word[0] or len(word) > SHORT + 1), None)
    swapped = [each for each in spelled() if len(each) == len(word) and sorted(each) == sorted(word)]
    near = get_close_matches(word, spelled(), n=3, cutoff=STRICT) + swapped
    if len(word) >= SHORTEST:
        near += get_close_matches(word, spelled_names(), n=3, cutoff=0.75)
    return next((each for each in near if each[0] == word[0] and abs(len(each) - len(word)) < 2), None)


def units_of(text: str) -> list[str]:
    """Lower-case words, numbers and marks."""
    text = unicodedata.normalize("NFKC", text).lower().replace("’", "'")
    text = re.sub(r"\bcan't\b|\bcannot\b", "can not", re.sub(r"\bwon't\b", "will not", text))
    text = re.sub(r"(\w)n't\b", r"\1 not", text)
    text = re.sub(r"'(?:s|re|ve|ll|d|m)\b", "", text)
    text = re.sub(r"(\d)x\b", r"\1 times", text)
    return [unit for unit in WORD.findall(text) if unit not in QUIET_MARKS]


def tags_of(text: str) -> list[Tag]:
    """The tags of a text, in its order; function words have none, unknown words are tagged so."""
    words, function = lexicon(), function_words()
    units = units_of(text)
    known = {word for phrase in words.phrases for word in phrase} | function
    looked: dict[str, str | None] = {}
    for unit in units:
        if unit[0].isalpha() and unit not in known and unit not in looked and len(looked) < CORRECTED:
            looked[unit] = corrected(unit)
    units = [looked.get(unit) or unit for unit in units]
    tags: list[Tag] = []
    place = 0
    while place < len(units):
        unit = units[place]
        if unit in STOPS or unit in COMMAS:
            tags.append(Tag(Part.STOP if unit in STOPS else Part.COMMA, words=unit))
            place += 1
        elif found := words.find(units, place):
            tag, end = found
            tags.append(replace(tag, words=" ".join(units[place:end])))
            place = end
        elif unit[0].isdigit():
            tags.append(Tag(Part.NUMBER, float(unit), unit))
            place += 1
        else:
            if unit not in function:
                tags.append(Tag(Part.UNKNOWN, words=unit))
            place += 1
    return [_by_neighbours(tags, number) for number in range(len(tags))]


def _by_neighbours(tags: list[Tag], number: int) -> Tag:
    """A tag, of a word that is a noun or a verb by what stands beside it."""
    tag = tags[number]
    before = tags[number - 1] if number else Tag(Part.STOP)
    after = tags[number + 1] if number + 1 < len(tags) else Tag(Part.STOP)
    if tag.words in ("ring", "rings"):
        if tag.words == "ring" and before.words in BOTH or tag.words == "rings" and before.words == "that":
            return Tag(Part.ACTION, "is struck", tag.words)
        starts = before.part in (Part.STOP, Part.COMMA, Part.AND, Part.THEN)
        behind_a_subject = before.part in SUBJECT_BEFORE or before.part is Part.SIDE and " " in before.words
        if behind_a_subject and after.part not in (Part.ACTION, Part.BE):
            return Tag(Part.ACTION, "is struck", tag.words)
        if number and starts and tag.words == "rings" and after.part not in (Part.ACTION, Part.BE):
            return Tag(Part.ACTION, "is struck", tag.words)
        if starts and after.part in (Part.ARTICLE, Part.PRONOUN, Part.NUMBER, Part.KIND):
            return Tag(Part.ACTION, "is struck", tag.words)
    if tag.words in ("block", "bowl", "box", "fiddle") and before.part is Part.AGENT:
        return Tag(Part.UNKNOWN, words=tag.words)
    if tag.words == "a second" and after.part in (Part.KIND, Part.COLOUR, Part.MATERIAL, Part.SIZE):
        return Tag(Part.ARTICLE, words=tag.words)
    if tag.words == "second" and before.part is not Part.NUMBER:
        if before.part in (Part.STOP, Part.COMMA) and after.part is Part.COMMA:
            return Tag(Part.THEN, words=tag.words)
        return Tag(Part.ARTICLE, words=tag.words)
    if tag.words == "falling" and after.part is Part.COUNTED:
        return Tag(Part.LINE, "falling", tag.words)
    return tag
