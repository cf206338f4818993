"""Acoustic guitar: a hand that sweeps across the strings at each note, down and up in turn."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from avsim.world.flat.canvas import Part, Pose, Sprite
from avsim.world.flat.paint import SPRITE_SCALE, Easel, curve, dark, light, rgb, turned
from avsim.world.flat.players.figure import arm, draw_looks, head, standing
from avsim.world.flat.players.motion import at_pitch, breath, strokes, trembling
from avsim.world.sound.phrases import Note

Array = np.ndarray
SHIRTS = ("3a6ea8", "2f8078", "4a5a9a", "7a3a6a", "a83a3a")
WOODS = ("e8b870", "dca050", "eccc90")


def guitar(notes: Sequence[Note], seconds: Array, random: np.random.Generator) -> tuple[Part, ...]:
    """Across the belly, its neck to the upper right."""
    looks = draw_looks(random, SHIRTS)
    wood = WOODS[int(random.integers(len(WOODS)))]
    hole, lean = (-0.06, 0.67), 0.3
    way = strokes(notes, seconds, 0.18, 0.18)
    across = turned([(0.0, 1.0)], lean)[0]
    pick_x, pick_y = (hole[0] - 0.04 + (0.1 - way) * across[0], hole[1] + (0.1 - way) * across[1])
    finger = 0.4 - 0.18 * at_pitch(notes, seconds, "acoustic guitar") + 0.012 * trembling(notes, seconds)
    along = turned([(1.0, 0.0)], lean)[0]
    return (
        standing(looks),
        head(looks, 1.03, 0.3, 0.1 * breath(notes, seconds) - 0.05),
        Part(_guitar(wood), Pose(*hole, lean)),
        *arm(looks, (0.16, 0.97), (hole[0] + finger * along[0], hole[1] + finger * along[1] - 0.02), -1),
        *arm(looks, (-0.17, 0.97), (pick_x, pick_y), 1),
    )


@lru_cache(maxsize=16)
def _guitar(wood: str) -> Sprite:
    """Its neck along +x; pivot in the middle of the sound hole."""
    easel = Easel(-0.42, 0.56, -0.28, 0.28, SPRITE_SCALE)
    colour = rgb(wood)
    half = [(-0.31, 0.0), (-0.3, 0.12), (-0.2, 0.205), (-0.08, 0.17), (-0.02, 0.135), (0.06, 0.155)]
    half = [(1.2 * x, 1.2 * y) for x, y in curve([*half, (0.13, 0.12), (0.15, 0.0)])]
    easel.polygon([*half, *((x, -y) for x, y in reversed(half))], dark(colour, 0.55))
    inner = [(-0.08 + (x + 0.08) * 0.93, y * 0.91) for x, y in half]
    easel.polygon([*inner, *((x, -y) for x, y in reversed(inner))], colour)
    easel.ellipse(-0.22, 0.12, 0.08, 0.04, light(colour, 0.5), 0.3, opacity=0.6)
    easel.ellipse(0.0, 0.0, 0.095, 0.095, rgb("7a3c14"))
    easel.ellipse(0.0, 0.0, 0.076, 0.076, rgb("180e08"))
    easel.box(-0.24, -0.2, -0.1, 0.1, rgb("40200c"))
    easel.box(0.06, 0.42, -0.03, 0.03, rgb("40200c"))
    for fret in range(8):
        x = 0.18 + 0.32 * (1 - 0.5 ** (fret / 5))
        easel.line([(x, -0.027), (x, 0.027)], 0.006, rgb("d8d0b8"))
    easel.polygon([(0.41, -0.033), (0.52, -0.045), (0.52, 0.045), (0.41, 0.033)], dark(colour, 0.35))
    for x in (0.43, 0.465, 0.5):
        for side in (-1, 1):
            easel.ellipse(x, side * 0.056, 0.013, 0.013, rgb("f0ece0"))
    for string in (-0.018, -0.006, 0.006, 0.018):
        easel.line([(-0.21, string), (0.43, string)], 0.004, rgb("f4f0e8"))
    return easel.sprite()
