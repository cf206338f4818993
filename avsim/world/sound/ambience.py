"""Ambience of a place: a stationary bed of noise with events scattered over it.

Nothing here is recorded. Every sound is synthesised for each clip, but for syllables and clinks, which are
taken from sets made once. Things and players are louder: all of it has an rms of -60 to -34 dB re full scale.
"""

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from scipy import fft
from scipy.signal import lfilter

from avsim.clip import ClipSpec
from avsim.errors import InputError
from avsim.world.sound.rooms import PLACES, response

Array = np.ndarray

LEAD = 0.6  # s that have gone before the clip begins: events ring into it
HIGHEST = 0.42  # of the sample rate: nothing is drawn above it


def ambience(place: str, spec: ClipSpec, random: np.random.Generator) -> Array:
    """A place's own sound during a clip, (A, N) float64, with no mean.

    Raises:
        InputError: unknown place.
    """
    if place not in SOUNDSCAPES:
        raise InputError(f"unknown place {place!r}; it must be one of {', '.join(PLACES)}")
    lead = round(LEAD * spec.sample_rate)
    out = SOUNDSCAPES[place](spec.sample_rate, (spec.channels, lead + spec.samples), random)[:, lead:]
    return (out - out.mean(axis=1, keepdims=True)).astype(np.float64)


def _restaurant(rate: int, shape: tuple[int, int], random: np.random.Generator) -> Array:
    """Many voices at once, none of them understood, and cutlery on plates."""
    dry, seconds = np.zeros(shape, np.float32), shape[1] / rate
    syllables, clinks = _syllables(rate), _clinks(rate)
    for _ in range(int(random.integers(6, 14))):  # voices
        side, level = random.uniform(-1, 1), random.uniform(0.4, 1.0)
        voice = int(random.integers(VOICES)) * VOWELS
        for at in _times(seconds, 2.8, random):
            sound = syllables[voice + int(random.integers(VOWELS))]
            _add(dry, level * random.uniform(0.3, 1.0) * sound, at * rate, side)
    dry = _levelled(dry, random.uniform(-38, -34))
    for at in _times(seconds, 1.8, random):
        side, level = random.uniform(-1, 1), _gain(random.uniform(-40, -30))
        for delay in np.cumsum(random.uniform(0.05, 0.16, int(random.integers(1, 4)))):
            _add(dry, level * clinks[int(random.integers(len(clinks)))], (at + delay) * rate, side)
    return _in_room(dry, "restaurant", rate, 0.4) + _bed(rate, shape, random, -56, 400.0)


def _space_station(rate: int, shape: tuple[int, int], random: np.random.Generator) -> Array:
    """A hum with its overtones that sway, a fan, and a panel that beeps."""
    base = random.uniform(48, 66)
    hum = _noise(rate, shape, random, lambda f: _comb(f, base))
    out = _levelled(hum, random.uniform(-40, -36)) + _bed(rate, shape, random, -46, 700.0)
    for _ in range(int(random.integers(1, 3))):  # panels
        pitch, side = random.uniform(700, min(1800.0, 0.35 * rate)), random.uniform(-1, 1)
        level, length = _gain(random.uniform(-36, -30)), random.uniform(0.07, 0.14)
        pattern, pause = int(random.integers(1, 4)), random.uniform(0.5, 1.0)
        ratios = random.choice((1.0, 1.0, 1.25, 1.5), pattern)
        beeps = [_beep(rate, pitch * ratio, length) * level for ratio in ratios]
        for at in np.arange(random.uniform(0, pause), shape[1] / rate, pause + pattern * 0.2):
            for i, beep in enumerate(beeps):
                _add(out, beep, (at + i * 0.2) * rate, side)
    return out


def _national_park(rate: int, shape: tuple[int, int], random: np.random.Generator) -> Array:
    """Wind that comes and goes, leaves that move in it, and birds."""
    knots = random.uniform(0.3, 1.0, math.ceil(shape[1] / rate / 0.7) + 2)
    gusts = np.interp(np.arange(shape[1]) / rate / 0.7, np.arange(len(knots)), knots).astype(np.float32)
    wind = _levelled(_noise(rate, shape, random, lambda f: (f / 90) / (1 + (f / 180) ** 2.2)) * gusts, -40)
    leaves = _levelled(
        _noise(rate, shape, random, lambda f: (f / 3000) ** 2 / (1 + (f / 3000) ** 3)) * gusts**2, -50
    )
    out = wind + leaves
    for _ in range(int(random.integers(1, 4))):  # birds
        side, level = random.uniform(-1, 1), _gain(random.uniform(-36, -28))
        start, stop = random.uniform(0.13, 0.21, 2) * min(rate, 20_000) * random.uniform(0.8, 1.3)
        length, spacing = random.uniform(0.04, 0.13), random.uniform(0.09, 0.2)
        trill = 0.0 if random.uniform() < 0.5 else random.uniform(20, 40)
        chirp = level * _chirp(rate, start, stop, length, trill)
        for at in _sometimes(shape[1] / rate, 0.5, random):
            for i in range(int(random.integers(2, 7))):
                _add(out, chirp * random.uniform(0.6, 1.0), (at + i * spacing) * rate, side)
    return out


def _concert_hall(rate: int, shape: tuple[int, int], random: np.random.Generator) -> Array:
    """The noise of a large room, with distant coughs and movements."""
    dry = np.zeros(shape, np.float32)
    for at in _sometimes(shape[1] / rate, 0.6, random):
        side = random.uniform(-1, 1)
        if random.uniform() < 0.4:
            for i in range(int(random.integers(1, 3))):
                sound = _cough(rate, random) * _gain(random.uniform(-27, -21))
                _add(dry, sound, (at + 0.35 * i) * rate, side)
        else:
            _add(dry, _rustle(rate, random) * _gain(random.uniform(-31, -26)), at * rate, side)
    return _in_room(dry, "concert hall", rate, 0.4) + _bed(
        rate, shape, random, random.uniform(-49, -45), 250.0
    )


def _cave(rate: int, shape: tuple[int, int], random: np.random.Generator) -> Array:
    """Drops that fall into water, near and far, each with a long echo, over a low breath of air."""
    dry = np.zeros(shape, np.float32)
    for at in _sometimes(shape[1] / rate, 1.8, random):
        drop = _drip(rate, random) * _gain(random.uniform(-40, -27))
        _add(dry, drop, at * rate, random.uniform(-1, 1))
    return _in_room(dry, "cave", rate, 1.0) + _bed(rate, shape, random, random.uniform(-48, -44), 150.0)


def _dry_studio(rate: int, shape: tuple[int, int], random: np.random.Generator) -> Array:
    """As good as nothing."""
    return _bed(rate, shape, random, random.uniform(-60, -56), 1000.0)


SOUNDSCAPES: dict[str, Callable[[int, tuple[int, int], np.random.Generator], Array]] = {
    "restaurant": _restaurant,
    "space station": _space_station,
    "national park": _national_park,
    "concert hall": _concert_hall,
    "cave": _cave,
    "dry studio": _dry_studio,
}


def _bed(
    rate: int, shape: tuple[int, int], random: np.random.Generator, decibels: float, corner: float
) -> Array:
    """Steady noise that falls by 6 dB an octave above a corner in Hz."""
    return _levelled(
        _noise(rate, shape, random, lambda f: (f / 50) / (1 + f / 50) / (1 + f / corner)), decibels
    )


def _noise(
    rate: int, shape: tuple[int, int], random: np.random.Generator, gain: Callable[[Array], Array]
) -> Array:
    """Gaussian noise with a spectrum's gain over frequencies in Hz, which is 0 at 0."""
    size = fft.next_fast_len(shape[1], real=True)
    scale = np.fft.rfftfreq(size, 1 / rate)
    parts = random.standard_normal((shape[0], 2 * len(scale)), dtype=np.float32)
    return fft.irfft(parts.view(np.complex64) * gain(scale).astype(np.float32), size)[:, : shape[1]]


def _comb(scale: Array, base: float) -> Array:
    """A line at a fundamental in Hz and at some of its multiples, each 0.8 Hz wide so that it sways."""
    return np.sum([k**-0.8 * np.exp(-(((scale - k * base) / 0.4) ** 2)) for k in (1, 2, 3, 4, 6, 8)], axis=0)


def _times(seconds: float, rate: float, random: np.random.Generator) -> Array:
    """When things happen, `rate` times a second in the mean: a Poisson process."""
    return random.uniform(0, seconds, random.poisson(rate * seconds))


def _sometimes(seconds: float, rate: float, random: np.random.Generator) -> Array:
    """The same and one time more, soon after the beginning of the clip, so that no clip is without."""
    soon = random.uniform(LEAD, LEAD + 0.6 * (seconds - LEAD))
    return np.append(_times(seconds, rate, random), soon)


def _add(out: Array, sound: Array, at: float, side: float) -> None:
    """Add a sound (n,) to (A, N) from sample `at` on, between left (-1) and right (1)."""
    first = int(at)
    part = sound[: max(0, out.shape[1] - first)]
    angle = (1 + side) * math.pi / 4
    gains = (math.cos(angle), math.sin(angle)) if len(out) == 2 else (math.sqrt(0.5),)
    for channel, gain in zip(out, gains, strict=True):
        channel[first : first + len(part)] += gain * part


def _in_room(dry: Array, place: str, rate: int, direct: float) -> Array:
    """Sounds (A, N) some way off in a place: as they come directly, and its reverberation."""
    size = fft.next_fast_len(dry.shape[1] + response(place, rate, len(dry)).shape[1] - 1, real=True)
    wet = fft.irfft(fft.rfft(dry, size) * _transfer(place, rate, len(dry), size), size)[:, : dry.shape[1]]
    return direct * dry + 1.5 * wet


@lru_cache(maxsize=12)
def _transfer(place: str, rate: int, channels: int, size: int) -> Array:
    return fft.rfft(response(place, rate, channels), size).astype(np.complex64)


def _levelled(wave: Array, decibels: float) -> Array:
    """The same at an rms of so many dB re full scale."""
    return wave * (_gain(decibels) / max(float(np.sqrt(np.mean(wave**2))), 1e-12))


def _gain(decibels: float) -> float:
    return 10 ** (decibels / 20)


# Single sounds, each (n,) with a peak of about 1, beginning and ending at 0.


def _hump(count: int) -> Array:
    return np.sin(math.pi * (np.arange(count) + 0.5) / count) ** 2


def _beep(rate: int, hertz: float, seconds: float) -> Array:
    t = np.arange(round(seconds * rate)) / rate
    edges = np.minimum(1.0, np.minimum(t, seconds - t) / 0.008)
    third = 0.2 if 3 * hertz < HIGHEST * rate else 0.0
    return edges * (np.sin(2 * math.pi * hertz * t) + third * np.sin(6 * math.pi * hertz * t))


def _chirp(rate: int, start: float, stop: float, seconds: float, trill: float) -> Array:
    """A glide from one frequency to another, in Hz, trilled so many times a second."""
    t = np.arange(round(seconds * rate)) / rate
    hertz = start + (stop - start) * t / seconds + (0.06 * start * np.sin(2 * math.pi * trill * t))
    return _hump(len(t)) * np.sin(2 * math.pi * np.cumsum(np.minimum(hertz, HIGHEST * rate)) / rate)


def _drip(rate: int, random: np.random.Generator) -> Array:
    """A bubble under a drop: a sine that dies away as its pitch rises (Minnaert)."""
    t = np.arange(round(0.12 * rate)) / rate
    base, rise = random.uniform(600, min(2200.0, 0.3 * rate)), random.uniform(2.0, 8.0)
    hertz = np.minimum(base * (1 + rise * t * t / 0.12), HIGHEST * rate)
    fade = (
        np.exp(-t * random.uniform(30, 70)) * np.minimum(1.0, t / 0.002) * np.minimum(1.0, (t[-1] - t) / 0.01)
    )
    return fade * np.sin(2 * math.pi * np.cumsum(hertz) / rate)


def _cough(rate: int, random: np.random.Generator) -> Array:
    """A burst of breath through a throat."""
    count = round(random.uniform(0.18, 0.3) * rate)
    t = np.arange(count) / rate
    burst = random.standard_normal(count) * np.minimum(1.0, t / 0.008) * np.exp(-t * 14)
    out = sum(_formant(burst, hertz, 250.0, rate) for hertz in (random.uniform(450, 650), 1300.0, 2300.0))
    return out * _hump(2 * count)[count:] / np.abs(out).max()


def _rustle(rate: int, random: np.random.Generator) -> Array:
    """Cloth: high noise in uneven strokes."""
    count = round(random.uniform(0.2, 0.6) * rate)
    strokes = np.interp(np.arange(count), np.linspace(0, count, 9), random.uniform(0.1, 1.0, 9))
    noise = np.diff(random.standard_normal(count + 1))
    return noise * strokes * _hump(count) / 4


VOICES, VOWELS, CLINKS = 12, 10, 40  # how many of each are made


@lru_cache(maxsize=4)
def _syllables(rate: int) -> list[Array]:
    """VOICES times VOWELS syllables, voice by voice: a buzz that glides, through two to three formants."""
    random = np.random.default_rng(7)
    out = []
    for _ in range(VOICES):
        pitch, tract = (
            random.choice((random.uniform(90, 140), random.uniform(170, 240))),
            random.uniform(0.9, 1.15),
        )
        for _ in range(VOWELS):
            count = round(random.uniform(0.14, 0.32) * rate)
            glide = pitch * np.linspace(random.uniform(0.9, 1.15), random.uniform(0.8, 1.05), count)
            phase = np.cumsum(glide) / rate
            buzz = np.diff(np.floor(phase), prepend=0.0) + 0.03 * random.standard_normal(count)
            first, second = random.uniform(300, 800), random.uniform(900, 2200)
            vowel = sum(
                gain * _formant(buzz, hertz * tract, width, rate)
                for hertz, width, gain in ((first, 90, 1.0), (second, 120, 0.5), (2600, 200, 0.2))
            )
            vowel = vowel * _hump(count)
            out.append((vowel / np.abs(vowel).max()).astype(np.float32))
    return out


@lru_cache(maxsize=4)
def _clinks(rate: int) -> list[Array]:
    """Metal on china, (n,) each: a few high partials that die at once."""
    random = np.random.default_rng(11)
    t = np.arange(round(0.2 * rate)) / rate
    out = []
    for _ in range(CLINKS):
        hertz, decay = random.uniform(0.12, HIGHEST, 5) * min(rate, 20_000), random.uniform(15, 60, 5)
        partials = np.exp(-np.outer(decay, t)) * np.sin(2 * math.pi * np.outer(hertz, t))
        clink = random.uniform(0.3, 1.0, 5) @ partials / 2.5 * np.minimum(1.0, (t[-1] - t) / 0.01)
        out.append(clink.astype(np.float32))
    return out


def _formant(wave: Array, hertz: float, width: float, rate: int) -> Array:
    """A two-pole resonance, with no gain at 0 Hz."""
    radius = math.exp(-math.pi * width / rate)
    angle = 2 * math.pi * min(hertz, HIGHEST * rate) / rate
    return lfilter([1 - radius, 0, radius - 1], [1, -2 * radius * math.cos(angle), radius**2], wave)
