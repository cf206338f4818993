"""Counterfactual pairs of scenes: one fact changes, and every hit keeps its time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from avsim.clip import ClipSpec
from avsim.seeds import derive
from avsim.world.flat.camera import half_width
from avsim.world.flat.scene import TARGETS, Hit, Scene, Stick, Target
from avsim.world.materials import TIPS
from avsim.world.sound.rooms import PLACES

Random = np.random.Generator

HITS = (2, 4)  # smallest and largest number of hits in a clip
APART = 0.35  # s between hits, at least
FIRST, LAST = 0.3, 0.35  # s of a clip before the first hit and after the last one
SHORTEST = FIRST + LAST + APART  # s of a clip
SLOW, FAST = 1.5, 5.0  # m/s
SMALL, LARGE = 0.24, 0.5  # m
ROOMS = ("dry studio", "cave", "concert hall")  # their reverberation differs clearly
KINDS = tuple(kind for kind in TARGETS if kind != "rubber tile")  # a rubber tile is nearly silent


@dataclass(frozen=True)
class ScenePair:
    """Two scenes that differ in one fact."""

    change: str
    scenes: tuple[Scene, Scene]


def pair(change: str, number: int, spec: ClipSpec, seed: int = 0) -> ScenePair:
    """Pair `number` of a change; deterministic in its arguments."""
    random = np.random.default_rng(derive(seed, "AV-Truth", stream(change), number))
    return ScenePair(change, CHANGES[change](random, _times(random, spec.seconds), spec))


def stream(change: str) -> str:
    """The name of a change in seeds, which never changes: "target" was once called "which"."""
    return "which" if change == "target" else change


def _times(random: Random, seconds: float) -> list[float]:
    """Times of the hits, whole hundredths of a second."""
    room = seconds - FIRST - LAST
    most = max(1, min(HITS[1], 1 + int(room / APART)))
    count = int(random.integers(min(HITS[0], most), most + 1))
    free = np.sort(random.uniform(0, room - (count - 1) * APART, count))
    return [round(float(FIRST + k * APART + moment), 2) for k, moment in enumerate(free)]


def _one(random: Random, times: list[float], spec: ClipSpec) -> Scene:
    """One target that is struck, in a random place."""
    edge = 0.4 * half_width(spec)
    kind = KINDS[int(random.integers(len(KINDS)))]
    target = Target(kind, size=0.36, x=round(float(random.uniform(-edge, edge)), 2))
    stick = Stick(TIPS[int(random.integers(len(TIPS)))], tuple(Hit(moment, 2.5) for moment in times))
    place = PLACES[int(random.integers(len(PLACES)))]
    return Scene(place, targets=(target,), stick=stick, ambience=-12.0, seed=int(random.integers(1 << 31)))


def _two(random: Random, times: list[float], spec: ClipSpec, struck: list[int]) -> Scene:
    """Two targets of different kinds, left and right, and which of them each hit strikes."""
    scene = _one(random, times, spec)
    first, second = random.permutation(len(KINDS))[:2]
    x = 0.5 * half_width(spec)
    targets = (Target(KINDS[first], size=0.36, x=-x), Target(KINDS[second], size=0.36, x=x))
    hits = tuple(Hit(moment, 2.5, target) for moment, target in zip(times, struck, strict=True))
    return replace(scene, targets=targets, stick=replace(scene.stick, hits=hits))


def _material(random: Random, times: list[float], spec: ClipSpec) -> tuple[Scene, Scene]:
    scene = _one(random, times, spec)
    (target,) = scene.targets
    others = [kind for kind in KINDS if TARGETS[kind] != target.material]
    other = Target(others[int(random.integers(len(others)))], size=target.size, x=target.x)
    return scene, replace(scene, targets=(other,))


def _size(random: Random, times: list[float], spec: ClipSpec) -> tuple[Scene, Scene]:
    scene = _one(random, times, spec)
    (target,) = scene.targets
    return tuple(replace(scene, targets=(replace(target, size=size),)) for size in (SMALL, LARGE))  # type: ignore[return-value]


def _side(random: Random, times: list[float], spec: ClipSpec) -> tuple[Scene, Scene]:
    scene = _one(random, times, spec)
    (target,) = scene.targets
    x = 0.6 * half_width(spec)
    return tuple(replace(scene, targets=(replace(target, x=side * x),)) for side in (-1, 1))  # type: ignore[return-value]


def _speed(random: Random, times: list[float], spec: ClipSpec) -> tuple[Scene, Scene]:
    scene = _one(random, times, spec)
    return tuple(
        replace(scene, stick=replace(scene.stick, hits=tuple(Hit(moment, speed) for moment in times)))
        for speed in (SLOW, FAST)
    )  # type: ignore[return-value]


def _room(random: Random, times: list[float], spec: ClipSpec) -> tuple[Scene, Scene]:
    scene = _one(random, times, spec)
    first, second = random.permutation(len(ROOMS))[:2]
    return replace(scene, place=ROOMS[first]), replace(scene, place=ROOMS[second])


def _order(random: Random, times: list[float], spec: ClipSpec) -> tuple[Scene, Scene]:
    turns = [k % 2 for k in range(len(times))]
    scene = _two(random, times, spec, turns)
    hits = tuple(replace(hit, target=1 - hit.target) for hit in scene.stick.hits)
    return scene, replace(scene, stick=replace(scene.stick, hits=hits))


def _target(random: Random, times: list[float], spec: ClipSpec) -> tuple[Scene, Scene]:
    scene = _two(random, times, spec, [0] * len(times))
    hits = tuple(replace(hit, target=1) for hit in scene.stick.hits)
    return scene, replace(scene, stick=replace(scene.stick, hits=hits))


CHANGES: dict[str, Callable[[Random, list[float], ClipSpec], tuple[Scene, Scene]]] = {
    "material": _material,  # the target is another kind of object, of another material
    "size": _size,
    "side": _side,
    "speed": _speed,  # of the stick
    "room": _room,
    "order": _order,  # two targets are struck in turn: which is first
    "target": _target,  # which of two targets is struck
}
