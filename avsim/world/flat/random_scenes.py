"""Random scenes of a config, and which combinations are held out.

Things keep to lanes of their own at first, so that nothing overlaps; no two are alike. A combination of
material, shape and place is held out by a Latin square: no clip of the other splits holds it, and each clip
of the split "held out" holds at least one, though every material, shape and place is seen in training. The
players of that split have another timbre, the bank "modelled", and only pitch classes that others never play.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from avsim.errors import InputError
from avsim.world.flat.camera import FLOOR, VIEW, Camera, Framing, Shot, half_width
from avsim.world.flat.config import WorldConfig
from avsim.world.flat.scene import (
    COLOURS,
    SHAPES,
    TARGETS,
    Body,
    Hit,
    Occluder,
    Player,
    Scene,
    Stick,
    Target,
    Wall,
)
from avsim.world.materials import FLOORS, MATERIALS, TIPS
from avsim.world.sound.phrases import CLOSEST, INSTRUMENTS, phrase
from avsim.world.sound.rooms import PLACES

SIZES = {"small": (0.22, 0.28), "medium": (0.32, 0.40), "large": (0.44, 0.54)}  # m, widths
NEVER = 1e6  # s, the release of what hangs for good
SHORTEST = 0.6  # s, of a shot
NEAREST = 0.9  # m beyond the frame's edge: where what isn't seen falls

Generator = np.random.Generator


def is_held_out(material: str, shape: str, place: str) -> bool:
    """Whether only the split "held out" has that body, target or, of material "", instrument there."""
    where = PLACES.index(place)
    if shape in SHAPES:
        return (MATERIALS.index(material) + SHAPES.index(shape) + where) % len(MATERIALS) == 0
    kinds = tuple(TARGETS) if shape in TARGETS else INSTRUMENTS
    return (kinds.index(shape) + where) % len(kinds) == 0


def draw_scene(config: WorldConfig, random: Generator, held_out: bool = False) -> Scene:
    """A random scene of this config.

    Raises:
        InputError: nothing that the config allows is held out, or everything is.
    """
    kind, place = _place(config, random, held_out)
    count = int(random.integers(config.things[0], config.things[1] + 1))
    scene = Scene(place=place, ambience=config.ambience, seed=int(random.integers(1 << 31)))
    if kind == "drop":
        scene = _drop(scene, config, count, random, held_out)
    elif kind == "strike":
        scene = _strike(scene, config, count, random, held_out)
    else:
        scene = _ensemble(scene, config, count, random, held_out)
    if random.random() < config.off_screen and not scene.walls:
        scene = replace(scene, bodies=(*scene.bodies, _unseen(config, scene, random)))
    if random.random() < config.occluders:
        scene = replace(scene, occluders=_pillar(scene, config, random))
    return replace(scene, camera=_camera(scene, config, random))


def _choices(config: WorldConfig, kind: str, place: str, held_out: bool) -> list[tuple[str, str]]:
    """(material, shape) of what may perform in a place: what is held out, or what isn't."""
    every = {
        "drop": [(material, shape) for material in config.materials for shape in config.shapes],
        "strike": [(TARGETS[target], target) for target in config.targets],
        "ensemble": [("", instrument) for instrument in config.instruments],
    }[kind]
    return [pair for pair in every if is_held_out(*pair, place) == held_out]


def _place(config: WorldConfig, random: Generator, held_out: bool) -> tuple[str, str]:
    """A kind of scene and a place for it."""
    open_ = [
        (kind, place)
        for kind in config.scenes
        for place in config.places
        if _choices(config, kind, place, held_out)
    ]
    if not open_:
        amount = "nothing" if held_out else "everything"
        raise InputError(
            f"world: {amount} that it allows is held out; allow more materials, shapes or places"
        )
    kinds = sorted({kind for kind, _ in open_}, key=config.scenes.index)
    kind = kinds[int(random.integers(len(kinds)))]
    places = [place for each, place in open_ if each == kind]
    return kind, places[int(random.integers(len(places)))]


def _cast(
    config: WorldConfig, kind: str, place: str, count: int, random: Generator, held_out: bool
) -> list[tuple[str, str]]:
    """(material, shape) of each; in the held-out split one of them is held out, wherever it stands."""
    known = _choices(config, kind, place, False)
    rare = _choices(config, kind, place, True)
    cast = [_pick(known or rare, random) for _ in range(count)]
    if held_out:
        cast[int(random.integers(count))] = _pick(rare, random)
    return cast


def _pick(from_: Sequence, random: Generator):
    return from_[int(random.integers(len(from_)))]


def _lanes(config: WorldConfig, count: int, margin: float = 0.04) -> list[tuple[float, float]]:
    """Left and right ends of each thing's own part of the stage, m."""
    edge = half_width(config.spec) - margin
    ends = np.linspace(-edge, edge, count + 1).tolist()
    return list(zip(ends, ends[1:], strict=False))


def _colour(material: str, taken: set[tuple[str, str, str]], shape: str, random: Generator) -> str:
    """A colour of that material, one that no like thing has if there is one."""
    colours = COLOURS[material]
    free = [colour for colour in colours if (material, shape, colour) not in taken] or colours
    colour = _pick(free, random)
    taken.add((material, shape, colour))
    return colour


def _drop(scene: Scene, config: WorldConfig, count: int, random: Generator, held_out: bool) -> Scene:
    cast = _cast(config, "drop", scene.place, count, random, held_out)
    walls = random.random() < config.walls
    edge = half_width(config.spec) - 0.15
    taken: set[tuple[str, str, str]] = set()
    bodies = []
    for (material, shape), lane in zip(cast, _lanes(config, count, 0.16 if walls else 0.04), strict=True):
        colour = _colour(material, taken, shape, random)
        body = _body(material, shape, colour, lane, config, random)
        if random.random() < config.silent:
            body = replace(
                body, release=NEVER, height=body.height if random.random() < 0.5 else 0.0, angle=0.0
            )
        bodies.append(body)
    return replace(
        scene,
        floor=_pick(FLOORS, random),
        bodies=tuple(bodies),
        walls=tuple(Wall(side, _pick(("stone", "wood", "metal"), random)) for side in (-edge, edge))
        if walls
        else (),
    )


def _body(
    material: str, shape: str, colour: str, lane: tuple[float, float], config: WorldConfig, random: Generator
) -> Body:
    """A body that hangs within a lane and, when it is let go, may drift out of it."""
    room, seconds = lane[1] - lane[0], config.spec.seconds
    size = float(random.uniform(*SIZES[_pick(tuple(SIZES), random)])) * (1.35 if shape == "bar" else 1.0)
    body = Body(shape, material, colour, size)
    body = replace(body, size=size * min(1.0, 0.48 * room / body.reach))
    free = max(room / 2 - body.reach, 0.0)
    start = (lane[0] + lane[1]) / 2 + float(random.uniform(-free, free))
    release = float(random.uniform(0.0, 0.3 * min(seconds, 2.0)))
    highest = max(VIEW - FLOOR - 0.05 - 2 * body.reach, 0.3)
    turns = shape != "ring" and shape != "ball"
    return replace(
        body,
        x=start,
        height=float(random.uniform(0.25, highest)),
        release=release,
        drift=float(np.clip(random.normal(0.0, 0.3) - 0.15 * start, -0.8, 0.8)),
        angle=float(random.uniform(0, 2 * math.pi)) if random.random() < 0.7 or not turns else 0.0,
        spin=float(random.uniform(-3.0, 3.0)),
    )


def _unseen(config: WorldConfig, scene: Scene, random: Generator) -> Body:
    """A body that falls beside the frame."""
    edge = half_width(config.spec) + NEAREST
    lane = (edge, edge + 0.8) if random.random() < 0.5 else (-edge - 0.8, -edge)
    material, shape = _pick(_choices(config, "drop", scene.place, False) or [("metal", "ball")], random)
    body = _body(material, shape, _pick(COLOURS[material], random), lane, config, random)
    return replace(body, drift=0.0, spin=0.0)


def _strike(scene: Scene, config: WorldConfig, count: int, random: Generator, held_out: bool) -> Scene:
    cast = _cast(config, "strike", scene.place, count, random, held_out)
    taken: set[tuple[str, str, str]] = set()
    targets = []
    for (material, kind), (left, right) in zip(cast, _lanes(config, count, 0.1), strict=True):
        size = min(float(random.uniform(0.40, 0.75)), 0.92 * (right - left))
        free = (right - left - size) / 2 * 0.9
        x = (left + right) / 2 + float(random.uniform(-free, free))
        targets.append(Target(kind, _colour(material, taken, kind, random), size, x))
    struck = int(random.integers(count))
    hits = () if random.random() < config.silent and count == 1 else _rhythm(config, struck, random)
    if random.random() < 0.25 and len(hits) > 1:  # a near miss among them
        missed = int(random.integers(len(hits)))
        hits = tuple(replace(hit, miss=k == missed) for k, hit in enumerate(hits))
    if count > 1 and random.random() < 0.3:  # the last strokes go to another one
        other = (struck + 1 + int(random.integers(count - 1))) % count
        first = (len(hits) + 1) // 2
        hits = tuple(replace(hit, target=other) if k >= first else hit for k, hit in enumerate(hits))
        hits = _apart(hits, 0.4)
    return replace(scene, targets=tuple(targets), stick=Stick(_pick(TIPS, random), hits))


def _rhythm(config: WorldConfig, target: int, random: Generator) -> tuple[Hit, ...]:
    """Single strokes, an even beat, or long and short ones; each as hard as it happens, or with accents."""
    seconds = config.spec.seconds
    beat = float(random.uniform(0.26, 0.6))
    gaps = {
        "single": [10 * seconds],
        "even": [beat],
        "swung": [1.5 * beat, max(0.22, 0.75 * beat)],
        "free": random.uniform(0.26, 0.9, size=16).tolist(),
    }[_pick(("single", "even", "swung", "free"), random)]
    accents = random.random() < 0.4
    loud = float(random.uniform(1.5, 4.5))
    hits: list[Hit] = []
    time = float(random.uniform(min(0.12, 0.2 * seconds), 0.45 * min(seconds, 2.0)))
    while time < seconds - min(0.1, 0.2 * seconds) and len(hits) < 64:
        speed = loud * (1.0 if len(hits) % 2 == 0 else 0.4) if accents else float(random.uniform(0.6, 4.5))
        hits.append(Hit(time, speed, target))
        time += gaps[(len(hits) - 1) % len(gaps)]
    return tuple(hits)


def _apart(hits: tuple[Hit, ...], least: float) -> tuple[Hit, ...]:
    """The hits without those that come sooner than `least` after one on another target."""
    kept: list[Hit] = []
    for hit in hits:
        if not kept or kept[-1].target == hit.target or hit.seconds - kept[-1].seconds >= least:
            kept.append(hit)
    return tuple(kept)


def _ensemble(scene: Scene, config: WorldConfig, count: int, random: Generator, held_out: bool) -> Scene:
    bank = "modelled" if held_out else "fluidr3"
    players = []
    for (_, instrument), (left, right) in zip(
        _cast(config, "ensemble", scene.place, count, random, held_out), _lanes(config, count), strict=True
    ):
        size = min(1.0, (right - left) / 0.75)
        free = max((right - left - 0.75 * size) / 2, 0.0)
        plays = random.random() >= config.silent and config.spec.seconds >= CLOSEST
        notes = phrase(instrument, config.spec.seconds, random, held_out) if plays else ()
        x = (left + right) / 2 + float(random.uniform(-free, free))
        players.append(Player(instrument, notes, x, size, bank))
    return replace(scene, players=tuple(players))


def _pillar(scene: Scene, config: WorldConfig, random: Generator) -> tuple[Occluder, ...]:
    """A pillar that things pass behind; of what stays where it is, it hides at most a part."""
    edge = 0.8 * half_width(config.spec)
    still: tuple[Target | Player, ...] = (*scene.targets, *scene.players)
    for _ in range(20):
        pillar = Occluder(float(random.uniform(-edge, edge)), width=float(random.uniform(0.15, 0.3)))
        if all(abs(each.x - pillar.x) > 0.3 * each.size + pillar.width / 2 for each in still):
            return (pillar,)
    return ()


def _camera(scene: Scene, config: WorldConfig, random: Generator) -> Camera:
    """A wide shot first; then, after each cut, a thing seen from nearer, or the wide one again."""
    fit = max(0, math.floor(config.spec.seconds / SHORTEST) - 1)
    cuts = int(random.integers(min(config.cuts, fit) + 1))
    room = max(config.spec.seconds - SHORTEST * (cuts + 1), 0.0)
    times = np.sort(random.uniform(0.0, room, size=cuts)) + SHORTEST * np.arange(1, cuts + 1)
    shots, wide = [], True
    for start in (0.0, *times.tolist()):
        framing = Framing() if wide else _closer(scene, random)
        end = _moved(framing, random) if random.random() < config.moving else None
        shots.append(Shot(start, framing, end))
        wide = not wide or random.random() < 0.2
    return Camera(tuple(shots))


def _closer(scene: Scene, random: Generator) -> Framing:
    """One thing from nearer, with the floor in the frame."""
    height = float(random.uniform(1.1, 1.5))
    return Framing(float(np.clip(_pick(scene.things, random).x, -0.6, 0.6)), 0.44 * height, height)


def _moved(framing: Framing, random: Generator) -> Framing:
    """Where a pan or a zoom ends."""
    if random.random() < 0.5:
        return replace(framing, x=framing.x + float(random.choice([-1, 1]) * random.uniform(0.25, 0.5)))
    height = framing.height * float(random.uniform(0.65, 0.85))
    return replace(framing, y=framing.y * height / framing.height, height=height)
