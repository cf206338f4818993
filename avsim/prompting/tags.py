"""Tags: what the words of a prompt mean, one by one, in any language, before they are put together."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Any


class Part(Enum):
    """What a word or phrase can be."""

    KIND = auto()  # of a thing: value of `Noun.kind`
    MATERIAL = auto()  # value of `Noun.material`; "felt" and "stone" too, of sticks, floors and walls
    COLOUR = auto()
    SIZE = auto()
    SIDE = auto()
    PLACE = auto()
    FLOOR = auto()  # with its material
    GROUND = auto()  # a floor whose material stands before it, or isn't stated
    WALL = auto()
    PILLAR = auto()
    STICK = auto()
    AGENT = auto()  # someone who plays, strikes or drops something
    ACTION = auto()  # value of `ThingFacts.does`, "sounds" or "collide"
    NUMBER = auto()
    COUNTED = auto()  # strokes, notes, landings: a number before it says how often
    TIMES = auto()  # how often
    TIMES_UNIT = auto()  # makes a number say how often
    PER_SECOND = auto()
    SECONDS = auto()  # when
    SECONDS_UNIT = auto()
    FORCE = auto()  # "gently", "firmly" or "hard"
    SPEED = auto()  # "slowly" or "quickly"
    REGISTER = auto()
    LINE = auto()
    SILENT = auto()
    LEAVES = auto()
    HIDDEN = auto()  # off screen
    SOMETHING = auto()
    BACKGROUND = auto()
    PRONOUN = auto()
    NEGATION = auto()
    THEN = auto()
    BEFORE = auto()
    AFTER = auto()
    AND = auto()
    OR = auto()
    COMMA = auto()
    STOP = auto()
    OF = auto()  # of, made of
    ON = auto()  # onto
    BE = auto()  # of a passive
    FOR = auto()  # of a duration
    ARTICLE = auto()
    WITH = auto()  # an instrument that strikes
    ORDINAL = auto()
    CUT = auto()
    NO_CUT = auto()
    MOVE = auto()
    NO_MOVE = auto()
    NOTHING_SOUNDS = auto()
    THINGS_SEEN = auto()  # "things can be seen": a number before it counts all of them
    IGNORED = auto()  # phrases that say nothing of a scene
    UNKNOWN = auto()


@dataclass(frozen=True)
class Tag:
    """A word or phrase and its meaning."""

    part: Part
    value: Any = None
    words: str = ""
    plural: bool = False
