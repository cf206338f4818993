"""Scenes that people write: YAML files, and sentences in the words of captions."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml

from avsim.clip import ClipSpec
from avsim.errors import InputError
from avsim.seeds import derive
from avsim.world.captions.facts import TARGET_WORDS, Facts, Noun, ThingFacts, holds_in, played
from avsim.world.captions.parsing import facts_in
from avsim.world.flat.camera import Camera, Framing, Shot, half_width
from avsim.world.flat.random_scenes import NEVER
from avsim.world.flat.scene import COLOURS, SHAPES, Body, Hit, Occluder, Player, Scene, Stick, Target, Wall
from avsim.world.sound.phrases import CLOSEST, INSTRUMENTS, Note, phrase

BODY_SIZES = {"small": 0.25, "medium": 0.36, "large": 0.5}  # m
TARGET_SIZES = {"small": 0.42, "medium": 0.54, "large": 0.64}  # m
SPEEDS = {"gently": (1.0,), "firmly": (2.2,), "hard": (4.0,), "unequally": (4.0, 1.0)}  # m/s, in turn
LOUDNESS = {"softly": 0.3, "evenly": 0.6, "loudly": 0.9}
FIRST, GAP = 0.4, 0.4  # s: default time of a strike, and the interval to the next
BANDS = {"left": (-0.96, -0.36), "middle": (-0.3, 0.3), "right": (0.36, 0.96)}  # of the half width
CLOSE = Framing(0.0, 0.6, 1.4)  # what is seen after a cut
PILLARS = (0.33, -0.33)  # m, where they stand
BODIES_DO, TARGETS_DO = ("falls", "hangs", "lies"), ("is struck", "is left alone")
PLAYERS_DO = ("plays", "is held")
LOUD = ("falls", "is struck", "plays")  # of these
ALIASES = 20  # of a scene's file
PHRASES = 500  # attempts to sample a scene that fits a sentence


def read_scene(path: str | Path) -> Scene:
    """A scene from a YAML file, whose fields are those of `Scene`.

    Raises:
        InputError: it can't be read, isn't YAML, has unknown fields, or is a scene that can't be.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        aliases = sum(isinstance(token, yaml.AliasToken) for token in yaml.scan(text, yaml.SafeLoader))
        if aliases > ALIASES:  # which may stand for billions of values
            raise InputError(f"{path}: has {aliases} aliases; a scene may have {ALIASES}")
        plain = yaml.safe_load(text)
    except OSError as error:
        raise InputError(f"{path}: can't be read ({error.strerror})") from error
    except InputError:
        raise
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise InputError(f"{path}: is not YAML ({' '.join(str(error).split())})") from error
    if not isinstance(plain, dict):
        raise InputError(
            f"{path}: holds {plain!r:.60}; expected the fields of a scene, such as 'place: cave'"
        )
    try:
        return Scene.of(plain)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def said(sentence: str, spec: ClipSpec | None = None, seed: int = 0) -> Scene:
    """A scene in which a sentence is true: "a stick strikes a glass bottle at 0.8 s, hard, in a cave".

    What the sentence leaves open is as usual, or chance that the seed decides.

    Raises:
        InputError: it can't be read, or no scene can be made for it.
    """
    try:
        return staged(facts_in(sentence), spec or ClipSpec(), seed)
    except InputError as error:
        raise (
            error if str(error).startswith(repr(sentence)) else InputError(f"{sentence!r}: {error}")
        ) from None


def staged(facts: Facts, spec: ClipSpec, seed: int = 0) -> Scene:
    """A scene in which these facts are true.

    Raises:
        InputError: facts that contradict each other, or that only physics decides.
    """
    _check(facts, spec)
    places = _places([stated.noun for stated in facts.things], spec)
    bodies: list[Body] = []
    targets: list[Target] = []
    players: list[Player] = []
    hits: list[Hit] = []
    for number, (stated, (x, room)) in enumerate(zip(facts.things, places, strict=True)):
        if stated.noun.kind in INSTRUMENTS:
            players.append(_player(stated, x, room, spec, seed, number))
        elif stated.noun.kind in SHAPES and stated.does not in ("is struck", "is left alone"):
            bodies.append(_body(stated, x, room))
        else:
            hits += _hits(stated, len(targets), spec)
            targets.append(_target(stated, x, room))
    for number, stated in enumerate(facts.unseen):
        beside = half_width(spec) + 1.2 + 0.8 * number
        noun = stated.noun if stated.noun.kind else replace(stated.noun, kind="ball")
        if noun.kind not in SHAPES or stated.does not in (None, "falls"):
            what = f"{noun.kind} that {stated.does}" if stated.does else noun.kind
            raise InputError(f"off screen a ball, cube, bar or ring can fall; found a {what}")
        bodies.append(_body(replace(stated, noun=noun), beside, 0.7))
    if not (bodies or targets or players):
        raise InputError("says of no thing what it does; expected such as 'a metal ball falls'")
    floors = {stated.floor for stated in facts.things if stated.floor}
    tips = {stated.tip for stated in facts.things if stated.tip}
    for name, found in (("floor", floors), ("stick", tips)):
        if len(found) > 1:
            raise InputError(f"one {name} is of {' and of '.join(sorted(found))}; a scene has one {name}")
    edge = half_width(spec) - 0.1
    return Scene(
        place=facts.place or "dry studio",
        floor=floors.pop() if floors else "stone",
        bodies=tuple(bodies),
        targets=tuple(targets),
        stick=Stick(tips.pop() if tips else "wood", tuple(sorted(hits, key=lambda hit: hit.seconds))),
        players=tuple(players),
        walls=tuple(Wall(edge if side == "right" else -edge, material) for side, material in facts.walls),
        occluders=tuple(Occluder(x, 0.15) for x in PILLARS[: facts.pillars or 0]),
        camera=_camera(facts),
        seed=seed,
    )


def _check(facts: Facts, spec: ClipSpec) -> None:
    """Raise InputError for a scene that can't be staged as stated.

    Raises:
        InputError: it is so.
    """
    if facts.meetings:
        raise InputError("whether things collide comes of how they fall; leave it out")
    if facts.count is not None and facts.count != len(facts.things):
        raise InputError(f"says that {facts.count} things can be seen and names {len(facts.things)} of them")
    if (facts.pillars or 0) > len(PILLARS):
        raise InputError(f"{facts.pillars} pillars; there is room for {len(PILLARS)}")
    if (last := max(facts.cuts or (0.0,))) >= spec.end:
        raise InputError(f"the last cut would be at {last:g} s; the clip ends at {spec.end:g} s")
    for stated in facts.things:
        _check_stated(stated)
    if facts.silent and (facts.unseen or any(stated.does in LOUD for stated in facts.things)):
        raise InputError("nothing is to make a sound, and something does")


def _check_stated(stated: ThingFacts) -> None:
    """Raise InputError for what a thing can't do.

    Raises:
        InputError: things of its kind don't do that, or not in silence.
    """
    kind = stated.noun.kind or "thing"
    doings = PLAYERS_DO if kind in INSTRUMENTS else (*BODIES_DO, *TARGETS_DO)
    if stated.does not in (None, *doings):
        raise InputError(f"a {kind} {stated.does}: it can't; its like {', '.join(doings)}")
    if stated.silent and stated.does in LOUD:
        raise InputError(f"a {kind} {stated.does}: it can't in silence")


def _places(nouns: Sequence[Noun], spec: ClipSpec) -> list[tuple[float, float]]:
    """The middle and the room of each thing, m: in its band of the frame, or in the emptiest one."""
    sides = [noun.side for noun in nouns]
    for k, side in enumerate(sides):
        if side is None:
            sides[k] = min(("middle", "left", "right"), key=sides.count)
    places = []
    for k, side in enumerate(sides):
        assert side is not None
        left, right = (half_width(spec) * end for end in BANDS[side])
        room = (right - left) / sides.count(side)
        places.append((left + room * (sides[:k].count(side) + 0.5), room))
    return places


def _body(stated: ThingFacts, x: float, room: float) -> Body:
    if stated.times is not None or stated.walls is not None or stated.leaves is not None:
        raise InputError("how often a thing lands and where it rolls comes of how it falls; leave it out")
    noun = stated.noun
    made_of = [name for name in COLOURS if noun.colour in (None, *COLOURS[name])]
    still = stated.does in ("hangs", "lies")
    size = BODY_SIZES[noun.size] if noun.size else min(BODY_SIZES["medium"], 0.68 * room)  # a cube, turned
    return Body(
        noun.kind or "ball",
        noun.material or (made_of or ["metal"])[0],
        noun.colour or "",
        size,
        x,
        height=0.0 if stated.does == "lies" else 0.9,
        release=NEVER if still else 0.2 if stated.seconds is None else stated.seconds,
    )


def _target(stated: ThingFacts, x: float, room: float) -> Target:
    noun = stated.noun
    for kind, (word, material) in TARGET_WORDS.items():
        if word == noun.kind and noun.material in (None, material):
            if stated.does in (None, "is struck", "is left alone"):
                size = TARGET_SIZES[noun.size] if noun.size else min(TARGET_SIZES["medium"], 0.9 * room)
                return Target(kind, noun.colour or "", size, x)
            raise InputError(f"a {kind} can be struck or left alone; balls, cubes, bars and rings can fall")
    what = " ".join(filter(None, (noun.material, noun.kind)))
    raise InputError(f"a {what} can't be struck; there are {', '.join(TARGET_WORDS)}")


def _hits(stated: ThingFacts, target: int, spec: ClipSpec) -> list[Hit]:
    """The strokes on a target, evenly spaced, and then those that miss it."""
    fewest = 3 if stated.rate else 2 if stated.force == "unequally" else 1  # of which that can be said
    times = 0 if stated.does == "is left alone" else fewest if stated.times is None else stated.times
    if 0 < times < fewest:
        raise InputError(f"of {times} strokes no rate and no unequal force can be stated; expected {fewest}")
    if stated.rate is not None and stated.rate <= 0:
        raise InputError(f"{stated.rate:g} strokes a second are none; say that it is left alone")
    first = FIRST + 0.2 * target if stated.seconds is None else stated.seconds
    gap = 1 / stated.rate if stated.rate else GAP
    count, speeds = times + (stated.misses or 0), SPEEDS[stated.force or "firmly"]
    last = first + (count - 1) * gap
    if count and last >= spec.end:
        raise InputError(f"the last stroke would be at {last:g} s; the clip ends at {spec.end:g} s")
    return [Hit(first + k * gap, speeds[k % len(speeds)], target, miss=k >= times) for k in range(count)]


def _player(stated: ThingFacts, x: float, room: float, spec: ClipSpec, seed: int, number: int) -> Player:
    instrument = stated.noun.kind
    assert instrument is not None
    size = min(1.0, room / 0.7)
    if stated.does == "is held":
        return Player(instrument, (), x, size)
    for attempt in range(PHRASES):
        random = np.random.default_rng(derive(seed, "phrase", number, attempt))
        notes = _notes(stated, instrument, spec.end, random)
        if notes and holds_in(replace(stated, does="plays"), played(stated.noun, instrument, notes)):
            return Player(instrument, notes, x, size)
    raise InputError(f"no phrase of {spec.end:g} s was found that the {instrument} plays like that")


def _notes(
    stated: ThingFacts, instrument: str, seconds: float, random: np.random.Generator
) -> tuple[Note, ...]:
    """A phrase that begins when it is stated to, of as many notes, as loud."""
    begin = stated.seconds or 0.0
    if seconds - begin < CLOSEST:
        raise InputError(f"the {instrument} would begin at {begin:g} s; the clip ends at {seconds:g} s")
    notes = phrase(instrument, seconds - begin, random)[: stated.times]
    shift = 0.0 if stated.seconds is None else begin - notes[0].seconds if notes else 0.0
    loud = LOUDNESS.get(stated.force or "")
    return tuple(
        replace(note, seconds=note.seconds + shift, loudness=note.loudness if loud is None else loud)
        for note in notes
    )


def _camera(facts: Facts) -> Camera:
    """Shots that are wide and near in turn, and move as stated."""
    moves = dict(facts.moves or ())
    starts = (0.0, *(facts.cuts or ()))
    if any(shot >= len(starts) for shot in moves):
        raise InputError(f"the camera moves in shot {max(moves) + 1}; there are {len(starts)} shots")
    shots = []
    for number, start in enumerate(starts):
        framing = CLOSE if number % 2 else Framing()
        shots.append(Shot(start, framing, _moved(framing, moves.get(number))))
    return Camera(tuple(shots))


def _moved(framing: Framing, move: str | None) -> Framing | None:
    """Where a pan or a zoom ends."""
    match move:
        case "pans left" | "pans right":
            return replace(framing, x=framing.x + (0.3 if move == "pans right" else -0.3))
        case "zooms in" | "zooms out":
            height = framing.height * (0.75 if move == "zooms in" else 1.25)
            return replace(framing, y=framing.y * height / framing.height, height=height)
    return None
