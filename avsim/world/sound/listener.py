"""Dry sounds -> the listener's signal: propagation delay, level, interaural differences and the room.

The listener stands where the camera stands, before the middle of the stage. A sound made at distance r comes
r / c later and 1 / r as strong, first at the nearer ear, and stronger in the channel of the side where it is
seen. The room adds its reverberation, which is the same from everywhere.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import scipy.fft

from avsim.clip import ClipSpec
from avsim.world.flat.actor import Sound
from avsim.world.flat.camera import FLOOR, VIEW, Camera, half_width
from avsim.world.sound import rooms

SOUND_SPEED = 343.0  # m/s
DISTANCE = 2.5  # m, from the listener to the stage
EARS = 0.18  # m apart
GAIN = (
    DISTANCE  # one for the whole world: from the middle of the stage, things are as loud as they are at 1 m
)
HEIGHT = VIEW / 2 - FLOOR  # m, of the ears above the floor
CONTROL = (
    100.0  # Hz, how often the side of a sound is looked up where the camera moves: cuts fade within 10 ms
)

Array = np.ndarray


def distance(x: float, y: float) -> float:
    """Metres from (x, y) on the stage to the listener."""
    return math.sqrt(DISTANCE**2 + x**2 + (y - HEIGHT) ** 2)


def arrival(seconds: float, x: float, y: float) -> float:
    """When sound that is made at (x, y) reaches the nearer ear."""
    return seconds + distance(x, y) / SOUND_SPEED


def aligned(seconds: float, x: float, y: float, rate: int) -> tuple[float, float]:
    """The first moment from `seconds` on whose sound arrives on a sample, and how much later it is."""
    heard = arrival(seconds, x, y)
    lead = math.ceil(heard * rate - 1e-9) / rate - heard
    return seconds + lead, lead


def hear(sounds: Sequence[Sound], place: str, camera: Camera, spec: ClipSpec) -> Array:
    """The listener's signal of some sounds, (A, N) float64."""
    wave = np.zeros((spec.channels, spec.samples))
    if not sounds:
        return wave
    dry = np.zeros(spec.samples)  # into the room
    for sound in sounds:
        _add_direct(wave, sound, camera, spec)
        _add(dry, sound.wave, round(sound.seconds * spec.sample_rate))
    if rooms.RT60[place] > 0:
        wave += GAIN * _reverberation(dry, place, spec)
    return wave


def _add(to: Array, wave: Array, first: int) -> None:
    """Add `wave` to `to` from sample `first` on, as far as they overlap."""
    begin, end = max(first, 0), min(first + wave.shape[-1], to.shape[-1])
    if begin < end:
        to[..., begin:end] += wave[..., begin - first : end - first]


def _add_direct(to: Array, sound: Sound, camera: Camera, spec: ClipSpec) -> None:
    first = round(arrival(sound.seconds, sound.x, sound.y) * spec.sample_rate)
    if first >= spec.samples:
        return
    wave = sound.wave[: spec.samples - first] * (GAIN / distance(sound.x, sound.y))
    angle = _angles(sound, camera, first, len(wave), spec)  # (1,) or (n,)
    if spec.channels == 1:
        _add(to[0], wave * (np.cos(angle) + np.sin(angle)) / 2, first)
        return
    # The farther ear is later by whole samples: an interaural time difference.
    late = round(EARS / SOUND_SPEED * sound.x / math.hypot(sound.x, DISTANCE) * spec.sample_rate)
    _add(to[0], wave * np.cos(angle), first + max(late, 0))
    _add(to[1], wave * np.sin(angle), first + max(-late, 0))


def _angles(sound: Sound, camera: Camera, first: int, count: int, spec: ClipSpec) -> Array:
    """Equal-power panning angles, 0 (left) to pi/2 (right), by place in the frame: (1,) or (count,)."""
    end = spec.end
    if len(camera.shots) == 1 and camera.shots[0].end is None:
        times = np.zeros(1)
    else:
        begin = first / spec.sample_rate
        times = begin + np.arange(math.ceil(count / spec.sample_rate * CONTROL) + 1) / CONTROL
    x, _, height = camera.path(times, end).T
    side = np.clip((sound.x - x) / half_width(spec, 1.0) / height, -1.0, 1.0)
    angle = (1 + 0.8 * side) * math.pi / 4
    if len(angle) == 1:
        return angle
    return np.interp(np.arange(count) / spec.sample_rate, times - times[0], angle)


def _reverberation(dry: Array, place: str, spec: ClipSpec) -> Array:
    """The room's response to a dry sound at 1 m, (A, N)."""
    size, spectrum = _spectrum(place, spec.sample_rate, spec.channels, spec.samples)
    return scipy.fft.irfft(spectrum * scipy.fft.rfft(dry, size), size)[:, : spec.samples]


@lru_cache(maxsize=16)
def _spectrum(place: str, rate: int, channels: int, samples: int) -> tuple[int, Array]:
    """The length of a transform without wrap-around, and the transform of a place's response."""
    response = rooms.response(place, rate, channels)[:, :samples]
    size = scipy.fft.next_fast_len(samples + response.shape[1] - 1, real=True)
    return size, scipy.fft.rfft(response, size)
