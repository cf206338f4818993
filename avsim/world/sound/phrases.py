"""What a player plays: a random phrase as notes, of instruments with their ranges and held-out pitch classes.

A phrase is a scale, a melody or held notes, in a key, within about an octave and a half of the instrument's
range, with rests, a dynamic shape and vibrato where the instrument has it. Notes begin at least a quarter of
a second apart, so that each can be seen at 16 frames a second.
"""

from dataclasses import dataclass

import numpy as np

from avsim.errors import InputError
from avsim.world.checks import LATEST, within

CLOSEST = 0.25  # s between the beginnings of notes
SHORTEST = 0.12  # s, a note's duration

# Sounding pitches, MIDI, first and last: the comfortable part of each instrument's range.
RANGES = {
    "accordion": (55, 86),
    "acoustic guitar": (40, 74),
    "cello": (36, 67),
    "clarinet": (52, 84),
    "erhu": (62, 86),
    "flute": (62, 91),
    "saxophone": (49, 79),  # alto
    "trumpet": (55, 82),
    "tuba": (30, 56),
    "violin": (55, 90),
    "xylophone": (65, 96),
}
INSTRUMENTS = tuple(RANGES)
STRUCK = frozenset({"acoustic guitar", "xylophone"})  # plucked too: a note dies away by itself
BANKS = ("fluidr3", "modelled")  # of recordings, by which they are heard
STEADY = STRUCK | {"accordion"}  # no vibrato

SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 4, 7, 9))  # major, minor, pentatonic


@dataclass(frozen=True)
class Note:
    """One note."""

    seconds: float  # when it begins
    duration: float  # s until it is released; it may ring on
    pitch: int  # sounding, MIDI: 69 is A4, 440 Hz
    loudness: float  # 0..1, pianissimo to fortissimo
    vibrato: float = 0.0  # 0..1, of at most half a semitone to either side

    def __post_init__(self) -> None:
        within("note", "seconds", self.seconds, 0.0, LATEST, "s")
        within("note", "duration", self.duration, 0.01, 60.0, "s")
        within("note", "loudness", self.loudness, 0.0, 1.0)
        within("note", "vibrato", self.vibrato, 0.0, 1.0)


def hertz(pitch: float) -> float:
    """The frequency of a MIDI pitch in equal temperament."""
    return 440.0 * 2.0 ** ((pitch - 69) / 12)


def held_out_classes(instrument: str) -> frozenset[int]:
    """The instrument's three pitch classes (a quarter of them) that only the held-out split plays.

    A major triad, its root a fifth above that of the instrument before: what is left to train on still holds
    a whole major scale, and each instrument misses notes that others play.
    """
    root = 7 * INSTRUMENTS.index(_known(instrument)) % 12
    return frozenset((root + step) % 12 for step in (0, 4, 7))


def pitches(instrument: str, held_out: bool) -> tuple[int, ...]:
    """All pitches that the instrument plays in a split, rising."""
    low, high = RANGES[_known(instrument)]
    kept_back = held_out_classes(instrument)
    return tuple(p for p in range(low, high + 1) if (p % 12 in kept_back) == held_out)


def phrase(
    instrument: str, seconds: float, random: np.random.Generator, held_out: bool = False
) -> tuple[Note, ...]:
    """A random phrase of at least one note that ends within `seconds`, in the order of time.

    Raises:
        InputError: unknown instrument; less time than one note takes.
    """
    if not seconds >= CLOSEST:
        raise InputError(f"a phrase of {seconds} s; it must be at least {CLOSEST} s long")
    pool = _pool(instrument, random, held_out)
    kinds = ("scale", "melody") if instrument in STRUCK else ("scale", "melody", "held")
    kind = kinds[random.integers(len(kinds))]
    begins = float(random.uniform(0.0, min(0.4, 0.25 * seconds)))
    spans = _spans(kind, seconds - begins, random)
    line = _line(kind, len(spans), pool, random)
    loudness = _dynamics(len(spans), random)
    expressive = 0.0 if instrument in STEADY else float(random.uniform(0.0, 1.0))
    return tuple(
        Note(begins + start, length, pool[step], float(level), expressive if length > 0.4 else 0.0)
        for (start, length), step, level in zip(spans, line, loudness, strict=True)
    )


def _pool(instrument: str, random: np.random.Generator, held_out: bool) -> tuple[int, ...]:
    """The pitches of one phrase: a key's, within a window of the range; held-out ones belong to no key."""
    playable = pitches(instrument, held_out)
    root, steps = int(random.integers(12)), SCALES[random.integers(len(SCALES))]
    low, high = RANGES[instrument]
    floor = int(random.integers(low, max(low + 1, high - 18)))
    window = tuple(p for p in playable if floor <= p <= floor + 18)
    in_key = tuple(p for p in window if (p - root) % 12 in steps)
    return window if held_out else in_key


def _spans(kind: str, seconds: float, random: np.random.Generator) -> list[tuple[float, float]]:
    """Beginning and duration of each note; some beats are rests, never the first."""
    unit = CLOSEST if seconds < 2 * CLOSEST else float(random.uniform(CLOSEST, min(0.5, seconds / 2)))
    legato = float(random.uniform(0.6, 0.98))
    spans: list[tuple[float, float]] = []
    start = 0.0
    while start + SHORTEST <= seconds:
        if kind == "scale":
            beats = 1.0
        elif kind == "melody":
            beats = float(random.choice((1.0, 1.0, 1.0, 2.0, 3.0)))
        else:
            beats = float(random.uniform(0.8, 2.5)) / unit
        rests = kind != "scale" and len(spans) > 0 and random.uniform() < 0.2
        length = min(beats * unit * legato, seconds - start)
        if not rests and length >= SHORTEST:
            spans.append((start, length))
        start += unit if rests else max(beats * unit, CLOSEST)
    return spans or [(0.0, seconds)]


def _line(kind: str, count: int, pool: tuple[int, ...], random: np.random.Generator) -> list[int]:
    """Indices into the pool: a scale runs and turns at the ends, a melody wanders."""
    last = len(pool) - 1
    place, way = int(random.integers(len(pool))), int(random.choice((-1, 1)))
    line = []
    for _ in range(count):
        line.append(place)
        step = way if kind == "scale" else int(random.integers(-3, 4))
        if not 0 <= place + step <= last:
            step, way = -step, -way
        place = min(max(place + step, 0), last)
    return line


def _dynamics(count: int, random: np.random.Generator) -> np.ndarray:
    """Loudness of each note, (count,): growing, shrinking or level, with accents."""
    level, growth = random.uniform(0.4, 0.9), random.uniform(-0.35, 0.35)
    shape = level + growth * (np.linspace(0, 1, count) - 0.5) + random.uniform(-0.08, 0.08, count)
    return np.clip(shape, 0.15, 1.0)


def _known(instrument: str) -> str:
    if instrument not in RANGES:
        raise InputError(f"unknown instrument {instrument!r}; it must be one of {', '.join(RANGES)}")
    return instrument
