"""A scene: what is there, where it starts and how it moves, in metres and seconds.

The camera looks straight at a plane that is `VIEW` metres high. x is to the right of the picture's middle, y
is up from the floor; the floor is seen `FLOOR` metres above the picture's lower edge. A ball hangs until its
release, then falls, bounces and rolls; its motion is closed-form, so that contact times are exact.
"""

import math
from dataclasses import dataclass

import numpy as np

from avsim.clip import ClipSpec
from avsim.world.config import WorldConfig
from avsim.world.materials import COLOURS, MATERIALS, SIZES

VIEW = 2.0  # m, height of what the camera sees
FLOOR = 0.25  # m, from the lower edge of the picture up to where things touch the floor
GRAVITY = 9.81  # m/s^2
REST = 0.2  # m/s: a ball that would leave the floor slower than this rolls instead

Array = np.ndarray


@dataclass(frozen=True)
class Ball:
    """One ball and its whole motion."""

    material: str
    colour: str
    size: str
    radius: float  # m
    x: float  # m, where it hangs
    height: float  # m, from the floor to its lowest point
    release: float  # s
    drift: float  # m/s, sideways, from its release on
    spin: float  # rad, how its texture is turned at first
    seen: bool = True

    @property
    def name(self) -> str:
        """Such as "large red wooden ball"."""
        substance = "wooden" if self.material == "wood" else self.material
        return f"{self.size} {self.colour} {substance} ball"

    def bounces(self) -> list[tuple[float, float]]:
        """(seconds, speed) of every impact on the floor, in order, without end of time.

        v_0 = sqrt(2 g h) at release + v_0 / g; then v_k+1 = e v_k, a flight of 2 v_k+1 / g later, until
        e v_k < `REST`.
        """
        restitution = MATERIALS[self.material].restitution
        speed = math.sqrt(2 * GRAVITY * self.height)
        seconds = self.release + speed / GRAVITY
        impacts = [(seconds, speed)]
        while (speed := speed * restitution) >= REST:
            seconds += 2 * speed / GRAVITY
            impacts.append((seconds, speed))
        return impacts

    def place(self, seconds: Array) -> tuple[Array, Array]:
        """Its centre (x, y) in metres at any times, in float64."""
        impacts = self.bounces()
        x = self.x + self.drift * np.maximum(0.0, seconds - self.release)
        y = self.height - 0.5 * GRAVITY * np.maximum(0.0, seconds - self.release) ** 2
        for start, speed in impacts[1:]:  # each flight ends where the next impact starts
            since = seconds - (start - 2 * speed / GRAVITY)
            y = np.where(since >= 0, speed * since - 0.5 * GRAVITY * since**2, y)
        y = np.where(seconds >= impacts[-1][0], 0.0, y)
        return x, y + self.radius

    def turned(self, seconds: Array) -> Array:
        """Angle of its texture in radians, as if it rolled all the way."""
        return self.spin + self.drift * np.maximum(0.0, seconds - self.release) / self.radius


@dataclass(frozen=True)
class Scene:
    """Everything that a clip is made of, before it is drawn or heard."""

    balls: tuple[Ball, ...]
    wall: tuple[float, float, float]  # sRGB
    floor: tuple[float, float, float]  # sRGB
    ambience: float  # dB re full scale, rms

    @property
    def seen(self) -> tuple[Ball, ...]:
        """The balls inside the picture."""
        return tuple(ball for ball in self.balls if ball.seen)


def half_width(spec: ClipSpec) -> float:
    """Metres from the picture's middle to its left or right edge."""
    return VIEW / 2 * spec.width / spec.height


def draw_scene(config: WorldConfig, random: np.random.Generator) -> Scene:
    """A random scene of this config. Seen balls keep to lanes of their own and have different colours."""
    count = int(random.integers(config.things[0], config.things[1] + 1))
    colours = random.choice(len(COLOURS), size=count + 1, replace=False)
    edge = half_width(config.spec)
    lanes = np.linspace(-edge, edge, count + 1)
    balls = [
        _draw_ball(config, random, int(colours[k]), (lanes[k], lanes[k + 1]), seen=True) for k in range(count)
    ]
    if random.random() < config.off_screen:
        near, far = edge + 0.3, edge + 1.5
        lane = (near, far) if random.random() < 0.5 else (-far, -near)
        balls.append(_draw_ball(config, random, int(colours[count]), lane, seen=False))
    return Scene(
        balls=tuple(balls),
        wall=_pale(random, 0.78, 0.92),
        floor=_pale(random, 0.55, 0.68),
        ambience=config.ambience,
    )


def _draw_ball(
    config: WorldConfig, random: np.random.Generator, colour: int, lane: tuple[float, float], seen: bool
) -> Ball:
    material = config.materials[int(random.integers(len(config.materials)))]
    size = list(SIZES)[int(random.integers(len(SIZES)))]
    radius = min(random.uniform(*SIZES[size]), 0.45 * (lane[1] - lane[0]))
    seconds = config.spec.seconds
    release = random.uniform(0.0, 0.3 * min(seconds, 2.0))
    start, end = random.uniform(lane[0] + radius, lane[1] - radius, size=2)
    return Ball(
        material=material,
        colour=list(COLOURS)[colour],
        size=size,
        radius=float(radius),
        x=float(start),
        height=float(random.uniform(0.25, VIEW - FLOOR - 0.05 - 2 * radius)),
        release=float(release),
        drift=float(np.clip((end - start) / (seconds - release), -0.6, 0.6)),
        spin=float(random.uniform(0.0, 2 * math.pi)),
        seen=seen,
    )


def _pale(random: np.random.Generator, low: float, high: float) -> tuple[float, float, float]:
    grey = random.uniform(low, high)
    r, g, b = np.clip(grey + random.uniform(-0.05, 0.05, size=3), 0.0, 1.0)
    return float(r), float(g), float(b)
