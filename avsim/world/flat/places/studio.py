"""Dry studio: walls of foam wedges, hanging microphones, loudspeakers and a red lamp for recording."""

import numpy as np

from avsim.world.flat.paint import Colour, Easel, Point, dark, light, mix, rgb
from avsim.world.flat.places.ground import FAR, along, chosen, cloth, floor

TILE = 0.3  # m, a square of foam
LETTERS: dict[str, list[list[Point]]] = {  # on a grid 2 wide and 4 high
    "R": [[(0, 0), (0, 4), (2, 4), (2, 2), (0, 2)], [(0.8, 2), (2, 0)]],
    "E": [[(2, 0), (0, 0), (0, 4), (2, 4)], [(0, 2), (1.6, 2)]],
    "C": [[(2, 0), (0, 0), (0, 4), (2, 4)]],
}


def dry_studio(easel: Easel, random: np.random.Generator) -> None:
    """Paint it."""
    foam = chosen(random, ("50545c", "46506a", "5a4a5c", "485a58", "645048"), 0.03)
    other = mix(foam, chosen(random, ("803038", "2c6078", "8a6a30", "50545c")), 0.45)
    carpet = chosen(random, ("8a8078", "6a7078", "8a6a58", "78607a"))
    wood = chosen(random, ("b08858", "8c6840", "c8a070"))
    easel.fade(-9, 9, dark(foam, 0.5), dark(foam, 0.5))
    paints = [(light(colour, 0.14), dark(colour, 0.28)) for colour in (foam, other)]
    row = 0
    y = FAR + 0.08
    while y < 3.2:
        for k, x in enumerate(along(random, TILE)):
            _wedges(easel, x, y, paints[(k // 2 + row // 2) % 2], upright=(k + row) % 2 == 0)
        y += TILE
        row += 1
    easel.box(-9, 9, FAR, FAR + 0.08, wood)
    floor(easel, cloth(carpet))
    easel.ellipse(0.0, -0.04, 2.2, 0.19, mix(carpet, other, 0.6))
    easel.ellipse(0.0, -0.04, 2.05, 0.165, light(mix(carpet, other, 0.5), 0.12))
    for x in along(random, 1.6):
        _speaker(easel, x + 0.8, wood)
    for x in along(random, 1.6):
        _sign(easel, x, random.random() < 0.8)
    for x in along(random, 0.8, 0.04):
        _microphone(easel, x + 0.4)


def _wedges(easel: Easel, x: float, y: float, paints: tuple[Colour, Colour], upright: bool) -> None:
    """One square: four ridges, lit from the upper left."""
    step = TILE / 4
    if x > easel.right or x + TILE < easel.left or y > easel.top:
        return
    for k in range(4):
        for share, paint in zip((0.0, 0.5), paints, strict=True):
            low, high = (k + share) * step, (k + share + 0.46) * step
            if upright:
                easel.box(x + low, x + high, y, y + 0.98 * TILE, paint)
            else:
                easel.box(x, x + 0.98 * TILE, y + TILE - high, y + TILE - low, paint)


def _speaker(easel: Easel, x: float, wood: Colour) -> None:
    easel.line([(x, 0.16), (x, 0.7)], 0.04, rgb("181818"))
    easel.line([(x - 0.12, 0.16), (x + 0.12, 0.16)], 0.035, rgb("181818"))
    easel.box(x - 0.14, x + 0.14, 0.68, 1.16, dark(wood, 0.2))
    easel.box(x - 0.12, x + 0.12, 0.7, 1.14, rgb("1c1c20"))
    for y, radius in ((0.83, 0.095), (1.04, 0.055)):
        easel.ellipse(x, y, radius, radius, rgb("808488"))
        easel.ellipse(x, y, 0.84 * radius, 0.84 * radius, rgb("e0d4b0"))
        easel.ellipse(x, y, 0.36 * radius, 0.36 * radius, rgb("303030"))


def _sign(easel: Easel, x: float, lit: bool) -> None:
    red = rgb("f02828") if lit else rgb("801c1c")
    easel.box(x - 0.19, x + 0.19, 1.5, 1.68, rgb("18181c"))
    easel.box(x - 0.175, x + 0.175, 1.515, 1.665, red)
    if lit:
        easel.glow(x, 1.59, 0.17, rgb("ff3020"), 0.45, 0.7)
    for k, letter in enumerate("REC"):
        for path in LETTERS[letter]:
            at = [(x - 0.115 + 0.09 * k + 0.026 * u, 1.545 + 0.023 * v) for u, v in path]
            easel.line(at, 0.02, rgb("fff4e8"))


def _microphone(easel: Easel, x: float) -> None:
    """From the ceiling, in a ring of elastic."""
    easel.line([(x, 9.0), (x, 1.5)], 0.016, rgb("101010"))
    easel.ellipse(x, 1.43, 0.075, 0.075, rgb("18181c"))
    easel.ellipse(x, 1.43, 0.06, 0.06, rgb("48484e"))
    easel.line([(x, 1.38), (x, 1.49)], 0.07, rgb("c8ccd4"))
    easel.line([(x, 1.35), (x, 1.39)], 0.07, rgb("70757e"))
    easel.line([(x - 0.03, 1.41), (x + 0.03, 1.41)], 0.01, rgb("e8c050"))
