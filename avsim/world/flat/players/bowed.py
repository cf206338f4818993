"""Violin, cello and erhu: a bow drawn to and fro over strings, turning at each note."""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from avsim.world.flat.canvas import Part, Pose, Sprite
from avsim.world.flat.paint import SPRITE_SCALE, Colour, Easel, Point, curve, dark, light, rgb, turned
from avsim.world.flat.players.figure import arm, draw_looks, head, seated, standing
from avsim.world.flat.players.motion import at_pitch, breath, strokes, trembling
from avsim.world.sound.phrases import Note

Array = np.ndarray
SHIRTS = ("3a6ea8", "2f8078", "e8e4dc", "4a5a9a", "88b0c8")  # cool or pale: wood stands out before them
WOODS = ("c8642a", "b84e22", "d8822e")
BLACK = rgb("1c1818")


def violin(notes: Sequence[Note], seconds: Array, random: np.random.Generator) -> tuple[Part, ...]:
    """Under the chin, its neck to the right and a little down; the bow crosses it, rising to the right."""
    looks = draw_looks(random, SHIRTS)
    wood = WOODS[int(random.integers(len(WOODS)))]
    chin, lean, rise = (0.06, 1.03), -0.22, 0.95
    way = strokes(notes, seconds, 0.14, 0.3)
    meet = turned([(0.23, 0.0)], lean, *chin)[0]  # where bow and strings meet
    frog_x, frog_y = _frog(meet, rise, 0.08 + way)
    finger = 0.6 - 0.14 * at_pitch(notes, seconds, "violin") + 0.012 * trembling(notes, seconds)
    left_hand = turned([(1.0, 0.0)], lean)[0]
    nod = 0.1 * breath(notes, seconds)
    return (
        standing(looks),
        *arm(
            looks, (0.15, 0.97), (chin[0] + finger * left_hand[0], chin[1] + finger * left_hand[1] - 0.03), 1
        ),
        head(looks, 1.03, 0.6, -0.1 - nod),
        Part(_fiddle(wood, 0.37, 0.66), Pose(*chin, lean)),
        Part(_bow(0.6), Pose(frog_x, frog_y, rise)),
        *arm(looks, (-0.16, 0.97), (frog_x, frog_y), 1),
    )


def cello(notes: Sequence[Note], seconds: Array, random: np.random.Generator) -> tuple[Part, ...]:
    """Between the knees of a seated player, neck up past the head; the bow lies level."""
    looks = draw_looks(random, SHIRTS)
    wood = WOODS[int(random.integers(len(WOODS)))]
    foot, lean, rise = (0.02, 0.08), math.pi / 2 - 0.1, 0.1
    way = strokes(notes, seconds, 0.15, 0.32)
    meet = turned([(0.3, 0.0)], lean, *foot)[0]
    frog_x, frog_y = _frog(meet, rise, 0.1 + way)
    finger = 1.0 - 0.26 * at_pitch(notes, seconds, "cello") + 0.014 * trembling(notes, seconds)
    sway = 0.07 * breath(notes, seconds)
    return (
        seated(looks, 0.27),
        head(looks, 0.89, -0.3, 0.08 + sway),
        Part(_big_fiddle(wood), Pose(*foot, lean)),
        *arm(
            looks,
            (0.16, 0.83),
            (foot[0] + finger * math.cos(lean) + 0.02, foot[1] + finger * math.sin(lean)),
            1,
        ),
        Part(_bow(0.54), Pose(frog_x, frog_y, rise)),
        *arm(looks, (-0.16, 0.83), (frog_x, frog_y), 1),
    )


def erhu(notes: Sequence[Note], seconds: Array, random: np.random.Generator) -> tuple[Part, ...]:
    """A small drum on the lap with a long thin neck; the bow lies level just above the drum."""
    looks = draw_looks(random, ("b02030", "e8e0d0", "3a6ea8", "2f8078"))
    wood = ("8a3018", "6a2414", "a04420")[int(random.integers(3))]
    drum, lean = (0.2, 0.49), math.pi / 2 - 0.05
    way = strokes(notes, seconds, 0.15, 0.28)
    frog_x, frog_y = _frog((0.205, 0.7), 0.06, 0.12 + way)
    finger = 0.62 - 0.24 * at_pitch(notes, seconds, "erhu") + 0.014 * trembling(notes, seconds)
    sway = 0.06 * breath(notes, seconds)
    return (
        seated(looks, 0.2),
        head(looks, 0.89, 0.3, 0.1 + sway),
        Part(_two_strings(wood), Pose(*drum, lean)),
        *arm(looks, (0.16, 0.83), (drum[0] + 0.05 * finger + 0.03, drum[1] + finger), 1),
        Part(_bow(0.5), Pose(frog_x, frog_y, 0.06)),
        *arm(looks, (-0.16, 0.83), (frog_x, frog_y), 1),
    )


def _frog(meet: Point, rise: float, past: Array) -> tuple[Array, Array]:
    """Where the hand holds a bow that touches the strings at `meet`, `past` metres along from the hand."""
    return meet[0] - past * math.cos(rise), meet[1] - past * math.sin(rise)


@lru_cache(maxsize=16)
def _bow(length: float) -> Sprite:
    """Along +x from the frog, stick above hair; pivot where the hand is."""
    easel = Easel(-0.1, length + 0.06, -0.08, 0.1, SPRITE_SCALE)
    easel.line([(-0.02, -0.012), (length - 0.01, -0.012)], 0.017, rgb("f6f2e6"))
    easel.line(
        curve([(-0.04, 0.03), (length / 2, 0.022), (length - 0.03, 0.03), (length, -0.012)]),
        0.02,
        rgb("6a2c14"),
    )
    easel.box(-0.03, 0.05, -0.018, 0.03, BLACK)
    return easel.sprite(outline=0.008, relief=0)


def _waisted(easel: Easel, length: float, wide: float, colour: Colour) -> None:
    """A violin's body along +x from 0, its lower bout first, with edge, f-holes and strings' bridge."""
    outline = [(0.0, 0.0), (0.03, 0.42), (0.2, 0.5), (0.36, 0.42), (0.47, 0.27), (0.58, 0.29), (0.68, 0.41)]
    outline += [(0.82, 0.42), (0.96, 0.26), (1.0, 0.06)]
    half = curve([(length * x, wide * y) for x, y in outline])
    easel.polygon([*half, *((x, -y) for x, y in reversed(half))], dark(colour, 0.35))
    inner = [(0.5 * length + (x - 0.5 * length) * 0.92, y * 0.86) for x, y in half]
    easel.polygon([*inner, *((x, -y) for x, y in reversed(inner))], colour)
    easel.ellipse(0.28 * length, 0.2 * wide, 0.1 * length, 0.06 * wide, light(colour, 0.35), 0.3, opacity=0.6)
    for side in (-1, 1):
        hole = [(0.36, 0.2), (0.4, 0.16), (0.5, 0.18), (0.54, 0.13)]
        easel.line(curve([(length * x, side * wide * y) for x, y in hole]), 0.035 * wide, BLACK)
    easel.line([(0.44 * length, -0.11 * wide), (0.44 * length, 0.11 * wide)], 0.03 * length, rgb("e8c890"))


def _neck(easel: Easel, body: float, length: float, wide: float, colour: Colour) -> None:
    """Tailpiece, fingerboard, pegs and scroll of something `length` long whose body ends at `body`."""
    easel.polygon(
        [(0.04 * body, -0.4 * wide), (0.3 * body, -wide), (0.3 * body, wide), (0.04 * body, 0.4 * wide)],
        BLACK,
    )
    easel.polygon(
        [(0.62 * body, -0.9 * wide), (length - 0.1, -0.6 * wide)]
        + [(length - 0.1, 0.6 * wide), (0.62 * body, 0.9 * wide)],
        BLACK,
    )
    easel.line([(length - 0.11, 0.0), (length - 0.02, 0.0)], 1.3 * wide, dark(colour, 0.25))
    for x, side in ((-0.085, 1), (-0.065, -1), (-0.045, 1), (-0.025, -1)):
        easel.line([(length + x, 0.0), (length + x, side * 2.2 * wide)], 0.5 * wide, BLACK)
    easel.ellipse(length, 0.0, wide, wide, dark(colour, 0.25))
    for string in (-0.3, 0.3):
        easel.line([(0.25 * body, string * wide), (length - 0.08, string * wide)], 0.004, rgb("e8e8e8"))


@lru_cache(maxsize=16)
def _fiddle(wood: str, body: float, length: float) -> Sprite:
    easel = Easel(-0.05, length + 0.06, -0.2, 0.2, SPRITE_SCALE)
    _waisted(easel, body, 0.29, rgb(wood))
    _neck(easel, body, length, 0.024, rgb(wood))
    return easel.sprite()


@lru_cache(maxsize=16)
def _big_fiddle(wood: str) -> Sprite:
    """Along +x from the spike's foot; the body begins 0.07 m up."""
    easel = Easel(-0.09, 1.3, -0.3, 0.3, SPRITE_SCALE)
    _waisted(easel, 0.68, 0.46, rgb(wood))
    _neck(easel, 0.68, 1.2, 0.028, rgb(wood))
    easel.line([(-0.08, 0.0), (0.0, 0.0)], 0.018, rgb("b8b8c0"))
    return easel.sprite()


@lru_cache(maxsize=16)
def _two_strings(wood: str) -> Sprite:
    """Along +x from the middle of the drum."""
    easel = Easel(-0.17, 0.96, -0.2, 0.2, SPRITE_SCALE)
    colour = rgb(wood)
    easel.line([(0.0, 0.0), (0.88, 0.0)], 0.036, colour)
    easel.line(curve([(0.82, 0.0), (0.88, 0.0), (0.9, -0.05)]), 0.045, light(colour, 0.15))
    for x in (0.64, 0.75):
        easel.line([(x, 0.02), (x, -0.15)], 0.036, light(colour, 0.2))
        easel.ellipse(x, -0.15, 0.03, 0.022, light(colour, 0.35))
    six = [(0.155 * math.cos(k * math.pi / 3), 0.155 * math.sin(k * math.pi / 3)) for k in range(6)]
    easel.polygon(six, light(colour, 0.12))
    easel.polygon([(0.8 * x, 0.8 * y) for x, y in six], rgb("e8e2c8"))
    scales = [(x, y) for x in (-0.065, 0.0, 0.065) for y in (-0.065, 0.0, 0.065)]
    for x, y in scales:
        easel.ellipse(x, y, 0.02, 0.02, rgb("a89c70"))
    easel.line([(0.02, -0.02), (0.02, 0.02)], 0.03, rgb("7a4420"))
    for y in (-0.022, 0.008):
        easel.line([(0.0, y * 0.4), (0.45, y), (0.72, y + 0.01)], 0.007, rgb("f4f4f4"))
    easel.line([(0.45, -0.02), (0.45, 0.02)], 0.016, rgb("d8c080"))
    return easel.sprite()
