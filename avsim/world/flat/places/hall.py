"""Concert hall: a stage between red curtains, organ pipes, spotlights, and the heads of the audience."""

import numpy as np

from avsim.world.flat.paint import Colour, Easel, dark, light, mix, rgb
from avsim.world.flat.places.ground import FAR, WIDE, along, boards, chosen, floor

STAGE = 0.86  # m, from the middle to where the curtains begin
VALANCE = 1.5  # m, the curtain's lower edge above the stage


def concert_hall(easel: Easel, random: np.random.Generator) -> None:
    """Paint it."""
    velvet = chosen(random, ("a01424", "8c1020", "b02018", "901038"), 0.03)
    wall = chosen(random, ("3a2838", "28304c", "44302c", "30383c"), 0.03)
    gold = chosen(random, ("d8a840", "e0b858", "c89838"), 0.03)
    wood = chosen(random, ("b07840", "c08848", "a06834"), 0.03)
    easel.fade(FAR, 1.8, light(wall, 0.12), dark(wall, 0.2))
    easel.fade(1.8, 9.0, dark(wall, 0.2), dark(wall, 0.4))
    _organ(easel, random, wall, gold)
    for x in (-0.5, 0.0, 0.5):
        _beam(easel, x, random.uniform(-0.25, 0.25))
    _boxes(easel, random, wall, gold, velvet)
    floor(easel, boards(wood, 0.22, 0.07))
    for x in (-0.45, 0.45):
        easel.glow(x, 0.02, 0.35, rgb("ffe8b0"), 0.3, 0.35)
    easel.box(-9, 9, FAR - 0.015, FAR + 0.015, dark(wood, 0.5))
    for k in range(4):
        _stand(easel, -0.63 + 0.42 * k + random.uniform(-0.05, 0.05), dark(wall, 0.5))
    for side in (-1, 1):
        _drape(easel, side, velvet, gold)
    _valance(easel, velvet, gold)
    for x in along(random, 0.19, 0.03):
        _listener(easel, random, x)


def _organ(easel: Easel, random: np.random.Generator, wall: Colour, gold: Colour) -> None:
    case = mix(wall, rgb("6a4428"), 0.6)
    easel.box(-0.78, 0.78, FAR, 0.72, case)
    for k in range(5):
        x = -0.6 + 0.3 * k
        easel.box(x - 0.12, x + 0.12, FAR + 0.06, 0.66, light(case, 0.12))
    metal = mix(rgb("b8bcc4"), gold, float(random.choice([0.15, 0.5])))
    waves = int(random.integers(2, 4))
    for k in range(25):
        x = -0.744 + 0.062 * k
        top = 1.2 + 0.2 * abs(np.cos(waves * np.pi * (k - 12) / 24))
        easel.box(x - 0.026, x + 0.026, 0.72, top, dark(metal, 0.4))
        easel.box(x - 0.018, x + 0.008, 0.72, top, dark(metal, 0.12))
        easel.ellipse(x, top, 0.026, 0.012, dark(metal, 0.55))
        easel.ellipse(x, 0.84, 0.012, 0.02, dark(metal, 0.7))
    easel.box(-0.8, 0.8, 0.7, 0.745, gold)


def _beam(easel: Easel, x: float, lean: float) -> None:
    foot = x + lean
    easel.polygon(
        [(x - 0.03, 1.8), (x + 0.03, 1.8), (foot + 0.3, 0.05), (foot - 0.3, 0.05)], rgb("fff0c8"), 0.13
    )


def _stand(easel: Easel, x: float, metal: Colour) -> None:
    """A music stand with a page on it."""
    easel.line([(x, 0.2), (x, 0.55)], 0.018, metal)
    for side in (-1, 1):
        easel.line([(x, 0.26), (x + side * 0.07, 0.18)], 0.016, metal)
    easel.polygon([(x - 0.11, 0.53), (x + 0.11, 0.53), (x + 0.1, 0.68), (x - 0.1, 0.68)], metal)
    easel.polygon([(x - 0.08, 0.55), (x + 0.08, 0.55), (x + 0.075, 0.67), (x - 0.075, 0.67)], rgb("d8d0bc"))
    for y in (0.58, 0.61, 0.64):
        easel.line([(x - 0.06, y), (x + 0.06, y)], 0.007, rgb("706858"))


def _boxes(easel: Easel, random: np.random.Generator, wall: Colour, gold: Colour, velvet: Colour) -> None:
    """Tiers of boxes in the walls beyond the curtains."""
    for side in (-1, 1):
        for k in range(9):
            x = side * (1.6 + 0.56 * k)
            easel.box(x - 0.035, x + 0.035, FAR, 9, dark(gold, 0.3))
            for tier in (0.55, 1.15, 1.75):
                middle = x + side * 0.28
                easel.box(middle - 0.22, middle + 0.22, tier + 0.14, tier + 0.46, dark(wall, 0.6))
                easel.ellipse(middle, tier + 0.42, 0.22, 0.1, dark(wall, 0.6))
                for seat in (-0.1, 0.1):
                    easel.ellipse(
                        middle + seat, tier + 0.19, 0.05, 0.07, dark(velvet, random.uniform(0.2, 0.5))
                    )
                easel.box(middle - 0.26, middle + 0.26, tier, tier + 0.15, dark(gold, 0.1))
                easel.box(middle - 0.2, middle + 0.2, tier + 0.04, tier + 0.11, velvet)


def _drape(easel: Easel, side: int, velvet: Colour, gold: Colour) -> None:
    """A heavy curtain that hangs in folds, gathered by a cord."""
    for k in range(8):
        top, waist, foot = STAGE + 0.075 * k, STAGE + 0.1 + 0.045 * k, STAGE + 0.02 + 0.07 * k
        paint = (light(velvet, 0.12), velvet, dark(velvet, 0.35), dark(velvet, 0.15))[k % 4]
        strip = [(top, 9.0), (top, 1.7), (waist, 0.7), (foot, 0.06)]
        other = [(foot + 0.075, 0.06), (waist + 0.05, 0.7), (top + 0.08, 1.7), (top + 0.08, 9.0)]
        easel.polygon([(side * x, y) for x, y in [*strip, *other]], paint)
    easel.line([(side * (STAGE + 0.09), 0.72), (side * (STAGE + 0.47), 0.68)], 0.05, gold)


def _valance(easel: Easel, velvet: Colour, gold: Colour) -> None:
    easel.box(-STAGE - 0.68, STAGE + 0.68, VALANCE + 0.06, 9.0, velvet)
    wide = 2 * (STAGE + 0.68) / 8
    for k in range(8):
        x = -STAGE - 0.68 + (k + 0.5) * wide
        easel.ellipse(x, VALANCE + 0.09, 0.52 * wide, 0.14, gold)
        easel.ellipse(x, VALANCE + 0.115, 0.5 * wide, 0.135, velvet)
        for fold in (-0.3, 0.0, 0.3):
            easel.line(
                [(x + fold * wide, 9.0), (x + 0.9 * fold * wide, VALANCE + 0.02)], 0.025, dark(velvet, 0.3)
            )


def _listener(easel: Easel, random: np.random.Generator, x: float) -> None:
    """The back of a head at the stage's edge."""
    if abs(x) > WIDE:
        return
    shade = chosen(random, ("181418", "241c1c", "2c2420"), 0.02)
    y = -0.235 + random.uniform(-0.02, 0.02)
    easel.ellipse(x, y, 0.055, 0.065, shade)
    easel.ellipse(x, y - 0.17, 0.11, 0.12, dark(shade, 0.2))
    easel.box(x - 0.11, x + 0.11, -3.0, y - 0.16, dark(shade, 0.2))
