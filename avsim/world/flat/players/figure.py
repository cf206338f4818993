"""A player's figure: body, head and arms, painted once for each appearance and posed by joints.

Coordinates are the player's own: metres, from between the feet, for a player 1.5 m tall.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from avsim.world.flat.canvas import Part, Pose, Sprite
from avsim.world.flat.paint import SPRITE_SCALE, Colour, Easel, curve, dark, light, mix, rgb

Array = np.ndarray
LIMB = 0.27  # m, an upper arm, and a forearm to the middle of the hand
FACES = (  # skin, hair, style: few enough to keep every head that was painted
    *(
        ("f6d3b8", hair, style)
        for hair, style in (("9a5a28", "short"), ("a03c20", "long"), ("2a1c18", "bun"))
    ),
    *(
        ("f0c8a0", hair, style)
        for hair, style in (("5a3820", "curly"), ("b8b4b0", "short"), ("5a3820", "bun"))
    ),
    *(
        ("e0b088", hair, style)
        for hair, style in (("2a1c18", "long"), ("2a1c18", "short"), ("5a3820", "long"))
    ),
    *(
        ("b8804c", hair, style)
        for hair, style in (("2a1c18", "curly"), ("2a1c18", "bun"), ("e0dcd4", "short"))
    ),
    *(
        ("7a4a2a", hair, style)
        for hair, style in (("1c1414", "curly"), ("e0dcd4", "curly"), ("1c1414", "long"))
    ),
    *(("583420", hair, style) for hair, style in (("d8b060", "bun"), ("c8c4bc", "short"), ("140e0e", "bun"))),
)
TROUSERS = ("2c3040", "4a4038", "5a6070")


@dataclass(frozen=True)
class Looks:
    """What one player is painted with."""

    skin: str
    hair: str
    style: str
    shirt: str
    trousers: str


def draw_looks(
    random: np.random.Generator, shirts: Sequence[str], trousers: Sequence[str] = TROUSERS
) -> Looks:
    """Random looks, in these clothes: the instrument must stand out before them."""
    skin, hair, style = FACES[int(random.integers(len(FACES)))]
    k = int(random.integers(len(shirts)))
    return Looks(skin, hair, style, shirts[k], trousers[k % len(trousers)])


def standing(looks: Looks) -> Part:
    """Legs and trunk; shoulders at (±0.16, 0.98)."""
    return Part(_standing(looks.shirt, looks.trousers), Pose(0.0, 0.0))


def seated(looks: Looks, apart: float = 0.2) -> Part:
    """On a stool with the knees `apart`, 0.14 m lower than standing; shoulders at (±0.16, 0.84)."""
    return Part(_seated(looks.shirt, looks.trousers, apart), Pose(0.0, 0.0))


def head(
    looks: Looks,
    y: float | Array,
    turn: float,
    angle: Array | float = 0.0,
    blowing: bool = False,
    x: float | Array = 0.0,
) -> Part:
    """A head on the neck's joint at (x, y), its face turned from -1 (left in the frame) to 1 (right)."""
    return Part(_head(looks.skin, looks.hair, looks.style, turn, blowing), Pose(x, y, angle))


def arm(looks: Looks, shoulder: tuple[float, float], hand: tuple, bend: float) -> tuple[Part, Part]:
    """Upper arm and forearm from a shoulder to where the hand is, x and y (T,) or numbers.

    The elbow is to the right of the line from shoulder to hand for `bend` = 1 and to its left for -1. Out of
    reach, an arm grows longer.
    """
    dx, dy = np.broadcast_arrays(np.asarray(hand[0]) - shoulder[0], np.asarray(hand[1]) - shoulder[1])
    far = np.maximum(np.hypot(dx, dy), 1e-6)
    stretch = np.maximum(1.0, far / (1.98 * LIMB))
    aim = np.arctan2(dy, dx)
    raised = np.arccos(np.clip(far / (2 * LIMB * stretch), 0, 1))
    upper, fore = aim - bend * raised, aim + bend * raised
    elbow_x = shoulder[0] + LIMB * stretch * np.cos(upper)
    elbow_y = shoulder[1] + LIMB * stretch * np.sin(upper)
    return (
        Part(_limb(looks.shirt, ""), Pose(shoulder[0], shoulder[1], upper, stretch)),
        Part(_limb(looks.shirt, looks.skin), Pose(elbow_x, elbow_y, fore, stretch)),
    )


@lru_cache(maxsize=256)
def _limb(sleeve: str, hand: str) -> Sprite:
    easel = Easel(-0.1, LIMB + 0.12, -0.1, 0.1, SPRITE_SCALE)
    cloth = rgb(sleeve)
    if hand:
        easel.ellipse(LIMB + 0.005, 0.0, 0.058, 0.05, rgb(hand))
        easel.line([(0.0, 0.0), (LIMB - 0.06, 0.0)], 0.085, cloth)
        easel.line([(LIMB - 0.06, -0.035), (LIMB - 0.06, 0.035)], 0.03, dark(cloth, 0.2))
    else:
        easel.line([(0.0, 0.0), (LIMB, 0.0)], 0.1, cloth)
    return easel.sprite()


def _trunk(easel: Easel, cloth: Colour, hips: float) -> None:
    """From the hips' height up 0.52 m to where the neck begins."""
    top = hips + 0.52
    side = curve(
        [(0.13, hips), (0.15, hips + 0.2), (0.2, hips + 0.42), (0.17, top - 0.02), (0.06, top + 0.01)]
    )
    easel.polygon([*side, *((-x, y) for x, y in reversed(side))], cloth)
    easel.line(curve([(-0.07, top), (0.0, top - 0.06), (0.07, top)]), 0.022, dark(cloth, 0.3))
    easel.line([(0.0, top - 0.07), (0.0, hips + 0.02)], 0.01, dark(cloth, 0.2))


@lru_cache(maxsize=64)
def _standing(shirt: str, trousers: str) -> Sprite:
    easel = Easel(-0.26, 0.26, -0.05, 1.15, SPRITE_SCALE)
    legs = rgb(trousers)
    for side in (-1, 1):
        easel.line([(side * 0.075, 0.5), (side * 0.09, 0.07)], 0.13, legs)
        easel.ellipse(side * 0.105, 0.035, 0.085, 0.035, dark(legs, 0.6))
    _trunk(easel, rgb(shirt), 0.5)
    return easel.sprite()


@lru_cache(maxsize=64)
def _seated(shirt: str, trousers: str, apart: float) -> Sprite:
    easel = Easel(-0.42, 0.42, -0.05, 1.02, SPRITE_SCALE)
    legs, wood = rgb(trousers), rgb("6a4a30")
    for side in (-1, 1):
        easel.line([(side * 0.13, 0.34), (side * 0.17, 0.02)], 0.03, wood)
    easel.box(-0.2, 0.2, 0.33, 0.38, light(wood, 0.15))
    for side in (-1, 1):
        knee = side * apart
        easel.line([(knee, 0.36), (knee + side * 0.02, 0.07)], 0.11, dark(legs, 0.15))
        easel.line([(side * 0.07, 0.4), (knee, 0.37)], 0.15, legs)
        easel.ellipse(knee + side * 0.035, 0.035, 0.085, 0.035, dark(legs, 0.6))
    _trunk(easel, rgb(shirt), 0.37)
    return easel.sprite()


@lru_cache(maxsize=256)
def _head(skin_code: str, hair_code: str, style: str, turn: float, blowing: bool) -> Sprite:
    """Pivot at the neck; the face's middle is 0.2 m above it."""
    easel = Easel(-0.3, 0.3, -0.12, 0.52, SPRITE_SCALE)
    skin, hair, y = rgb(skin_code), rgb(hair_code), 0.2
    if style == "long":
        easel.polygon(
            curve([(-0.17, -0.03), (-0.2, 0.2), (0.0, 0.4), (0.2, 0.2), (0.17, -0.03)]), dark(hair, 0.15)
        )
    easel.line([(0.0, -0.02), (0.0, 0.08)], 0.1, dark(skin, 0.12))
    if style == "bun":
        easel.ellipse(-0.06 * turn, 0.41, 0.075, 0.07, hair)
    if style == "curly":
        for k in range(9):
            bend = np.pi * (k / 8 * 1.3 - 0.15)
            easel.ellipse(0.155 * np.cos(bend), 0.23 + 0.15 * np.sin(bend), 0.065, 0.065, hair)
    easel.ellipse(0.0, y, 0.16, 0.175, skin)
    for side in (-1, 1):
        if side * turn < 0.5:
            easel.ellipse(side * 0.158 - 0.03 * turn, y - 0.01, 0.028, 0.042, dark(skin, 0.08))
    parting = 0.07 * turn - 0.05
    fringe = [
        (-0.168, 0.17),
        (-0.155, 0.3),
        (-0.08, 0.385),
        (0.02, 0.4),
        (0.11, 0.375),
        (0.155, 0.3),
        (0.168, 0.17),
    ]
    fringe += [
        (0.142, 0.25),
        (0.1 + 0.02 * turn, 0.3),
        (parting, 0.345),
        (-0.125 + 0.02 * turn, 0.3),
        (-0.145, 0.25),
    ]
    easel.polygon(curve([*fringe, fringe[0]]), hair)
    for x in (0.0, 0.05, 0.1):
        easel.line(curve([(parting, 0.35), (x, 0.372), (x + 0.045, 0.345)]), 0.008, dark(hair, 0.3))
    middle = 0.075 * turn
    for side in (-1, 1):
        x = middle + side * 0.06 * (1 - 0.2 * abs(turn))
        easel.ellipse(x, y + 0.015, 0.018, 0.024, (0.08, 0.06, 0.08))
        easel.ellipse(x - 0.006, y + 0.023, 0.006, 0.007, (1.0, 1.0, 1.0))
        easel.line([(x - 0.025, y + 0.06), (x + 0.025, y + 0.06)], 0.012, dark(hair, 0.2))
        easel.ellipse(
            middle + side * 0.095, y - 0.055, 0.03, 0.022, mix(skin, rgb("e06050"), 0.5), opacity=0.6
        )
    easel.line(
        curve([(middle + 0.01 * turn, y), (middle + 0.025 * turn, y - 0.04), (middle, y - 0.045)]),
        0.012,
        dark(skin, 0.3),
    )
    if blowing:
        easel.ellipse(middle + 0.02 * turn, y - 0.09, 0.022, 0.02, dark(mix(skin, rgb("c04040"), 0.5), 0.3))
    else:
        smile = [(middle - 0.04, y - 0.08), (middle, y - 0.1), (middle + 0.04, y - 0.08)]
        easel.line(curve(smile), 0.014, dark(mix(skin, rgb("c04040"), 0.5), 0.3))
    return easel.sprite()
