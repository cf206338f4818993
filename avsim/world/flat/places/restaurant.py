"""Restaurant: laid tables under hanging lamps, before a panelled wall with bottles and a menu."""

import numpy as np

from avsim.world.flat.paint import Colour, Easel, curve, dark, light, mix, rgb
from avsim.world.flat.places.ground import FAR, along, chosen, floor, tiles

PANEL = 0.78  # m, the top of the wall's wooden part


def restaurant(easel: Easel, random: np.random.Generator) -> None:
    """Paint it."""
    wall = chosen(random, ("e8c890", "d8b8a0", "c8d0a8", "e0a880", "d8cca8"))
    wood = chosen(random, ("7a4a2c", "8a5c38", "5c3424"))
    linen = chosen(random, ("f8f4ec", "f4e8d8", "e8d0d0"), 0.02)
    accent = chosen(random, ("b02828", "286048", "a85020", "304878"))
    easel.fade(PANEL, 3.0, light(wall, 0.1), dark(wall, 0.12))
    easel.fade(easel.bottom, PANEL, dark(wood, 0.3), wood)
    for x in along(random, 0.28):
        easel.box(x - 0.11, x + 0.11, FAR + 0.04, PANEL - 0.06, light(wood, 0.1))
    easel.box(-9, 9, PANEL - 0.02, PANEL + 0.03, light(wood, 0.2))
    for k, x in enumerate(along(random, 1.0)):
        if k % 2:
            _bottles(easel, random, x + 0.5, wood)
        else:
            _menu(easel, random, x + 0.5, wood)
    floor(easel, tiles(light(accent, 0.75), mix(accent, wood, 0.3), 0.32))
    easel.box(-9, 9, FAR - 0.015, FAR + 0.03, dark(wood, 0.35))
    shift = random.uniform(-0.1, 0.1)
    for x in along(random, 1.0):
        _table(easel, random, x + shift, linen, accent, wood)
    for x in along(random, 0.5):
        _lamp(easel, x + shift, accent)


def _lamp(easel: Easel, x: float, shade: Colour) -> None:
    easel.line([(x, 3.0), (x, 1.66)], 0.012, rgb("201810"))
    easel.polygon([(x - 0.13, 1.5), (x + 0.13, 1.5), (x + 0.05, 1.66), (x - 0.05, 1.66)], shade)
    easel.ellipse(x, 1.5, 0.06, 0.03, rgb("fff4c0"))
    easel.glow(x, 1.48, 0.14, rgb("ffd880"), 0.55)


def _table(
    easel: Easel, random: np.random.Generator, x: float, linen: Colour, accent: Colour, wood: Colour
) -> None:
    for side in (-1, 1):  # a chair at either end
        seat = x + side * 0.37
        easel.line([(seat + side * 0.06, 0.14), (seat + side * 0.08, 0.72)], 0.035, dark(wood, 0.45))
        easel.line([(seat - side * 0.08, 0.14), (seat - side * 0.07, 0.4)], 0.03, dark(wood, 0.45))
        easel.line([(seat - side * 0.1, 0.4), (seat + side * 0.08, 0.4)], 0.04, mix(wood, accent, 0.6))
    easel.polygon([(x - 0.25, 0.56), (x + 0.25, 0.56), (x + 0.28, 0.2), (x - 0.28, 0.2)], dark(linen, 0.12))
    for fold in (-0.16, -0.02, 0.12):
        easel.line([(x + fold, 0.54), (x + 1.1 * fold, 0.21)], 0.02, dark(linen, 0.25))
    easel.ellipse(x, 0.57, 0.28, 0.035, linen)
    easel.ellipse(x, 0.575, 0.07, 0.012, dark(linen, 0.25))
    for glass in (-0.17, 0.17):
        easel.line([(x + glass, 0.575), (x + glass, 0.63)], 0.01, rgb("e8f0f0"))
        easel.ellipse(x + glass, 0.665, 0.028, 0.04, rgb("d8e4e4"), opacity=0.8)
        easel.ellipse(
            x + glass, 0.655, 0.024, 0.026, rgb("801828") if random.random() < 0.6 else rgb("e8d060")
        )
    easel.line([(x, 0.58), (x, 0.66)], 0.022, rgb("f8f0d8"))
    easel.glow(x, 0.69, 0.03, rgb("ffd060"), 1.0, 1.5)


def _bottles(easel: Easel, random: np.random.Generator, x: float, wood: Colour) -> None:
    glass = ("2c5a34", "5a2424", "8a6a20", "304a68", "d8d0b0")
    easel.box(x - 0.42, x + 0.42, 0.92, 1.36, dark(wood, 0.35))
    for shelf in (0.95, 1.16):
        for k in range(8):
            at, tall = x - 0.35 + 0.1 * k, random.uniform(0.11, 0.15)
            paint = chosen(random, glass)
            easel.box(at - 0.022, at + 0.022, shelf, shelf + 0.65 * tall, paint)
            easel.box(at - 0.008, at + 0.008, shelf + 0.65 * tall, shelf + tall, paint)
        easel.box(x - 0.43, x + 0.43, shelf - 0.025, shelf, light(wood, 0.25))


def _menu(easel: Easel, random: np.random.Generator, x: float, wood: Colour) -> None:
    easel.box(x - 0.24, x + 0.24, 0.9, 1.38, light(wood, 0.2))
    easel.box(x - 0.21, x + 0.21, 0.93, 1.35, rgb("263028"))
    easel.line(
        curve([(x - 0.1, 1.29), (x - 0.03, 1.31), (x + 0.03, 1.28), (x + 0.1, 1.3)]), 0.018, rgb("f0f0e0")
    )
    for k in range(5):
        y = 1.21 - 0.055 * k
        easel.line([(x - 0.16, y), (x - 0.16 + random.uniform(0.1, 0.2), y)], 0.012, rgb("c8ccc0"))
        easel.line([(x + 0.12, y), (x + 0.16, y)], 0.012, rgb("e8d080"))
