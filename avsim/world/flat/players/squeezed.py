"""Accordion: bellows that open with one note and close with the next."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from avsim.world.flat.canvas import Part, Pose, Sprite
from avsim.world.flat.paint import SPRITE_SCALE, Easel, dark, light, rgb
from avsim.world.flat.players.figure import arm, draw_looks, head, standing
from avsim.world.flat.players.motion import at_pitch, breath, strokes
from avsim.world.sound.phrases import Note

Array = np.ndarray
SHIRTS = ("e8e4dc", "e0d8b0", "c8d8e0", "4a5a9a")
BOXES = ("c01828", "a01040", "1848a8", "107048")
FOLDED, PAINTED = 0.12, 0.3  # m, the bellows shut, and as wide as they are painted


def accordion(notes: Sequence[Note], seconds: Array, random: np.random.Generator) -> tuple[Part, ...]:
    """Before the chest: piano keys on the left, bellows, buttons on the right side, which moves."""
    looks = draw_looks(random, SHIRTS)
    colour = BOXES[int(random.integers(len(BOXES)))]
    wide = FOLDED + strokes(notes, seconds, 0.14, 0.3)
    left, y = -0.17, 0.74
    finger = 0.15 * (at_pitch(notes, seconds, "accordion") - 0.5)
    return (
        standing(looks),
        head(looks, 1.03, -0.3, 0.08 - 0.12 * breath(notes, seconds)),
        *arm(looks, (0.17, 0.97), (left + wide + 0.1, y), -1),
        Part(_bellows(colour), Pose(left, y, 0.0, wide / PAINTED)),
        Part(_keys(colour), Pose(left, y)),
        Part(_buttons(colour), Pose(left + wide, y)),
        *arm(looks, (-0.17, 0.97), (left - 0.13, y - finger), 1),
    )


@lru_cache(maxsize=16)
def _bellows(colour: str) -> Sprite:
    """To the right of its pivot, PAINTED metres wide."""
    easel = Easel(-0.03, PAINTED + 0.03, -0.26, 0.26, SPRITE_SCALE)
    folds = 8
    step = PAINTED / folds
    for k in range(folds):
        x = k * step
        for x0, x1, paint in ((x, x + step / 2, rgb("f4ead8")), (x + step / 2, x + step, rgb(colour))):
            up = (0.2, 0.225) if x0 == x else (0.225, 0.2)
            easel.polygon([(x0, -up[0]), (x1, -up[1]), (x1, up[1]), (x0, up[0])], paint)
        easel.line([(x + step / 2, -0.22), (x + step / 2, 0.22)], 0.009, dark(rgb(colour), 0.6))
    return easel.sprite(relief=0)


@lru_cache(maxsize=16)
def _keys(colour: str) -> Sprite:
    """The side of the right hand, to the left of its pivot: black and white keys in a column."""
    easel = Easel(-0.26, 0.03, -0.3, 0.3, SPRITE_SCALE)
    box = rgb(colour)
    easel.polygon([(-0.1, -0.25), (0.0, -0.25), (0.0, 0.25), (-0.1, 0.25)], box)
    easel.box(-0.03, -0.012, -0.24, 0.24, rgb("e8c860"))
    easel.box(-0.22, -0.09, -0.27, 0.27, dark(box, 0.2))
    easel.box(-0.215, -0.095, -0.26, 0.26, rgb("fbfaf4"))
    for k in range(1, 10):
        y = -0.26 + 0.052 * k
        easel.line([(-0.215, y), (-0.095, y)], 0.008, rgb("706c68"))
        if k % 7 not in (3, 0):
            easel.box(-0.165, -0.095, y - 0.014, y + 0.014, rgb("181414"))
    return easel.sprite()


@lru_cache(maxsize=16)
def _buttons(colour: str) -> Sprite:
    """The side of the left hand, to the right of its pivot."""
    easel = Easel(-0.03, 0.2, -0.28, 0.28, SPRITE_SCALE)
    box = rgb(colour)
    easel.box(0.0, 0.13, -0.25, 0.25, box)
    easel.box(0.0, 0.02, -0.24, 0.24, rgb("e8c860"))
    for row in range(3):
        for k in range(6):
            easel.ellipse(0.045 + 0.03 * row, -0.19 + 0.076 * k, 0.011, 0.011, light(box, 0.85))
    return easel.sprite()
