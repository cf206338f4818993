"""National park: snowy mountains over a lake, dark firs, a meadow with flowers, and sky."""

import numpy as np

from avsim.world.flat.paint import Colour, Easel, dark, light, mix, rgb
from avsim.world.flat.places.ground import FAR, WIDE, along, chosen, floor

HOURS = (  # sky high and low, rock, forest, meadow, sun
    ("3c88dc", "c0e4f8", "7888a0", "2c5c3c", "70b048", "fffae0"),
    ("5878c8", "f8d0a8", "7c6c88", "2c4c3c", "8a9c44", "ffe090"),
    ("68b0e0", "e8f4e8", "8898a0", "386848", "8cc050", "ffffff"),
    ("3870b8", "d8ecf0", "a07860", "4c6c34", "b0a850", "fff8d0"),
)


def national_park(easel: Easel, random: np.random.Generator) -> None:
    """Paint it."""
    high, low, rock, forest, meadow, sun = (rgb(code) for code in HOURS[int(random.integers(len(HOURS)))])
    meadow = mix(meadow, chosen(random, ("60b040", "a0b850")), 0.4)
    easel.fade(0.5, 2.2, low, high)
    easel.fade(2.2, 9.0, high, high)
    at = random.uniform(-0.8, 0.8)
    easel.glow(at, 1.55, 0.3, sun, 0.4)
    easel.ellipse(at, 1.55, 0.085, 0.085, sun)
    for _ in range(16):
        _cloud(easel, random, random.uniform(-WIDE, WIDE), random.uniform(1.4, 2.6), light(low, 0.6))
    _range(easel, random, 0.9, 1.2, 1.5, mix(rock, low, 0.45))
    _range(easel, random, 1.15, 0.95, 1.3, rock)
    easel.fade(FAR, 0.5, mix(high, low, 0.45), light(low, 0.1))  # the lake
    _hills(easel, random, mix(forest, low, 0.3))
    easel.box(-9, 9, FAR - 0.03, FAR + 0.05, mix(meadow, forest, 0.5))
    for x in along(random, 0.26, 0.1):
        if random.random() < 0.7:
            _fir(easel, x, FAR + 0.02, random.uniform(0.35, 0.65), mix(forest, low, 0.12))
    for x in along(random, 0.95, 0.12):
        _fir(easel, x + 0.475, FAR - 0.06, random.uniform(0.85, 1.15), mix(forest, low, 0.15))
    floor(easel, lambda across, away: np.array(meadow) * (1.02 - 0.1 * away)[..., None])
    blades = (mix(meadow, forest, 0.5), mix(meadow, light(meadow, 0.6), 0.5))
    for x, y, lean, paint in _strewn(random, 900):
        size = 0.02 * (1.3 - y)
        easel.line([(x, y), (x + 0.04 * lean - 0.02, y + 2 * size)], 0.5 * size, blades[paint < 0.4])
    flowers = [rgb(code) for code in ("ffffff", "f0d040", "e060a0", "d04040")]
    for x, y, _, paint in _strewn(random, 260):
        size = 0.011 * (1.3 - y)
        easel.ellipse(x, y - 0.03, size, size, flowers[int(4 * paint)])


def _strewn(random: np.random.Generator, count: int) -> list[list[float]]:
    """X and y (m) of points all over the meadow, each with two more numbers from 0 to 1; (count, 4)."""
    low, high = np.array([-WIDE, -1.2, 0, 0]), np.array([WIDE, FAR, 1, 1])
    return random.uniform(low, high, (count, 4)).tolist()


def _cloud(easel: Easel, random: np.random.Generator, x: float, y: float, colour: Colour) -> None:
    size = random.uniform(0.05, 0.1)
    for k in range(5):
        puff = size * (1.0, 1.3, 1.5, 1.2, 0.8)[k]
        easel.ellipse(x + (k - 2) * size * 1.1, y + 0.3 * puff, puff, 0.7 * puff, colour, opacity=0.85)


def _range(
    easel: Easel, random: np.random.Generator, step: float, low: float, high: float, rock: Colour
) -> None:
    """Peaks with a lit and a shaded face and snow."""
    for x in along(random, step, 0.2 * step):
        top, half = random.uniform(low, high), step * random.uniform(0.65, 0.9)
        foot = x + random.uniform(-0.1, 0.1) * half
        easel.polygon([(x - half, 0.4), (x, top), (x + half, 0.4)], rock)
        easel.polygon([(x, top), (x + half, 0.4), (foot, 0.4)], dark(rock, 0.22))
        deep = 0.34 * (top - 0.4)
        rim = [(-1.0, 1.0), (-0.6, 0.85), (-0.25, 1.2), (0.1, 0.8), (0.5, 1.15), (1.0, 1.0)]
        edge = [(x + side * min(d, 1.0) * half * 0.34, top - deep * d) for side, d in rim]
        easel.polygon([(x, top), *edge], rgb("f8fafc"))
        easel.polygon([(x, top), *edge[3:]], rgb("ccd8e8"))


def _hills(easel: Easel, random: np.random.Generator, colour: Colour) -> None:
    for x in along(random, 1.3, 0.3):
        wide = random.uniform(0.5, 0.8)
        easel.ellipse(x, 0.42, wide, random.uniform(0.06, 0.14), colour)
        for _ in range(10):
            at = x + random.uniform(-0.8, 0.8) * wide
            _fir(easel, at, 0.42, random.uniform(0.1, 0.2), dark(colour, 0.1))


def _fir(easel: Easel, x: float, foot: float, tall: float, colour: Colour) -> None:
    easel.line([(x, foot), (x, foot + 0.2 * tall)], 0.06 * tall, rgb("5a3c28"))
    for k in range(4):
        y, half = foot + tall * (0.14 + 0.2 * k), tall * (0.23 - 0.045 * k)
        top = y + tall * 0.3
        easel.polygon([(x - half, y), (x, top), (x + half, y)], colour)
        easel.polygon([(x, top), (x + half, y), (x + 0.1 * half, y)], dark(colour, 0.2))
