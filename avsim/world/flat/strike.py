"""A stick strikes things at rest: how it moves, what it touches, how that sounds.

The tip's height over what it strikes is a smooth curve: raised, it comes down evenly accelerated, arrives at
its speed at the very time of the hit, and is thrown back by the restitution. Harder strokes come from higher.
A near miss stops a hand's breadth short.
"""

import math
from collections.abc import Sequence

import numpy as np

from avsim.clip import ClipSpec
from avsim.world.flat.actor import Actor, Contact, Sound
from avsim.world.flat.canvas import Part, Pose
from avsim.world.flat.scene import Hit, Scene, Target
from avsim.world.flat.shapes import REACH, TIP, stick_sprite, strike_point, table_parts, target_part
from avsim.world.materials import restitution, substance
from avsim.world.sound.impact import impact, target_modes
from avsim.world.sound.listener import aligned, arrival

RAISED = 0.22  # m, of a stick that waits
HIGHEST = 0.45  # m
GAP = 0.10  # m, how near a near miss comes
HEAD_MASS = 0.08  # kg
REST_ANGLE = 0.55  # rad, of the stick when its tip touches
LATEST_RISE = 0.35  # s after a hit, when it is raised again

Array = np.ndarray


def strike(scene: Scene, spec: ClipSpec, names: Sequence[str], first: int) -> tuple[list[Actor], list[Part]]:
    """The scene's targets with their sounds, their owners counted from `first`; and the stick, before all."""
    actors, side = [], held(scene)
    for number, target in enumerate(scene.targets):
        hits = [hit for hit in scene.stick.hits if hit.target == number and not hit.miss]
        hits = [hit for hit in hits if hit.seconds < spec.end]
        actors.append(
            Actor(
                parts=(target_part(target, first + number),),
                sounds=tuple(_sound(target, hit, scene.stick.tip, side, spec) for hit in hits),
                contacts=tuple(_contact(target, hit, scene.stick.tip, side, names[number]) for hit in hits),
            )
        )
    return actors, [stick_part(scene, spec.frame_seconds().numpy())]


def table(scene: Scene) -> tuple[Part, ...]:
    """What the targets stand on."""
    left = min(target.x - target.size / 2 for target in scene.targets)
    right = max(target.x + target.size / 2 for target in scene.targets)
    return table_parts(left - 0.12, right + 0.12)


def stick_part(scene: Scene, times: Array) -> Part:
    """The stick along its way."""
    x, y, raised = tip_path(scene, times)
    side = held(scene)
    return Part(stick_sprite(scene.stick.tip), Pose(x, y, side * (REST_ANGLE - raised / REACH), side))


def held(scene: Scene) -> int:
    """From which side the stick comes, 1 from the right and -1 from the left: that with more room."""
    struck = [scene.targets[hit.target].x for hit in scene.stick.hits] or [scene.targets[0].x]
    return -1 if sum(struck) > 0 else 1


def tip_path(scene: Scene, times: Array) -> tuple[Array, Array, Array]:
    """Middle of the stick's head, x and y in metres, and how far it is raised, (T,) each."""
    hits, side = scene.stick.hits, held(scene)
    raised = height(hits, scene, times)
    order = [hit.target for hit in hits] or [0]
    spots = [strike_point(scene.targets[number], side) for number in order]
    point, way = (np.repeat(spots[0][k][None], len(times), 0) for k in (0, 1))
    for (one, here), (two, there) in zip(
        zip(hits, spots, strict=False), list(zip(hits, spots, strict=False))[1:], strict=False
    ):
        # From one target to the next in the middle of the time between, when it is raised.
        share = np.clip(((times - one.seconds) / (two.seconds - one.seconds) - 0.3) / 0.4, 0.0, 1.0)
        share = (share * share * (3 - 2 * share))[:, None]
        point += share * (there[0] - here[0])
        way += share * (there[1] - here[1])
    x, y = (point + way * (raised + TIP)[:, None]).T
    return x, y, raised


def height(hits: Sequence[Hit], scene: Scene, times: Array) -> Array:
    """How far the tip is from what it strikes, m, (T,)."""
    knots = [(-10.0, RAISED, 0.0)]  # seconds, metres, metres a second
    for number, hit in enumerate(hits):
        since = hit.seconds - knots[-1][0] if number else math.inf
        down = min(0.3, 0.55 * since)
        if hit.miss:
            start, arrived = max(RAISED, 0.1 * hit.speed), (hit.seconds, GAP, 0.0)
        else:
            # Evenly accelerated from rest over `down`: from speed * down / 2 high.
            down = min(down, 2 * HIGHEST / hit.speed)
            start, arrived = hit.speed * down / 2, (hit.seconds, 0.0, -hit.speed)
        if number:
            risen = min(hit.seconds - down, knots[-1][0] + LATEST_RISE)
            knots.append((risen, start, 0.0))
        if not number or hit.seconds - down > knots[-1][0] + 1e-9:
            knots.append((hit.seconds - down, start, 0.0))
        knots.append(arrived)
        if not hit.miss:
            speed = hit.speed * restitution(scene.stick.tip, scene.targets[hit.target].material)
            knots.append((hit.seconds, 0.0, speed))
    knots.append((knots[-1][0] + LATEST_RISE, RAISED, 0.0))
    return _hermite(np.array(knots), times)


def _hermite(knots: Array, times: Array) -> Array:
    """Cubic pieces through knots (K, 3) of time, value and slope; level after the last."""
    index = np.clip(np.searchsorted(knots[:, 0], times, side="right") - 1, 0, len(knots) - 2)
    (t0, a, va), (t1, b, vb) = knots[index].T, knots[index + 1].T
    span = np.maximum(t1 - t0, 1e-9)
    u = np.clip((times - t0) / span, 0.0, 1.0)
    return (
        (2 * u**3 - 3 * u**2 + 1) * a
        + (u**3 - 2 * u**2 + u) * span * va
        + (3 * u**2 - 2 * u**3) * b
        + (u**3 - u**2) * span * vb
    )


def _sound(target: Target, hit: Hit, tip: str, side: int, spec: ClipSpec) -> Sound:
    (x, y), _ = strike_point(target, side)
    seconds, lead = aligned(hit.seconds, x, y, spec.sample_rate)
    modes = target_modes(target.kind, target.size)
    wave = impact(
        modes, (tip, target.material), 0.5 * target.size, hit.speed, spec.sample_rate, lead, spec.samples
    )
    return Sound(seconds, substance(target.material).level * wave, float(x), float(y))


def _contact(target: Target, hit: Hit, tip: str, side: int, name: str) -> Contact:
    (x, y), _ = strike_point(target, side)
    return Contact(
        seconds=hit.seconds,
        arrival=arrival(hit.seconds, x, y),
        things=(name, "stick"),
        materials=(target.material, tip),
        impulse=(1 + restitution(tip, target.material)) * HEAD_MASS * hit.speed,
        speed=hit.speed,
        x=float(x),
        y=float(y),
    )
