"""Xylophone: a mallet falls and is lowest, on the note's own bar, at the very time of the note."""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from avsim.world.flat.canvas import Part, Pose, Sprite
from avsim.world.flat.paint import SPRITE_SCALE, Colour, Easel, dark, light, mix, rgb
from avsim.world.flat.players.figure import arm, draw_looks, head, standing
from avsim.world.flat.players.motion import Move, follow
from avsim.world.sound.phrases import RANGES, Note

Array = np.ndarray
SHIRTS = ("e8e4dc", "3a6ea8", "4a5a9a", "c8d8e0")
RAINBOW = ("d02828", "f07818", "f4cc20", "50b030", "18a0a8", "2860c8", "7838b0")
BARS = 12
LOW, HIGH = RANGES["xylophone"]  # MIDI
STRUCK_Y, HELD = 0.54, 0.17  # m, where bars are struck, and how far above them a mallet waits
STICK = 0.17  # m, how far above its head a mallet is held
FALL, REBOUND = 0.09, 0.12  # s


def xylophone(notes: Sequence[Note], seconds: Array, random: np.random.Generator) -> tuple[Part, ...]:
    """A table of bars before the player, low ones on the left, and two mallets."""
    looks = draw_looks(random, SHIRTS)
    colours = bool(random.random() < 0.7)
    parts = [standing(looks), head(looks, 1.03, 0.0), Part(_table(colours), Pose(0.0, STRUCK_Y))]
    uppers, fronts = [], []
    sides = _hands(notes)
    for side in (-1, 1):
        mine = [note for note, hand in zip(notes, sides, strict=True) if hand == side]
        x, y = _mallet(mine, seconds, side)
        hand_x, hand_y = 0.5 * x + side * 0.12, y + STICK
        upper, fore = arm(looks, (side * 0.17, 0.97), (hand_x, hand_y), -side)
        uppers.append(upper)
        across = hand_x - x
        stick = Pose(x, y, -np.arctan2(across, STICK), 1.0, np.hypot(across, STICK) / STICK)
        fronts += [Part(_stick(), stick), fore]
    return (*parts, *uppers, *fronts)


def bar_x(pitch: int) -> float:
    """Where the bar of a pitch is, m from the player's middle."""
    return -0.4 + 0.8 * bar_of(pitch) / (BARS - 1)


def bar_of(pitch: int) -> int:
    """Which of the bars, counted from the left."""
    share = (min(max(pitch, LOW), HIGH) - LOW) / (HIGH - LOW)
    return round(share * (BARS - 1))


def _hands(notes: Sequence[Note]) -> list[int]:
    """Which mallet strikes each note: right (1) going up, left (-1) going down, so that they never cross."""
    rises = [after.pitch - note.pitch for note, after in zip(notes, notes[1:], strict=False)]
    sides = [1]
    for rise in rises:
        sides.append(-sides[-1] if rise == 0 else 1 if rise > 0 else -1)
    return sides[: len(notes)]


def _mallet(notes: Sequence[Note], seconds: Array, side: int) -> tuple[Array, Array]:
    """Where a mallet's head is: it waits in the air, goes over to the next bar, falls, rebounds and waits."""
    y = np.full(len(seconds), STRUCK_Y + HELD)
    moves = []
    ready = -math.inf  # s, since when it is free
    for note in notes:
        leave = max(ready, note.seconds - 0.25)
        over = max(note.seconds - FALL / 2 - leave, 1e-3)
        moves.append(Move(leave, over, bar_x(note.pitch)))
        since = seconds - note.seconds
        high = HELD * (1 + 0.4 * note.loudness)
        raised = since >= -0.25
        y[raised] += (high - HELD) * eased_in((since + 0.25) / 0.1)[raised]
        fall, back = (since >= -FALL) & (since < 0), since >= 0
        y[fall] = STRUCK_Y + high * (1 - (1 + since[fall] / FALL) ** 2)
        y[back] = STRUCK_Y + HELD * np.sin(0.5 * math.pi * np.clip(since[back] / REBOUND, 0, 1))
        ready = note.seconds + REBOUND / 2
    return follow(moves, side * 0.15, seconds), y


def eased_in(share: Array) -> Array:
    """0 to 1 for 0 to 1, slow at both ends."""
    u = np.clip(share, 0, 1)
    return u * u * (3 - 2 * u)


@lru_cache(maxsize=4)
def _stick() -> Sprite:
    """Upwards from its head, which is the pivot."""
    easel = Easel(-0.09, 0.09, -0.09, 0.2, SPRITE_SCALE)
    easel.line([(0.0, 0.0), (0.0, STICK)], 0.02, rgb("f0e0c0"))
    easel.ellipse(0.0, 0.0, 0.05, 0.05, rgb("f8f4ec"))
    easel.ellipse(0.0, 0.0, 0.042, 0.042, rgb("e02848"))
    return easel.sprite()


@lru_cache(maxsize=4)
def _table(rainbow: bool) -> Sprite:
    """Bars on a frame with legs; pivot in the middle of the bars."""
    easel = Easel(-0.5, 0.5, -0.68, 0.26, SPRITE_SCALE)
    frame = rgb("5a3a24")
    for side in (-1, 1):
        easel.line([(side * 0.38, -0.1), (side * 0.41, -0.5)], 0.035, frame)
    easel.line([(-0.39, -0.38), (0.39, -0.38)], 0.025, frame)
    for k in range(BARS):
        x = -0.4 + 0.8 * k / (BARS - 1)
        easel.box(x - 0.018, x + 0.018, -0.36 + 0.016 * k, -0.1, mix(rgb("c8ccd0"), rgb("808890"), k % 2))
    for side in (-1, 1):
        easel.line([(-0.45, side * 0.13), (0.45, side * 0.07)], 0.035, frame)
    for k in range(BARS):
        x, half = -0.4 + 0.8 * k / (BARS - 1), 0.205 - 0.0085 * k
        paint = _bar_colour(k, rainbow)
        easel.box(x - 0.032, x + 0.032, -half, half, dark(paint, 0.45))
        easel.box(x - 0.026, x + 0.026, -half + 0.006, half - 0.006, paint)
        easel.box(x - 0.018, x - 0.006, -half + 0.03, half - 0.03, light(paint, 0.5))
        for side in (-1, 1):
            easel.ellipse(x, side * (0.13 - 0.005 * k), 0.008, 0.008, dark(paint, 0.7))
    return easel.sprite()


def _bar_colour(k: int, rainbow: bool) -> Colour:
    if rainbow:
        return rgb(RAINBOW[k % len(RAINBOW)])
    return mix(rgb("a04818"), rgb("e08838"), (k % 2) * 0.6 + 0.3 * k / BARS)
