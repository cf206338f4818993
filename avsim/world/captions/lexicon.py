"""The vocabulary of captions: the words of every fact, with synonyms, and the forms of clauses.

One table serves both ways: a clause is written by choosing among its forms and synonyms, and parsed by
matching them. In a form, {slot} stands for a word of that fact; [...] is left out where its fact isn't
stated.
"""

from typing import Any

ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
WORDS: dict[str, dict[Any, tuple[str, ...]]] = {  # of each fact, for each of its values
    "size": {
        "small": ("small", "little"),
        "medium": ("medium", "mid-sized"),
        "large": ("large", "big"),
    },
    "colour": {
        **{
            colour: (colour,)
            for colour in "copper green blue amber white turquoise pink brown tan chestnut red black yellow "
            "purple".split()
        },
        "gold": ("gold", "golden"),
        "silver": ("silver", "silvery"),
    },
    "material": {
        "metal": ("metal",),
        "glass": ("glass",),
        "ceramic": ("ceramic",),
        "wood": ("wooden",),
        "rubber": ("rubber",),
    },
    "kind": {
        "ball": ("ball", "sphere"),
        "cube": ("cube",),
        "bar": ("bar", "rod"),
        "ring": ("ring", "hoop"),
        "block": ("block",),
        "bottle": ("bottle",),
        "bowl": ("bowl",),
        "drum": ("drum skin", "drum"),
        "bell": ("bell",),
        "tile": ("tile",),
        "accordion": ("accordion",),
        "acoustic guitar": ("acoustic guitar", "guitar"),
        "cello": ("cello",),
        "clarinet": ("clarinet",),
        "erhu": ("erhu",),
        "flute": ("flute",),
        "saxophone": ("saxophone", "sax"),
        "trumpet": ("trumpet",),
        "tuba": ("tuba",),
        "violin": ("violin", "fiddle"),
        "xylophone": ("xylophone",),
    },
    "side": {
        "left": ("on the left", "at the left", "to the left"),
        "middle": ("in the middle", "in the centre", "at the centre"),
        "right": ("on the right", "at the right", "to the right"),
    },
    "at": {"left": ("on the left", "at the left"), "right": ("on the right", "at the right")},  # of walls
    "place": {
        "restaurant": ("in a restaurant", "inside a restaurant"),
        "space station": ("in a space station", "aboard a space station"),
        "national park": ("in a national park", "out in a national park"),
        "concert hall": ("in a concert hall", "inside a concert hall"),
        "cave": ("in a cave", "inside a cave"),
        "dry studio": ("in a studio", "in a dry studio"),
    },
    "background": {
        "voices": ("people murmur in the background", "there is a murmur of voices"),
        "hum": ("machines hum in the background", "there is a hum of machines"),
        "wind": ("wind blows in the background", "there is a breath of wind"),
        "air": ("the air of the hall is heard", "there is the hush of a large hall"),
        "drips": ("water drips in the background", "there is dripping water"),
    },
    "floor": {
        "stone": ("the stone floor", "stone"),
        "wood": ("the wooden floor", "wood"),
        "metal": ("the metal floor", "metal"),
        "carpet": ("the carpet", "a carpet"),
        "grass": ("the grass", "grass"),
    },
    "tip": {
        "wood": ("wooden", "wood-tipped"),
        "rubber": ("rubber", "rubber-tipped"),
        "metal": ("metal", "metal-tipped"),
        "felt": ("felt", "felt-tipped"),
    },
    "wall": {"stone": ("stone",), "wood": ("wooden",), "metal": ("metal",)},
    "force": {  # of strokes
        "gently": ("gently", "softly"),
        "firmly": ("firmly", "with some force"),
        "hard": ("hard", "forcefully"),
        "unequally": ("now harder, now softer", "with unequal force"),
    },
    "loudness": {  # of notes
        "softly": ("softly", "quietly"),
        "evenly": ("at a medium volume", "neither softly nor loudly"),
        "loudly": ("loudly", "with a full sound"),
    },
    "register": {
        "low": ("low in its range", "in its low register"),
        "middling": ("in its middle register", "midway in its range"),
        "high": ("high in its range", "in its high register"),
    },
    "line": {"rising": ("going up", "rising"), "falling": ("going down", "descending")},
    "move": {
        "zooms in": ("zooms in", "moves closer"),
        "zooms out": ("zooms out", "draws back"),
        "pans left": ("pans left", "turns to the left"),
        "pans right": ("pans right", "turns to the right"),
    },
    "shot": {number: (word,) for number, word in enumerate(ORDINALS)},
}
NUMBERS = (
    "no",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
)
OFTEN = {1: "once", 2: "twice"}  # others: NUMBERS and "times"
ARTICLES = ("a", "an", "the", "one")

CORES: dict[str, tuple[str, ...]] = {  # what a thing does
    "falls": ("{thing} falls", "{thing} drops", "{thing} is dropped", "{thing} comes down"),
    "hangs": ("{thing} hangs in the air", "{thing} hangs still", "{thing} stays up in the air"),
    "lies": ("{thing} lies still", "{thing} rests", "{thing} just lies there"),
    "is struck": (
        "{thing} is struck",
        "{thing} is hit",
        "{thing} is struck by a[ {tip}] stick",
        "{thing} is hit with a[ {tip}] stick",
        "a[ {tip}] stick strikes {thing}",
        "a[ {tip}] stick hits {thing}",
    ),
    "is left alone": ("{thing} is not struck", "{thing} is left untouched", "{thing} stands untouched"),
    "plays": ("someone plays {thing}", "{thing} is played", "a player plays {thing}", "{thing} plays"),
    "is held": ("someone holds {thing}", "{thing} is held and not played", "{thing} waits with its player"),
}
TAILS: dict[str, dict[str, tuple[str, ...]]] = {  # how a thing does it: what may follow in any order
    "falls": {
        "floor": ("onto {floor}", "down onto {floor}"),
        "seconds": ("let go at {seconds}", "released at {seconds}"),
        "times": ("and lands {often}", "and meets the floor {often}", "with {count} landing(s)"),
        "walls": ("and hits a wall {often}", "and bounces off a wall {often}"),
    },
    "hangs": {},
    "lies": {"floor": ("on {floor}", "upon {floor}")},
    "is struck": {
        "times": ("{often}", "with {count} stroke(s)"),
        "seconds": ("first at {seconds}", "beginning at {seconds}", "from {seconds} on"),
        "force": ("{force}",),
        "rate": ("about {rate} times a second", "at some {rate} strokes a second"),
        "misses": ("with {count} near miss(es)", "and missed {often}"),
    },
    "is left alone": {"misses": ("with {count} near miss(es)", "and missed {often}")},
    "plays": {
        "times": ("with {count} note(s)", "playing {count} note(s)"),
        "seconds": ("first at {seconds}", "beginning at {seconds}", "from {seconds} on"),
        "force": ("{loudness}",),
        "register": ("{register}",),
        "line": ("{line}",),
    },
    "is held": {},
    "": {},
}
CORES_ALSO_READ = {"is left alone": ("{thing} is left alone",)}  # "alone" is left out: soloists play alone
ALSO_READ: dict[str, tuple[str, ...]] = {
    "seconds": ("at {seconds}", "after {seconds}")
}  # by itself it's clear what happens then
ANYWHERE: dict[str, tuple[str, ...]] = {  # what may follow whatever a thing does
    "side": ("{side}",),
    "leaves": ("and is out of sight at the end", "and cannot be seen in the end"),
    "silent": ("and makes no audio", "in silence", "and stays silent"),
}
OF_ALL: dict[str, tuple[str, ...]] = {  # clauses about the whole clip
    "place": ("it happens {place}", "this is {place}", "all of it happens {place}"),
    "background": ("{background}",),
    "count": ("{count} thing(s) can be seen", "the frame shows {count} thing(s)"),
    "walls": ("a {wall} wall stands {at}", "there is a {wall} wall {at}"),
    "pillars": ("{count} pillar(s) can be seen in front", "in front, {count} pillar(s) can be seen"),
    "cuts": (
        "the frame cuts at {seconds}[ and again at {again}]",
        "there is a cut at {seconds}[ and one at {again}]",
    ),
    "no cuts": ("there is no cut", "it is all one shot"),
    "no moves": ("the camera stands still", "the camera does not move"),
    "moves": ("in the {shot} shot the camera {move}", "the camera {move} in the {shot} shot"),
    "silent": ("nothing makes a sound of its own", "no thing sounds"),
    "unseen": ("something is heard off screen", "there is a sound from off screen"),
    "meetings": ("{thing} and {other} collide[ {often}]", "{thing} and {other} knock together[ {often}]"),
}
OFF_SCREEN = ("off screen", "beside the frame")
JOINTS = ("; ", ". ", ", and ", " while ")  # between clauses, and never within one
