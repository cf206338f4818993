"""Flute, clarinet, saxophone, trumpet, tuba: lifted at each note, held up while it lasts, down in rests."""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from avsim.world.flat.canvas import Part, Pose, Sprite
from avsim.world.flat.paint import SPRITE_SCALE, Colour, Easel, Point, curve, dark, light, rgb
from avsim.world.flat.players.figure import Looks, arm, draw_looks, head, seated, standing
from avsim.world.flat.players.motion import at_pitch, lifts, trembling
from avsim.world.sound.phrases import Note

Array = np.ndarray
GOLD = rgb("f0b428")
SILVER = rgb("dfe6ee")
EBONY = rgb("26222a")
AGAINST_GOLD = ("3a5a9a", "2f6a70", "6a3a7a", "384880", "a83a3a")
AGAINST_SILVER = ("a83a3a", "6a3a7a", "384880", "2f6a50")
PALE = ("c8b898", "a8b0b8", "d0c8b8")
AGAINST_BLACK = ("f0e8d8", "e8d8a8", "c8e0e8", "f0c8c0")


def flute(notes: Sequence[Note], seconds: Array, random: np.random.Generator) -> tuple[Part, ...]:
    """Level at the mouth, far out to the left; its end rises."""
    looks = draw_looks(random, AGAINST_SILVER)
    angle = 0.34 - _lift(notes, seconds, 0.26)
    mouth = (0.02, 1.13)
    finger = 0.03 * at_pitch(notes, seconds, "flute")
    return (
        standing(looks),
        head(looks, 1.03, -0.3, 0.3 * (angle - 0.2), blowing=True),
        *_hold(looks, (0.17, 0.97), mouth, angle, (-0.16 - finger, -0.02), -1),
        Part(_flute(), Pose(*mouth, angle)),
        *_hold(looks, (-0.17, 0.97), mouth, angle, (-0.34 + finger, -0.03), -1),
    )


def clarinet(notes: Sequence[Note], seconds: Array, random: np.random.Generator) -> tuple[Part, ...]:
    """Black, straight down before a pale shirt; its bell swings out."""
    looks = draw_looks(random, AGAINST_BLACK, PALE)
    angle = -0.3 + _lift(notes, seconds, 0.25)
    mouth = (0.0, 1.13)
    finger = 0.03 * at_pitch(notes, seconds, "clarinet")
    return (
        standing(looks),
        head(looks, 1.03, 0.0, 0.2 * angle, blowing=True),
        Part(_clarinet(), Pose(*mouth, angle)),
        *_hold(looks, (0.17, 0.97), mouth, angle, (0.02, -0.22 - finger), -1),
        *_hold(looks, (-0.17, 0.97), mouth, angle, (-0.02, -0.36 + finger), 1),
    )


def saxophone(notes: Sequence[Note], seconds: Array, random: np.random.Generator) -> tuple[Part, ...]:
    """Golden, bent twice, its wide bell turned up; it swings from the mouth."""
    looks = draw_looks(random, AGAINST_GOLD)
    angle = -0.38 + _lift(notes, seconds, 0.24)
    mouth = (0.01, 1.13)
    finger = 0.03 * at_pitch(notes, seconds, "saxophone")
    return (
        standing(looks),
        head(looks, 1.03, 0.0, 0.2 * angle, blowing=True),
        Part(_saxophone(), Pose(*mouth, angle)),
        *_hold(looks, (0.17, 0.97), mouth, angle, (0.1, -0.2 - finger), -1),
        *_hold(looks, (-0.17, 0.97), mouth, angle, (0.06, -0.4 + finger), 1),
    )


def trumpet(notes: Sequence[Note], seconds: Array, random: np.random.Generator) -> tuple[Part, ...]:
    """Golden, straight out to the right from a face in half profile; its bell rises."""
    looks = draw_looks(random, AGAINST_GOLD)
    angle = -0.42 + _lift(notes, seconds, 0.27)
    mouth = (0.11, 1.13)
    finger = 0.025 * at_pitch(notes, seconds, "trumpet")
    return (
        standing(looks),
        head(looks, 1.03, 1.0, 0.35 * (angle + 0.1), blowing=True),
        *_hold(looks, (0.16, 0.97), mouth, angle, (0.2, -0.07), 1),
        Part(_trumpet(), Pose(*mouth, angle)),
        *_hold(looks, (-0.16, 0.97), mouth, angle, (0.24, 0.04 - finger), 1),
    )


def tuba(notes: Sequence[Note], seconds: Array, random: np.random.Generator) -> tuple[Part, ...]:
    """Huge and golden on a seated player's lap, its bell above the head; all of it rocks on the seat."""
    looks = draw_looks(random, AGAINST_GOLD)
    angle = -0.1 + _lift(notes, seconds, 0.15)
    seat = (0.06, 0.36)
    neck_x, neck_y = _point(seat, angle, (-0.16, 0.5))
    finger = 0.03 * at_pitch(notes, seconds, "tuba")
    return (
        seated(looks, 0.2),
        head(looks, neck_y, 0.6, 0.8 * angle, blowing=True, x=neck_x),
        Part(_tuba(), Pose(*seat, angle)),
        *_hold(looks, (0.17, 0.83), seat, angle, (0.2, 0.22), -1),
        *_hold(looks, (-0.17, 0.83), seat, angle, (-0.06, 0.3 - finger), 1),
    )


def _lift(notes: Sequence[Note], seconds: Array, step: float) -> Array:
    return lifts(notes, seconds, step) + 0.03 * trembling(notes, seconds)


def _point(pivot: Point, angle: Array, at: Point) -> tuple[Array, Array]:
    """Where a point of an instrument is, given from its pivot before it was turned."""
    cos, sin = np.cos(angle), np.sin(angle)
    return pivot[0] + cos * at[0] - sin * at[1], pivot[1] + sin * at[0] + cos * at[1]


def _hold(
    looks: Looks, shoulder: Point, pivot: Point, angle: Array, at: tuple, bend: float
) -> tuple[Part, ...]:
    return arm(looks, shoulder, _point(pivot, angle, at), bend)


def _tube(easel: Easel, points: Sequence[Point], start: float, end: float, colour: Colour) -> None:
    """A bent tube that widens evenly, with a streak of light along it."""
    path = curve(points)
    for k, (a, b) in enumerate(zip(path[:-1], path[1:], strict=True)):
        easel.line([a, b], start + (end - start) * k / len(path) + 0.012, dark(colour, 0.4))
    for k, (a, b) in enumerate(zip(path[:-1], path[1:], strict=True)):
        easel.line([a, b], start + (end - start) * k / len(path), colour)
    easel.line([(x - 0.15 * start, y + 0.15 * start) for x, y in path], 0.25 * start, light(colour, 0.6))


def _bell(
    easel: Easel, at: Point, towards: float, wide: float, deep: float, neck: float, colour: Colour
) -> None:
    """A flare that opens in the direction `towards` (radians), its mouth seen from a little before it."""
    cos, sin = math.cos(towards), math.sin(towards)

    def to(along: float, across: float) -> Point:
        return at[0] + along * cos - across * sin, at[1] + along * sin + across * cos

    half = [(0.0, neck / 2), (0.45 * deep, 0.65 * neck), (0.8 * deep, 0.6 * wide), (deep, wide)]
    side = curve(half)
    easel.polygon([to(x, y) for x, y in side] + [to(x, -y) for x, y in reversed(side)], colour)
    easel.line([to(x, 0.35 * y) for x, y in side], 0.12 * neck, light(colour, 0.6))
    easel.ellipse(*to(deep, 0.0), 0.3 * wide, 1.06 * wide, dark(colour, 0.1), towards)
    easel.ellipse(*to(deep, 0.0), 0.2 * wide, 0.88 * wide, dark(colour, 0.62), towards)


@lru_cache(maxsize=2)
def _flute() -> Sprite:
    easel = Easel(-0.6, 0.13, -0.07, 0.08, SPRITE_SCALE)
    easel.line([(-0.54, 0.0), (0.08, 0.0)], 0.048, dark(SILVER, 0.3))
    easel.line([(-0.54, 0.003), (0.08, 0.004)], 0.034, SILVER)
    easel.line([(-0.54, 0.008), (0.08, 0.012)], 0.009, (1.0, 1.0, 1.0))
    easel.ellipse(0.0, 0.004, 0.045, 0.03, SILVER)
    easel.ellipse(0.0, 0.01, 0.014, 0.008, rgb("303038"))
    for k in range(9):
        easel.ellipse(-0.12 - 0.042 * k, 0.016, 0.019, 0.018, dark(SILVER, 0.45))
        easel.ellipse(-0.12 - 0.042 * k, 0.018, 0.014, 0.013, light(SILVER, 0.6))
    return easel.sprite(outline=0.01)


@lru_cache(maxsize=2)
def _clarinet() -> Sprite:
    easel = Easel(-0.16, 0.16, -0.8, 0.05, SPRITE_SCALE)
    easel.polygon([(-0.012, 0.02), (0.012, 0.02), (0.03, -0.08), (-0.03, -0.08)], EBONY)
    easel.line([(0.0, -0.08), (0.0, -0.58)], 0.06, EBONY)
    _bell(easel, (0.0, -0.56), -math.pi / 2, 0.105, 0.15, 0.06, EBONY)
    for y in (-0.09, -0.3, -0.56):
        easel.line([(-0.03, y), (0.03, y)], 0.02, SILVER)
    for k in range(8):
        y = -0.14 - 0.05 * k
        easel.ellipse(0.004 * (-1) ** k, y, 0.017, 0.017, SILVER)
    easel.line([(0.04, -0.34), (0.04, -0.52)], 0.01, SILVER)
    easel.line([(-0.04, -0.14), (-0.04, -0.26)], 0.01, SILVER)
    easel.line([(-0.018, -0.1), (-0.018, -0.55)], 0.008, rgb("5a5662"))
    return easel.sprite(outline=0.01, relief=0.2)


@lru_cache(maxsize=2)
def _saxophone() -> Sprite:
    easel = Easel(-0.08, 0.5, -0.78, 0.12, SPRITE_SCALE)
    easel.line([(-0.02, -0.005), (0.03, 0.02)], 0.03, EBONY)
    _tube(easel, [(0.03, 0.02), (0.08, 0.035), (0.115, 0.0), (0.12, -0.06)], 0.028, 0.036, GOLD)
    _tube(easel, [(0.12, -0.05), (0.13, -0.25), (0.14, -0.5)], 0.045, 0.08, GOLD)
    _tube(
        easel, [(0.14, -0.48), (0.155, -0.61), (0.225, -0.67), (0.29, -0.6), (0.3, -0.5)], 0.085, 0.11, GOLD
    )
    _bell(easel, (0.3, -0.53), math.pi / 2 - 0.25, 0.15, 0.3, 0.12, GOLD)
    for k in range(6):
        y = -0.12 - 0.065 * k
        easel.ellipse(0.125 + 0.003 * k, y, 0.022, 0.022, dark(GOLD, 0.45))
        easel.ellipse(0.125 + 0.003 * k, y, 0.015, 0.015, rgb("fff6e0"))
    easel.line([(0.2, -0.25), (0.205, -0.45)], 0.014, dark(GOLD, 0.3))
    return easel.sprite()


@lru_cache(maxsize=2)
def _trumpet() -> Sprite:
    easel = Easel(-0.04, 0.66, -0.19, 0.22, SPRITE_SCALE)
    easel.line([(0.0, 0.0), (0.02, 0.0)], 0.04, SILVER)
    loop = [
        (0.14, 0.035),
        (0.1, -0.01),
        (0.13, -0.075),
        (0.36, -0.075),
        (0.4, -0.03),
        (0.36, 0.0),
        (0.03, 0.0),
    ]
    _tube(easel, loop, 0.026, 0.026, GOLD)
    _tube(easel, [(0.13, 0.035), (0.3, 0.038), (0.44, 0.035)], 0.026, 0.04, GOLD)
    _bell(easel, (0.38, 0.035), 0.0, 0.14, 0.19, 0.045, GOLD)
    for k in range(3):
        x = 0.19 + 0.05 * k
        easel.line([(x, -0.1), (x, 0.07)], 0.038, dark(GOLD, 0.35))
        easel.line([(x, -0.1), (x, 0.07)], 0.026, light(GOLD, 0.35))
        easel.line([(x, 0.08), (x, 0.105)], 0.014, SILVER)
        easel.ellipse(x, 0.11, 0.018, 0.01, (1.0, 1.0, 1.0))
    return easel.sprite()


@lru_cache(maxsize=2)
def _tuba() -> Sprite:
    """Pivot at its lowest bend."""
    easel = Easel(-0.34, 0.46, -0.12, 1.2, SPRITE_SCALE)
    _tube(
        easel,
        [(-0.2, 0.3), (-0.2, 0.1), (-0.06, -0.01), (0.1, 0.06), (0.12, 0.3)],
        0.11,
        0.13,
        dark(GOLD, 0.1),
    )
    _tube(
        easel,
        [(-0.18, 0.28), (-0.19, 0.5), (-0.06, 0.56), (0.05, 0.46), (0.04, 0.2)],
        0.07,
        0.09,
        dark(GOLD, 0.1),
    )
    _tube(easel, [(-0.08, 0.65), (0.06, 0.62), (0.16, 0.5), (0.12, 0.34)], 0.03, 0.05, GOLD)
    _tube(
        easel,
        [(-0.2, 0.25), (-0.16, 0.02), (0.05, -0.03), (0.2, 0.1), (0.22, 0.4), (0.22, 0.75)],
        0.12,
        0.17,
        GOLD,
    )
    _bell(easel, (0.22, 0.72), math.pi / 2, 0.2, 0.38, 0.17, GOLD)
    for k in range(4):
        x = -0.1 + 0.05 * k
        easel.line([(x, 0.14), (x, 0.34)], 0.036, dark(GOLD, 0.4))
        easel.line([(x, 0.14), (x, 0.34)], 0.022, light(GOLD, 0.5))
        easel.ellipse(x, 0.37, 0.018, 0.012, (1.0, 1.0, 1.0))
    return easel.sprite()
