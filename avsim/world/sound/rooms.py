"""The places and their rooms: impulse responses of what follows the direct sound.

The first reflections are those of a box with the room's measures (image sources, computed once by
avsim/world/sound/making/rooms.py, absorption fitted to the stated reverberation time). The tail is noise that
decays in each octave at a rate of its own, and takes over at the level to which the reflections have fallen.
"""

import math
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from avsim.errors import InputError

Array = np.ndarray

FILE = Path(__file__).parent / "rooms.safetensors"
STORED = 48_000  # Hz
FADE = 0.02  # s over which the tail takes over from the reflections
OCTAVES = (125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0, 16000.0)  # Hz, middles


@dataclass(frozen=True)
class Room:
    """A box with a source and a listener 2.5 m before it, and how it takes up sound."""

    rt60: float  # s, stated, in the middle octaves (500 and 1000 Hz)
    size: tuple[float, float, float]  # m: length, width, height
    early: float  # s from the emission until the tail has taken over
    balance: tuple[float, ...]  # rt60 in each of OCTAVES, re the stated one


STONE = (1.1, 1.05, 1.0, 1.0, 0.97, 0.92, 0.85, 0.75)
METAL = (0.9, 0.95, 1.0, 1.0, 1.0, 1.0, 0.95, 0.8)
FOAM = (0.9, 0.85, 0.85, 0.9, 0.95, 0.95, 0.9, 0.75)
CLOTH = (1.1, 1.05, 1.0, 1.0, 0.97, 0.92, 0.85, 0.75)

ROOMS = {
    "restaurant": Room(0.6, (18.0, 12.0, 3.5), 0.12, CLOTH),
    "space station": Room(0.8, (16.0, 9.0, 5.0), 0.12, METAL),
    "concert hall": Room(2.0, (34.0, 22.0, 15.0), 0.2, CLOTH),
    "cave": Room(3.2, (40.0, 20.0, 14.0), 0.2, STONE),
    "dry studio": Room(0.2, (8.0, 7.0, 4.0), 0.08, FOAM),
}
PLACES = ("restaurant", "space station", "national park", "concert hall", "cave", "dry studio")
RT60 = {place: ROOMS[place].rt60 if place in ROOMS else 0.0 for place in PLACES}  # s; 0: the open air


@lru_cache(maxsize=24)
def response(place: str, rate: int, channels: int) -> Array:
    """The reverberation of a place, (A, n) float64; (A, 0) in the open air.

    To be convolved with a dry sound as it is 1 m away. Time 0 is the emission, and amplitudes are those at
    the listener, where the direct sound (not in here) would come after d / 343 s, with amplitude 1 m / d.
    One channel is the left of the two.

    Raises:
        InputError: unknown place.
    """
    if place not in PLACES:
        raise InputError(f"unknown place {place!r}; it must be one of {', '.join(PLACES)}")
    if place not in ROOMS:
        return np.zeros((channels, 0))
    out = _resampled(_whole(place), rate)[:channels].copy()
    out.setflags(write=False)  # it is shared by all callers
    return out


@cache
def _whole(place: str) -> Array:
    """Reflections and tail at STORED Hz, (2, n)."""
    room, early = ROOMS[place], load_file(FILE)[place].astype(np.float64)
    fade = round(FADE * STORED)
    start = early.shape[1] - fade
    out = _tail(room, early[:, start - 2 * fade : start + fade], start - 2 * fade)
    out[:, :start] = early[:, :start]
    turn = np.pi / 2 * (np.arange(fade) + 0.5) / fade  # equal power: the two are independent
    joint = slice(start, start + fade)
    out[:, joint] = np.sin(turn) * out[:, joint] + np.cos(turn) * early[:, start:]
    return out


def _tail(room: Room, before: Array, begins: int) -> Array:
    """Noise that has, in each octave, the energy that `before` has, from sample `begins` on: (2, n)."""
    count = round(1.1 * room.rt60 * max(room.balance) * STORED)
    white = np.fft.rfft(np.random.default_rng(0).standard_normal((2, count)))
    scale = np.fft.rfftfreq(count, 1 / STORED)
    reflected = np.fft.rfft(before)
    coarser = np.fft.rfftfreq(before.shape[1], 1 / STORED)
    t = np.arange(count) / STORED
    out = np.zeros((2, count))
    span = slice(begins, begins + before.shape[1])
    for middle, share in zip(OCTAVES, room.balance, strict=True):
        noise = np.fft.irfft(white * _octave(scale, middle), count) * 10 ** (-3 * t / (room.rt60 * share))
        found = np.fft.irfft(reflected * _octave(coarser, middle), before.shape[1])
        out += noise * np.sqrt(np.sum(found**2) / np.sum(noise[:, span] ** 2))
    return out


def _octave(scale: Array, middle: float) -> Array:
    """A band's gain at frequencies `scale`; its square and its neighbour's add up to 1 between middles."""
    octaves = np.log2(np.maximum(scale, 1.0) / middle)
    return np.cos(np.pi / 2 * np.clip(octaves, -1.0, 1.0)) * (np.abs(octaves) < 1)


def _resampled(wave: Array, rate: int) -> Array:
    """(2, n) from STORED to `rate`, by the discrete Fourier transform."""
    count = math.ceil(wave.shape[1] * rate / STORED)
    wave = np.pad(wave, ((0, 0), (0, -wave.shape[1] % STORED)))  # whole seconds are whole samples at any rate
    size = wave.shape[1] * rate // STORED
    spectrum = np.fft.rfft(wave)
    spectrum *= np.interp(np.fft.rfftfreq(wave.shape[1], 1 / STORED), [0.45 * rate, 0.5 * rate], [1.0, 0.0])
    spectrum = np.pad(spectrum, ((0, 0), (0, max(0, size // 2 + 1 - spectrum.shape[1]))))[:, : size // 2 + 1]
    return np.fft.irfft(spectrum, size)[:, :count]  # keeps the sum of the samples, which is a filter's gain
