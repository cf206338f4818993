"""Cave: stalactites and stalagmites before a glow from deep inside, crystals, wet rock."""

import math

import numpy as np

from avsim.world.flat.paint import Colour, Easel, curve, dark, light, mix
from avsim.world.flat.places.ground import FAR, WIDE, along, chosen, floor


def cave(easel: Easel, random: np.random.Generator) -> None:
    """Paint it."""
    rock = chosen(random, ("6a5444", "585868", "5c6050", "74503c", "4c5c64"))
    glow = chosen(random, ("f0b868", "80d0e8", "b0a0f0", "a0e0b0", "f0d8a0"))
    gem = chosen(random, ("40e0f0", "d060f0", "60f090", "ffb040"))
    back = mix(rock, glow, 0.22)
    easel.fade(FAR, 1.7, back, dark(rock, 0.55))
    easel.fade(1.7, 9.0, dark(rock, 0.55), dark(rock, 0.75))
    for x in along(random, 1.3, 0.2):
        easel.glow(x, 0.75, 0.45, glow, 0.33)
    easel.mottle(random, 0.13, 0.09)
    easel.mottle(random, 0.04, 0.04)
    for x in along(random, 0.2, 0.08):
        _spike(easel, random, x, 9.0, random.uniform(1.15, 1.45), 0.07, mix(rock, back, 0.4))
        _spike(easel, random, x + 0.1, FAR, FAR + random.uniform(0.08, 0.3), 0.08, mix(rock, back, 0.5))
    for x in along(random, 0.62, 0.06):
        _spike(easel, random, x + 0.31, FAR - 0.02, random.uniform(0.55, 0.95), 0.11, dark(rock, 0.15))
    for x in along(random, 0.62, 0.1):
        if random.random() < 0.6:
            _crystals(easel, random, x, FAR, gem)
    roof = [(x, random.uniform(1.5, 1.68)) for x in along(random, 0.22)]
    easel.polygon([(-9, 9), (-9, 1.6), *curve(roof, 4), (9, 1.6), (9, 9)], dark(rock, 0.5))
    for x in along(random, 0.3, 0.09):
        _spike(easel, random, x, 1.7, random.uniform(1.0, 1.45), 0.085, dark(rock, 0.35))
    stone, wet = dark(rock, 0.22), random.uniform(0, 3)

    def slabs(across: np.ndarray, away: np.ndarray) -> np.ndarray:
        bumps = np.sin(4.1 * across + 1.3 * np.sin(2.3 * away + wet)) * np.sin(5.7 * away + 1.9 * across)
        pool = (np.sin(1.7 * across + wet) * np.cos(2.9 * away + wet) > 0.62)[..., None]
        plain = np.array(stone) * (1 + 0.16 * bumps)[..., None]
        return np.where(pool, np.array(mix(stone, glow, 0.3)), plain)

    floor(easel, slabs)
    for _ in range(120):
        x, y = random.uniform(-WIDE, WIDE), random.uniform(-1.2, FAR)
        if -0.14 < y < 0.06:
            continue  # where things stand
        size = random.uniform(0.015, 0.04) * (1.3 - y)
        easel.ellipse(x, y, size, 0.55 * size, dark(rock, 0.45))
        easel.ellipse(x - 0.2 * size, y + 0.15 * size, 0.6 * size, 0.3 * size, light(rock, 0.05))


def _spike(
    easel: Easel, random: np.random.Generator, x: float, root: float, tip: float, wide: float, colour: Colour
) -> None:
    """A stalactite if its tip is below its root, else a stalagmite."""
    root = min(root, tip + 0.9) if root > tip else root
    deep = root - tip
    half = wide * random.uniform(0.7, 1.3)
    lean = random.uniform(-0.02, 0.02)
    side = [(half, root), (0.55 * half, root - 0.3 * deep), (0.3 * half, root - 0.65 * deep)]
    left = [(x - dx, y) for dx, y in side]
    right = [(x + dx, y) for dx, y in reversed(side)]
    easel.polygon([*left, (x + lean, tip), *right], colour)
    easel.polygon(
        [left[0], left[1], left[2], (x + lean, tip), (x - 0.1 * half, root - 0.5 * deep)], light(colour, 0.16)
    )
    for ring in (0.25, 0.45):
        y, reach = root - ring * deep, half * (0.62 - 0.6 * ring)
        easel.line([(x - reach, y), (x + reach, y - 0.015)], 0.014, dark(colour, 0.25))


def _crystals(easel: Easel, random: np.random.Generator, x: float, y: float, colour: Colour) -> None:
    easel.glow(x, y + 0.06, 0.12, colour, 0.5)
    for lean in (-0.6, 0.5, -0.1):
        tall, half = random.uniform(0.1, 0.2), 0.025
        dx, dy = tall * math.sin(lean), tall * math.cos(lean)
        easel.polygon([(x - half, y), (x + dx - half, y + 0.7 * dy), (x + dx, y + dy), (x + half, y)], colour)
        easel.polygon([(x, y), (x + dx, y + dy), (x + half, y)], light(colour, 0.5))
