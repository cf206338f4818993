"""Tags that only mean something together: "three times", "0.8 s", "felt stick", "stone floor"."""

from collections.abc import Sequence
from dataclasses import replace

from avsim.prompting.tags import Part, Tag

DESCRIBING = (Part.COLOUR, Part.MATERIAL, Part.SIZE, Part.ARTICLE, Part.OF)
A_SECOND = ("a second", "一秒", "每秒")
BOTH = ("both", "两个都", "都")


def combined(tags: Sequence[Tag]) -> list[Tag]:
    """The tags with numbers, sticks, floors and walls put together with what they belong to."""
    tags = [tag for tag in tags if tag.part is not Part.IGNORED]
    found: list[Tag] = []
    place = 0
    struck = any(tag.part is Part.ACTION and tag.value == "is struck" for tag in tags)
    while place < len(tags):
        tag, used = (struck and _tool(tags, place)) or _combined_at(tags, place)
        if tag is not None:
            found.append(tag)
        place += used
    return found


def _combined_at(tags: Sequence[Tag], place: int) -> tuple[Tag | None, int]:
    """What begins at a place, and of how many tags it is."""
    tag = tags[place]
    parts = [each.part for each in tags[place : place + 5]]
    words = " ".join(each.words for each in tags[place : place + 2])
    match parts:
        case [Part.NUMBER, Part.TIMES_UNIT, Part.PER_SECOND, *_]:
            return Tag(Part.PER_SECOND, tag.value, words), 3
        case [Part.NUMBER, Part.TIMES_UNIT, Part.SECONDS, *_] if tags[place + 2].words in A_SECOND:
            return Tag(Part.PER_SECOND, tag.value, words), 3
        case [Part.PER_SECOND, Part.NUMBER, Part.TIMES_UNIT, *_]:
            return Tag(Part.PER_SECOND, tags[place + 1].value, words), 3
        case [Part.TIMES, Part.PER_SECOND, *_]:
            return Tag(Part.PER_SECOND, tag.value, words), 2
        case [Part.TIMES, Part.SECONDS, *_] if tags[place + 1].words in A_SECOND:
            return Tag(Part.PER_SECOND, tag.value, words), 2
        case [Part.NUMBER, Part.PER_SECOND, *_]:
            return Tag(Part.PER_SECOND, tag.value, words), 2
        case [Part.NUMBER, Part.TIMES_UNIT, *_] | [Part.NUMBER, Part.COUNTED, *_]:
            return Tag(Part.TIMES, int(tag.value), words), 2
        case [Part.NUMBER, Part.FORCE | Part.SPEED | Part.REGISTER | Part.LINE as part, Part.COUNTED, *_]:
            return Tag(Part.TIMES, (int(tag.value), part, tags[place + 1].value), words), 3
        case [Part.NUMBER, Part.FORCE | Part.SPEED as part, Part.ACTION, *_] if _is_noun(tags[place + 2]):
            meant = (int(tag.value), part, tags[place + 1].value, tags[place + 2].value)
            return Tag(Part.TIMES, meant, words), 3
        case [Part.FOR, Part.NUMBER, Part.SECONDS_UNIT, *_]:
            return None, 3
        case [Part.FOR, Part.SECONDS, *_]:
            return None, 2
        case [Part.AFTER, Part.NUMBER, Part.SECONDS_UNIT, *_]:
            return Tag(Part.SECONDS, float(tags[place + 1].value), words), 3
        case [Part.NUMBER, Part.SECONDS_UNIT, *_]:
            return Tag(Part.SECONDS, float(tag.value), words), 2
        case [Part.AFTER, Part.SECONDS, *_]:
            return tags[place + 1], 2
        case [Part.MATERIAL, Part.STICK, *_]:
            return Tag(Part.STICK, tag.value, words), 2
        case [Part.STICK, Part.OF, Part.MATERIAL, *_]:
            return Tag(Part.STICK, tags[place + 2].value, words), 3
        case [Part.MATERIAL, Part.WALL, *_]:
            return Tag(Part.WALL, tag.value, words), 2
        case [Part.WALL, Part.OF, Part.MATERIAL, *_]:
            return Tag(Part.WALL, tags[place + 2].value, words), 3
        case [Part.MATERIAL | Part.FLOOR, Part.GROUND, *_]:
            return Tag(Part.FLOOR, tag.value, words), 2
        case [Part.GROUND, Part.OF, Part.MATERIAL, *_]:
            return Tag(Part.FLOOR, tags[place + 2].value, words), 3
        case [Part.ON, Part.MATERIAL, *rest] if not _describes_a_thing(rest, tags[place + 2 :]):
            return Tag(Part.FLOOR, tags[place + 1].value, words), 2
        case [Part.MATERIAL, *rest] if tag.value == "stone" and not _describes_a_thing(
            rest, tags[place + 1 :]
        ):
            return Tag(Part.FLOOR, "stone", tag.words), 1
        case [Part.FORCE, Part.PLACE, *_] if _is_adjective(tag) and tags[place + 1].words[:3] not in (
            "in ",
            "on ",
        ):
            return None, 1  # "a quiet studio"
        case [Part.NUMBER, Part.ACTION, *_] if tags[place + 1].value != "collide" and tag.words not in BOTH:
            if _is_noun(tags[place + 1]):
                return Tag(Part.TIMES, (int(tag.value), Part.ACTION, tags[place + 1].value), words), 2
        case [Part.NUMBER, *_] if tag.words in BOTH:
            noun = _described(tags[place + 1 :])
            if noun is None:
                return replace(tag, part=Part.PRONOUN), 1
            if noun.words.isascii() and not noun.plural:
                return None, 1  # "both a bell and a drum"
    return tag, 1


def _tool(tags: Sequence[Tag], place: int) -> tuple[Tag, int] | None:
    """A bar by which something is struck, "with a metal rod": a stick."""
    if tags[place].part is not Part.WITH:
        return None
    material = None
    for end in range(place + 1, min(len(tags), place + 5)):
        tag = tags[end]
        if tag.part is Part.MATERIAL:
            material = tag.value
        elif tag.part is Part.KIND and tag.value.startswith("bar"):
            return Tag(
                Part.STICK, material or tag.value.partition("/")[2] or None, tag.words
            ), end - place + 1
        elif tag.part not in DESCRIBING and tag.part is not Part.NUMBER:
            return None
    return None


def _is_adjective(tag: Tag) -> bool:
    return tag.words.isascii() and " " not in tag.words and not tag.words.endswith("ly")


def _is_noun(tag: Tag) -> bool:
    """Whether a verb behind a number is a noun, such as "three hits"."""
    return not tag.words.endswith(("ing", "ed")) and tag.words not in ("fell", "struck", "falls")


def _described(tags: Sequence[Tag]) -> Tag | None:
    """The thing in which adjectives end."""
    noun = next((tag for tag in tags if tag.part not in DESCRIBING), None)
    return noun if noun is not None and noun.part is Part.KIND else None


def _describes_a_thing(parts: Sequence[Part], tags: Sequence[Tag]) -> bool:
    """Whether adjectives end in a thing."""
    for part, _ in zip(parts, tags, strict=False):
        if part not in DESCRIBING:
            return part in (Part.KIND, Part.STICK, Part.WALL, Part.AGENT)
    return False
