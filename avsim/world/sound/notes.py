"""Notes -> sound: recordings of each instrument, played at any pitch, length, loudness and vibrato.

A bank holds a recording for every third semitone of an instrument's range; what lies between is played a
little faster or slower. Sustained notes go on in a loop. Softer notes are also duller: partials above a
frequency that falls with loudness fall by 6 dB an octave.

Two banks are carried along. "fluidr3" is rendered from the soundfont FluidR3 (its licence lies beside it),
but for its erhu, which is a model of a bowed string. "modelled" holds models of all eleven instruments, to
test on timbres that were never trained on. avsim/world/sound/making says how both are made.
"""

import json
import math
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import av
import numpy as np
from scipy.signal import lfilter

from avsim.errors import InputError
from avsim.world.sound.phrases import BANKS, RANGES, Note, hertz

Array = np.ndarray

FOLDER = Path(__file__).parent / "banks"
STORED = 48_000  # Hz
FINER = 2  # recordings are kept at this multiple of a clip's rate, so that reading between samples is exact

JOIN = 0.08  # s over which a loop's end is faded into its beginning
RELEASE = 0.08  # s in which a note ends; a bar struck by a mallet rings on
QUIETEST = -24.0  # dB re the loudest
VIBRATO = 50.0  # cents to either side, at most
VIBRATO_RATE = 5.5  # Hz
VIBRATO_DELAY = 0.25  # s in which it sets in


@dataclass(frozen=True, eq=False)
class Recording:
    """One note of a bank at a rate of its own."""

    pitch: int  # MIDI
    hertz: float  # its fundamental
    wave: Array  # (n,) float32
    loop: float  # samples to go back by at its end; 0: it dies away


def sounded(instrument: str, note: Note, rate: int, bank: str = "fluidr3") -> Array:
    """A note as it sounds 1 m away in no room: (n,) float64 at `rate` Hz, its first sample at note.seconds.

    The loudest note has an rms of about 0.1 of full scale and peaks below 0.35.

    Raises:
        InputError: unknown instrument or bank; a pitch outside the instrument's range.
    """
    low, high = RANGES.get(instrument, (0, -1))
    if bank not in BANKS:
        raise InputError(f"unknown bank {bank!r}; it must be one of {', '.join(BANKS)}")
    if instrument not in RANGES:
        raise InputError(f"unknown instrument {instrument!r}; it must be one of {', '.join(RANGES)}")
    if not low <= note.pitch <= high:
        raise InputError(f"pitch {note.pitch} on the {instrument}; its range is {low} to {high}")
    recording = min(recordings(bank, instrument, rate), key=lambda r: abs(r.pitch - note.pitch))
    rings = instrument == "xylophone"
    count = round((note.duration + RELEASE) * rate)
    if rings:
        count = max(count, math.floor(len(recording.wave) / FINER * recording.hertz / hertz(note.pitch)))
    wave = _read(recording, _places(note, recording, count, rate))
    wave = _duller(wave, note, rate)
    if not rings:
        fade = round(RELEASE * rate)
        wave[-fade:] *= 0.5 + 0.5 * np.cos(math.pi * (np.arange(fade) + 1) / fade)
    return wave * 10 ** (QUIETEST * (1 - note.loudness) / 20)


@lru_cache(maxsize=48)
def recordings(bank: str, instrument: str, rate: int) -> tuple[Recording, ...]:
    """An instrument's recordings, rising, decoded and band-limited for clips at `rate`."""
    samples = _decoded(FOLDER / bank / f"{instrument.replace(' ', '-')}.opus")
    return tuple(
        _prepared(samples[e["start"] : e["stop"]], e["pitch"], e["hertz"], e["loop"], rate)
        for e in _index(bank)[instrument]
    )


def _prepared(wave: Array, pitch: int, fundamental: float, loop: int, rate: int) -> Recording:
    if loop:
        width = round(JOIN * STORED)
        rise = np.linspace(0, 1, width, dtype=np.float32)
        wave = wave.copy()
        wave[-width:] += rise * (wave[-loop - width : -loop] - wave[-width:])
    count = round(len(wave) * FINER * rate / STORED)
    # What follows a loop's end is its beginning; the transform sees no step where it wraps around.
    after = wave[len(wave) - loop :][: STORED // 20] if loop else np.zeros(STORED // 20, np.float32)
    after = after * np.linspace(1, 0, len(after), dtype=np.float32)
    finer = _resampled(np.concatenate([wave, after]), rate)[:count]
    return Recording(pitch, fundamental, finer.astype(np.float32), loop * FINER * rate / STORED)


def _resampled(wave: Array, rate: int) -> Array:
    """From STORED to FINER rate, less what a clip at `rate` can't hold when it is played 1.5 semitones up."""
    block = STORED // math.gcd(STORED, FINER * rate)
    wave = np.pad(wave, (0, -len(wave) % block))
    spectrum = np.fft.rfft(wave)
    scale = np.fft.rfftfreq(len(wave), 1 / STORED)
    spectrum *= np.interp(scale, [0.40 * rate, 0.46 * rate], [1.0, 0.0])
    size = len(wave) * FINER * rate // STORED
    spectrum = np.pad(spectrum, (0, max(0, size // 2 + 1 - len(spectrum))))[: size // 2 + 1]
    return np.fft.irfft(spectrum, size) * (size / len(wave))


def _places(note: Note, recording: Recording, count: int, rate: int) -> Array:
    """Where in the recording each sample is read, in its samples, (count,)."""
    step = FINER * hertz(note.pitch) / recording.hertz
    places = step * np.arange(count, dtype=np.float64)
    if note.vibrato:
        t = np.arange(count) / rate
        depth = note.vibrato * VIBRATO * np.minimum(t / VIBRATO_DELAY, 1.0)
        bend = 2 ** (depth / 1200 * np.sin(2 * math.pi * VIBRATO_RATE * t))
        places[1:] = step * np.cumsum(bend)[:-1]
    if recording.loop:
        end = len(recording.wave) - 3
        over = places > end
        places[over] = end - recording.loop + np.mod(places[over] - end, recording.loop)
    return places


def _read(recording: Recording, places: Array) -> Array:
    """The recording between its samples, by cubic (Catmull-Rom) interpolation; silence past its end."""
    wave = np.pad(recording.wave, (1, 3))
    places = np.minimum(places, len(recording.wave))
    whole = places.astype(np.int64)
    x = places - whole
    a, b, c, d = (wave[whole + k] for k in range(4))
    return b + 0.5 * x * (c - a + x * (2 * a - 5 * b + 4 * c - d + x * (3 * (b - c) + d - a)))


def _duller(wave: Array, note: Note, rate: int) -> Array:
    """One pole, two octaves above the fundamental for the softest note and far above all for the loudest."""
    cutoff = hertz(note.pitch) * 2 ** (1.5 + 5 * note.loudness)
    if cutoff > 0.45 * rate:
        return wave
    pole = math.exp(-2 * math.pi * cutoff / rate)
    return lfilter([1 - pole], [1, -pole], wave)


@cache
def _index(bank: str) -> dict[str, list[dict]]:
    return json.loads((FOLDER / bank / "index.json").read_text())


def _decoded(path: Path) -> Array:
    """(n,) float32 at STORED Hz."""
    with av.open(str(path)) as file:
        return np.concatenate([frame.to_ndarray().reshape(-1) for frame in file.decode(audio=0)])
