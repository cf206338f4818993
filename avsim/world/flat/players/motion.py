"""Notes -> how far something has moved, in metres or radians, at any times.

What makes a note starts to move at the note's start, fast enough to be seen in the next frame, and is still
in rests; only a mallet moves before its note, since it has to fall.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avsim.world.sound.phrases import RANGES, Note

Array = np.ndarray
ATTACK = 0.1  # s that the quick part of every motion takes


@dataclass(frozen=True)
class Move:
    """To a place, from wherever one is: sets off at once and slows down towards the end."""

    start: float  # s
    length: float  # s
    target: float


def follow(moves: Sequence[Move], first: float, seconds: Array) -> Array:
    """Where something that starts at `first` is at times (T,); a later move cuts off an earlier one."""
    place = np.full(len(seconds), first, np.float64)
    here = first
    for k, move in enumerate(moves):
        after = seconds >= move.start
        place[after] = (here + (move.target - here) * eased((seconds - move.start) / move.length))[after]
        if k + 1 < len(moves):
            here += (move.target - here) * float(eased((moves[k + 1].start - move.start) / move.length))
    return place


def eased(share: Array | float) -> Array:
    """0 to 1 for 0 to 1: sin(pi/2 u)."""
    return np.sin(0.5 * math.pi * np.clip(share, 0, 1))


def ends(notes: Sequence[Note]) -> list[float]:
    """When each note ends, s, or is cut off by the next."""
    stops = [note.seconds + note.duration for note in notes]
    return [min(stop, after.seconds) for stop, after in zip(stops, notes[1:], strict=False)] + stops[-1:]


def strokes(notes: Sequence[Note], seconds: Array, least: float, most: float) -> Array:
    """To and fro in [0, most], reversed at each note; `least` at once, more while the note lasts.

    Long and loud notes take more. Since each stroke turns back, it has at least the last one's way to go.
    """
    moves, here, sign = [], 0.0, 1.0
    for note, end in zip(notes, ends(notes), strict=True):
        lasting = end - note.seconds
        way = least + (most - least) * min(1.0, lasting * (0.4 + 0.8 * note.loudness))
        moves.append(Move(note.seconds, ATTACK, here + sign * least))
        if lasting > 1.5 * ATTACK:
            here = min(max(here + sign * way, 0.0), most)
            moves.append(Move(note.seconds + ATTACK, lasting - ATTACK, here))
        else:
            here += sign * least
        sign = -sign
    return follow(moves, 0.0, seconds)


def lifts(notes: Sequence[Note], seconds: Array, step: float) -> Array:
    """Up by one `step` or two in turn, a little more when loud; down to 0 in the rests."""
    moves = []
    for k, (note, end) in enumerate(zip(notes, ends(notes), strict=True)):
        level = step * (1 + k % 2) * (1 + 0.15 * note.loudness)
        moves.append(Move(note.seconds, ATTACK, level + 0.15 * step * (k % 2)))
        if k + 1 == len(notes) or notes[k + 1].seconds - end > 0.25:
            moves.append(Move(end, 0.2, 0.0))
    return follow(moves, 0.0, seconds)


def at_pitch(notes: Sequence[Note], seconds: Array, instrument: str) -> Array:
    """From 0 for the instrument's lowest pitch to 1 for its highest: the one being played, or played last."""
    low, high = RANGES[instrument]
    places = [min(max((note.pitch - low) / (high - low), 0.0), 1.0) for note in notes]
    moves = [Move(note.seconds, 0.06, place) for note, place in zip(notes, places, strict=True)]
    return follow(moves, places[0] if places else 0.5, seconds)


def trembling(notes: Sequence[Note], seconds: Array) -> Array:
    """A vibrato of 5.5 Hz in [-1, 1] while notes with vibrato last."""
    swing = np.zeros(len(seconds))
    for note, end in zip(notes, ends(notes), strict=True):
        since = seconds - note.seconds
        on = (since >= 0) & (seconds < end)
        swing[on] = (note.vibrato * np.sin(2 * math.pi * 5.5 * since))[on]
    return swing


def breath(notes: Sequence[Note], seconds: Array) -> Array:
    """From 0 to 1: 1 while a note lasts."""
    moves = []
    for k, (note, end) in enumerate(zip(notes, ends(notes), strict=True)):
        moves.append(Move(note.seconds, 0.08, 1.0))
        if k + 1 == len(notes) or notes[k + 1].seconds > end + 0.02:
            moves.append(Move(end, 0.08, 0.0))
    return follow(moves, 0.0, seconds)
