"""Facts about a clip, each of which a caption may state or leave out.

`facts_of` finds all that are true of a clip; a caption is made from them (`words.py`) and read back into
those that it states (`parsing.py`). A fact that isn't stated is None; a thing that isn't is absent.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from avsim.clip import ClipSpec
from avsim.world.captions.lexicon import ORDINALS
from avsim.world.flat.actor import Actor, Contact
from avsim.world.flat.camera import Shot, half_width
from avsim.world.flat.scene import Body, Player, Scene
from avsim.world.sound.phrases import RANGES, Note

GENTLE, HARD = 1.5, 3.0  # m/s: strokes below are gentle, from there on hard
SOFT, LOUD = 0.45, 0.7  # loudness of notes: below it is soft, above loud
QUIETEST = -30.0  # dB: a place that is quieter than this counts as silent
BACKGROUNDS = {  # the sounds that each place always has
    "restaurant": "voices",
    "space station": "hum",
    "national park": "wind",
    "concert hall": "air",
    "cave": "drips",
}
TARGET_WORDS = {  # kind and material, as they are stated
    "wooden block": ("block", "wood"),
    "metal bar": ("bar", "metal"),
    "glass bottle": ("bottle", "glass"),
    "ceramic bowl": ("bowl", "ceramic"),
    "drum skin": ("drum", None),
    "bell": ("bell", "metal"),
    "rubber tile": ("tile", "rubber"),
}


@dataclass(frozen=True)
class Noun:
    """What a thing is and where it is at first."""

    kind: str | None = None
    material: str | None = None
    colour: str | None = None
    size: str | None = None
    side: str | None = None


@dataclass(frozen=True)
class ThingFacts:
    """A thing and what it does."""

    noun: Noun
    does: str | None = None  # falls | hangs | lies | is struck | is left alone | plays | is held
    times: int | None = None  # it lands, is struck, or plays a note
    seconds: float | None = None  # when it is let go, first struck, or first played; to a tenth
    floor: str | None = None  # what it lands on or lies on
    walls: int | None = None  # times it hits a wall
    tip: str | None = None  # of the stick
    force: str | None = None  # gently | firmly | hard | unequally; softly | evenly | loudly
    rate: float | None = None  # strokes a second, to a half
    misses: int | None = None  # strokes that stop short of it
    register: str | None = None  # of the notes: low | middling | high
    line: str | None = None  # of the notes: rising | falling
    leaves: bool | None = None  # it isn't in the last frame
    silent: bool | None = None  # it makes no audio


@dataclass(frozen=True)
class Meeting:
    """Two bodies that collide."""

    one: Noun
    other: Noun
    times: int | None = None


@dataclass(frozen=True)
class Facts:
    """What is stated of a clip."""

    place: str | None = None
    background: str | None = None  # the place's own sounds
    count: int | None = None  # of things that are seen
    things: tuple[ThingFacts, ...] = ()  # that are seen
    unseen: tuple[ThingFacts, ...] = ()  # off-screen things
    meetings: tuple[Meeting, ...] = ()
    walls: tuple[tuple[str, str], ...] = ()  # (side, material)
    pillars: int | None = None
    cuts: tuple[float, ...] | None = None  # s, to a tenth
    moves: tuple[tuple[int, str], ...] | None = None  # (number of a shot, how its camera moves), if it does
    silent: bool | None = None  # only the place sounds


def facts_of(
    scene: Scene,
    spec: ClipSpec,
    names: Sequence[str],
    nouns: Sequence[Noun],
    actors: Sequence[Actor],
    seen: Sequence[int],
    last: Sequence[int],
) -> Facts:
    """All that can be stated of a clip.

    Args:
        scene: what is there.
        spec: of the clip.
        names: of the scene's things, as contacts name them.
        nouns: for the scene's things.
        actors: what they do.
        seen: the numbers of the things that are seen in some frame.
        last: the numbers of those that are seen in the last frame.
    """
    end = spec.end
    contacts = [contact for actor in actors for contact in actor.contacts if contact.seconds < end]
    stated = []
    for number, noun in enumerate(nouns):
        own = [contact for contact in contacts if names[number] in contact.things]
        one = _stated(scene, number, noun, own, actors[number].notes, end)
        stated.append(one if number in last else replace(one, leaves=True))
    sounding = [number for number, one in enumerate(stated) if not one.silent]
    heard = scene.ambience > QUIETEST
    return Facts(
        place=scene.place,
        background=BACKGROUNDS.get(scene.place) if heard else None,
        count=len(seen),
        things=tuple(stated[number] for number in seen),
        unseen=tuple(
            ThingFacts(replace(stated[k].noun, side=None), stated[k].does) for k in sounding if k not in seen
        ),
        meetings=_meetings(names, nouns, contacts, seen),
        walls=tuple(("left" if wall.x < 0 else "right", wall.material) for wall in scene.walls)
        if all(_in_view(scene, spec, wall.x) for wall in scene.walls)
        else (),
        pillars=sum(_in_view(scene, spec, occluder.x) for occluder in scene.occluders) or None,
        cuts=tuple(round(cut, 1) for cut in scene.camera.cuts if cut < end),
        moves=tuple(
            (number, move)
            for number, shot in enumerate(scene.camera.shots[: len(ORDINALS)])
            if (move := _move(shot)) and shot.seconds < end
        ),
        silent=None if sounding else True,
    )


def _stated(
    scene: Scene, number: int, noun: Noun, own: Sequence[Contact], notes: Sequence[Note], end: float
) -> ThingFacts:
    each = scene.things[number]
    if isinstance(each, Player):
        return played(noun, each.instrument, [note for note in notes if note.seconds < end])
    if isinstance(each, Body):
        return _fallen(noun, each, scene.floor, own, end)
    return _struck(noun, scene, number - len(scene.bodies), end)


def _fallen(noun: Noun, body: Body, floor: str, own: Sequence[Contact], end: float) -> ThingFacts:
    """Of a body."""
    silent = None if own else True
    if body.release >= end:
        lies = body.height == 0
        return ThingFacts(noun, "lies" if lies else "hangs", floor=floor if lies else None, silent=silent)
    landings = sum(contact.things[1] == "floor" for contact in own)
    return ThingFacts(
        noun,
        "falls",
        times=landings,
        seconds=round(body.release, 1),
        floor=floor if landings else None,
        walls=sum(contact.things[1] == "wall" for contact in own) or None,
        silent=silent,
    )


def _struck(noun: Noun, scene: Scene, number: int, end: float) -> ThingFacts:
    """Of a target."""
    aimed = [hit for hit in scene.stick.hits if hit.target == number and hit.seconds < end]
    hits = [hit for hit in aimed if not hit.miss]
    misses = len(aimed) - len(hits) or None
    if not hits:
        return ThingFacts(noun, "is left alone", misses=misses, silent=True)
    degrees = {"gently" if hit.speed < GENTLE else "hard" if hit.speed >= HARD else "firmly" for hit in hits}
    span = hits[-1].seconds - hits[0].seconds
    return ThingFacts(
        noun,
        "is struck",
        times=len(hits),
        seconds=round(hits[0].seconds, 1),
        tip=scene.stick.tip,
        force=degrees.pop() if len(degrees) == 1 else "unequally",
        rate=round(2 * (len(hits) - 1) / span) / 2 if len(hits) > 2 else None,
        misses=misses,
    )


def played(noun: Noun, instrument: str, notes: Sequence[Note]) -> ThingFacts:
    """What is stated of a player and these notes."""
    if not notes:
        return ThingFacts(noun, "is held", silent=True)
    loudness = sum(note.loudness for note in notes) / len(notes)
    low, high = RANGES[instrument]
    pitch = (sum(note.pitch for note in notes) / len(notes) - low) / (high - low)
    steps = [two.pitch - one.pitch for one, two in zip(notes, notes[1:], strict=False)]
    rising, falling = all(step > 0 for step in steps), all(step < 0 for step in steps)
    return ThingFacts(
        noun,
        "plays",
        times=len(notes),
        seconds=round(notes[0].seconds, 1),
        force="softly" if loudness < SOFT else "loudly" if loudness > LOUD else "evenly",
        register="low" if pitch < 1 / 3 else "high" if pitch > 2 / 3 else "middling",
        line=("rising" if rising else "falling" if falling else None) if len(steps) > 1 else None,
    )


def _meetings(
    names: Sequence[str], nouns: Sequence[Noun], contacts: Sequence[Contact], seen: Sequence[int]
) -> tuple[Meeting, ...]:
    """Which of the things that are seen collide, and how often."""
    shown = {names[k]: k for k in seen}
    pairs = [tuple(shown[name] for name in contact.things if name in shown) for contact in contacts]
    pairs = [tuple(sorted(pair)) for pair in pairs if len(pair) == 2]
    return tuple(Meeting(nouns[one], nouns[two], pairs.count((one, two))) for one, two in sorted(set(pairs)))


def _in_view(scene: Scene, spec: ClipSpec, x: float) -> bool:
    """Whether x, in metres from the middle, is in view in some frame."""
    path = scene.camera.path(spec.frame_seconds().numpy(), spec.end)
    return bool((abs(x - path[:, 0]) < half_width(spec, 1.0) * path[:, 2]).any())


def _move(shot: Shot) -> str | None:
    """How the camera moves in a shot."""
    if shot.end is None or shot.end == shot.start:
        return None
    if shot.end.height != shot.start.height:
        return "zooms in" if shot.end.height < shot.start.height else "zooms out"
    return "pans left" if shot.end.x < shot.start.x else "pans right"


def holds_in(said: object, true: object) -> bool:
    """Whether all that `said` states (a `Noun`, `ThingFacts` or `Meeting`, or a value) is so in `true`."""
    if isinstance(said, Noun | ThingFacts | Meeting):
        return all(holds_in(getattr(said, f.name), getattr(true, f.name)) for f in fields(said))
    return said is None or said == true
