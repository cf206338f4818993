"""A scene -> its names and captions, from a small grammar. Every word of it is true of the clip."""

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np

from avsim.clip import OFF_SCREEN, ClipSpec
from avsim.world.actor import Contact
from avsim.world.camera import half_width
from avsim.world.scene import Body, Player, Scene, Target
from avsim.world.truth import Captions, Thing

TIMES = ("", "once", "twice", "three times", "four times", "five times")
FALLS = ("drops onto the {floor} floor", "falls to the {floor} floor", "falls down onto {floor}")
STRIKES = ("is struck", "is hit", "is struck by a stick")
PLACES = {
    "restaurant": "in a restaurant",
    "space station": "in a space station",
    "national park": "in a national park",
    "concert hall": "in a concert hall",
    "cave": "in a cave",
    "dry studio": "in a studio",
}
SIZES = {Body: (0.30, 0.42), Target: (0.42, 0.52)}  # m, up to where a thing is small, and medium


def things_of(scene: Scene, spec: ClipSpec) -> tuple[Thing, ...]:
    """All things of a scene, seen or not, in its order; each name once."""
    found = [_thing(each, scene, spec) for each in scene.things]
    return tuple(
        Thing(_unique(k, found), one.kind, one.material, one.colour, one.size, one.metres, one.side)
        for k, one in enumerate(found)
    )


def _thing(each: Body | Target | Player, scene: Scene, spec: ClipSpec) -> Thing:
    start = scene.camera.shots[0].start
    third = half_width(spec, start.height) / 3
    side = "left" if each.x < start.x - third else "right" if each.x > start.x + third else "middle"
    if isinstance(each, Player):
        return Thing(each.instrument, each.instrument, "", "", "", each.size, side)
    small, medium = SIZES[type(each)]
    size = "small" if each.size < small else "medium" if each.size < medium else "large"
    if isinstance(each, Target):
        name = f"{size} {each.kind}" if each.kind == "drum skin" else f"{size} {each.colour} {each.kind}"
        return Thing(name, each.kind, each.material, each.colour, size, each.size, side)
    substance = "wooden" if each.material == "wood" else each.material
    name = f"{size} {each.colour} {substance} {each.shape}"
    return Thing(name, each.shape, each.material, each.colour, size, each.size, side)


def _unique(number: int, things: Sequence[Thing]) -> str:
    """The name of a thing; of several called so, with the place; if still alike, with a number."""
    one = things[number]
    names = Counter(thing.name for thing in things)
    if names[one.name] == 1:
        return one.name
    placed = [f"{thing.name} {where(thing.side)}" for thing in things]
    same = [k for k, name in enumerate(placed) if name == placed[number]]
    return placed[number] if len(same) == 1 else f"{placed[number]} ({same.index(number) + 1})"


def where(side: str) -> str:
    """Such as "on the left"."""
    return "in the middle" if side == "middle" else f"on the {side}"


def caption(
    scene: Scene,
    things: Sequence[Thing],
    contacts: Sequence[Contact],
    playing: Collection[str],
    random: np.random.Generator,
) -> Captions:
    """Names every thing that is seen, what it does and, sometimes, where.

    Args:
        scene: of which all is told.
        things: that are seen.
        contacts: of the clip.
        playing: the names of the players that play a note.
        random: chooses among words.
    """
    clauses = [_clause(scene, thing, contacts, playing, random) for thing in things]
    joint = (" while ", ", and ", "; ")[int(random.integers(3))]
    full = joint.join(clauses) or "nothing is seen"
    if scene.place != "dry studio" or random.random() < 0.3:
        full += f", {PLACES[scene.place]}"
    if any(OFF_SCREEN in contact.things for contact in contacts):
        full += "; something is heard off screen"
    kinds = [_with_article(thing.kind) for thing in things]
    return Captions(
        short=f"{' and '.join(kinds) or 'nothing'} {PLACES[scene.place]}",
        full=full,
        things=tuple(
            f"the {thing.name}" if f" {thing.side}" in thing.name else f"the {thing.name} {where(thing.side)}"
            for thing in things
        ),
    )


def _clause(
    scene: Scene,
    thing: Thing,
    contacts: Sequence[Contact],
    playing: Collection[str],
    random: np.random.Generator,
) -> str:
    words, count = _with_article(thing.name), sum(thing.name in contact.things for contact in contacts)
    choice, placed, counted = random.integers(3), random.random() < 0.5, random.random() < 0.7
    if placed and f" {thing.side}" not in thing.name:
        words += f" {where(thing.side)}"
    if thing.material == "":
        return f"someone {'plays' if thing.name in playing else 'holds'} {words}"
    if thing.kind in {target.kind for target in scene.targets}:
        if count == 0:
            return f"{words} is not struck" if scene.stick.hits else f"{words} stands still"
        times = f" {TIMES[count]}" if counted and count < len(TIMES) else ""
        return f"{words} {STRIKES[choice]}{times}"
    if count == 0:
        return f"{words} makes no sound"
    words += " " + FALLS[choice].format(floor=scene.floor)
    if count > 1:
        words += " and bounces"
    return words


def _with_article(words: str) -> str:
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"
