"""Space station: windows on stars and a planet, in a hull of panels, over glowing consoles."""

import math

import numpy as np

from avsim.world.flat.paint import Colour, Easel, dark, light, mix, rgb
from avsim.world.flat.places.ground import FAR, along, chosen, floor

SILL, LINTEL, BAY = 0.74, 1.5, 1.05  # m: a window's lower and upper edge, from one window to the next


def space_station(easel: Easel, random: np.random.Generator) -> None:
    """Paint it."""
    hull = chosen(random, ("c4ccd4", "98a4b0", "b8c0b8", "8890a8"))
    shine = chosen(random, ("30d8f0", "50f0b0", "f09030", "b070ff", "4090ff"))
    easel.fade(-9, 9, hull, hull)
    easel.fade(SILL, LINTEL, rgb("0c1024"), rgb("04050c"))
    for x, y, size, pale in random.uniform((-6, SILL, 0.004, 0), (6, LINTEL, 0.011, 1), (500, 4)).tolist():
        easel.box(x - size, x + size, y - size, y + size, light(rgb("a0b8f0"), pale))
    for x in along(random, 2 * BAY):
        _planet(easel, random, x + BAY * random.uniform(0.1, 0.5))
    _hull(easel, hull, shine, random)
    _consoles(easel, hull, shine, random)
    metal = dark(hull, 0.55)

    def grating(across: np.ndarray, away: np.ndarray) -> np.ndarray:
        seam = (np.abs(across % 0.5 - 0.25) > 0.235) | (np.abs(away % 0.5 - 0.25) > 0.23)
        lamp = (np.abs((across + 0.25) % 2.0 - 1.0) > 0.955)[..., None]
        plain = np.array(metal) * (1 - 0.4 * seam)[..., None]
        return np.where(lamp, np.array(shine), plain)

    floor(easel, grating)
    easel.box(-9, 9, FAR - 0.02, FAR + 0.015, shine)


def _planet(easel: Easel, random: np.random.Generator, x: float) -> None:
    sea = chosen(random, ("2060c8", "b85028", "c8a070", "8070b0", "309890"))
    land = mix(sea, chosen(random, ("60a040", "e8c890", "703820", "f0f0f0")), 0.6)
    radius = random.uniform(0.32, 0.6)
    y = SILL + random.uniform(-0.1, 0.25)
    easel.glow(x, y, 0.85 * radius, sea, 0.6)
    easel.ellipse(x, y, radius, radius, sea)
    for _ in range(7):
        turn, far = random.uniform(0, 2 * math.pi), 0.6 * radius * math.sqrt(random.random())
        wide = radius * random.uniform(0.12, 0.35)
        easel.ellipse(x + far * math.cos(turn), y + far * math.sin(turn), wide, 0.4 * wide, land, 0.2)
    easel.ellipse(
        x + 0.1 * radius, y - 0.08 * radius, 0.9 * radius, 0.9 * radius, (0.0, 0.0, 0.0), opacity=0.12
    )
    easel.ellipse(x - 0.3 * radius, y + 0.35 * radius, 0.4 * radius, 0.2 * radius, (1.0, 1.0, 1.0), 0.7, 0.25)


def _hull(easel: Easel, hull: Colour, shine: Colour, random: np.random.Generator) -> None:
    easel.fade(LINTEL, 4.0, hull, light(hull, 0.2))
    for x in along(random, BAY):  # posts between windows with rounded corners
        post = x + BAY / 2
        for side in (-1, 1):
            for y, sign in ((SILL, 1), (LINTEL, -1)):
                corner = post + side * 0.1
                bend = [math.pi / 2 * k / 6 for k in range(7)]
                arc = [
                    (corner + side * 0.16 * (1 - math.sin(b)), y + sign * 0.16 * (1 - math.cos(b)))
                    for b in bend
                ]
                easel.polygon([(corner, y), *arc], hull)
        easel.box(post - 0.1, post + 0.1, SILL, LINTEL, hull)
        easel.box(post - 0.07, post + 0.07, SILL + 0.04, LINTEL - 0.04, light(hull, 0.25))
        easel.box(post - 0.022, post + 0.022, SILL + 0.1, LINTEL - 0.1, shine)
        easel.glow(post, (SILL + LINTEL) / 2, 0.09, shine, 0.3, 3.0)
        for bolt in (SILL + 0.02, LINTEL - 0.02):
            easel.ellipse(post, bolt, 0.016, 0.016, dark(hull, 0.5))
        easel.line([(post, LINTEL), (post, 4.0)], 0.015, dark(hull, 0.35))
    for y, paint in (
        (SILL - 0.01, dark(hull, 0.45)),
        (LINTEL + 0.01, dark(hull, 0.4)),
        (1.66, dark(hull, 0.35)),
    ):
        easel.box(-9, 9, y - 0.015, y + 0.015, paint)
    easel.box(-9, 9, 1.56, 1.61, rgb("f4fcff"))


def _consoles(easel: Easel, hull: Colour, shine: Colour, random: np.random.Generator) -> None:
    easel.box(-9, 9, FAR, SILL - 0.02, dark(hull, 0.3))
    easel.polygon([(-9, 0.6), (9, 0.6), (9, SILL - 0.02), (-9, SILL - 0.02)], dark(hull, 0.12))
    for k, x in enumerate(along(random, BAY / 3)):
        if k % 3 == 0:
            easel.box(x - 0.13, x + 0.13, 0.36, 0.57, rgb("081420"))
            ys = random.uniform(0.4, 0.53, 7)
            easel.line([(x - 0.1 + 0.033 * i, float(y)) for i, y in enumerate(ys)], 0.014, shine)
        else:
            easel.box(x - 0.13, x + 0.13, 0.36, 0.57, dark(hull, 0.45))
            for i in range(8):
                lit = rgb(("f04040", "f0d040", "40e070", "e8f0f8", "404850")[int(random.integers(5))])
                bx, by = x - 0.09 + 0.06 * (i % 4), 0.42 + 0.08 * (i // 4)
                easel.box(bx - 0.018, bx + 0.018, by - 0.02, by + 0.02, lit)
