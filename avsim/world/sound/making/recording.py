"""A rendered note -> a recording for the bank: begun at its onset, levelled, tuned and looped."""

from dataclasses import dataclass

import numpy as np

from avsim.world.sound.phrases import hertz

Array = np.ndarray

RATE = 48_000  # Hz, of every recording
HELD = 3.0  # s, for which a note is held while it is rendered
SUSTAINED, STRUCK = 2.2, 2.6  # s kept of notes that are held, and of those that die away
LEVEL, PEAK = 0.1, 0.3  # rms of the loudest 50 ms, unless the peak is higher than PEAK
JOIN = 0.08  # s over which a loop's end is faded into its beginning


@dataclass(frozen=True, eq=False)
class Recording:
    """One note."""

    pitch: int  # MIDI
    hertz: float  # its measured fundamental
    wave: Array  # (n,) at RATE
    loop: int  # samples by which to jump back at its end, 0 for a note that dies away


def recorded(wave: Array, pitch: int, struck: bool) -> Recording:
    """Cut, level, tune and loop a rendered note, (n,)."""
    wave = begun(wave, 0.1 if struck else 0.25)[: round((STRUCK if struck else SUSTAINED) * RATE)]
    wave = wave - wave.mean()
    loop = 0
    if struck:
        wave = _died_away(wave)
    else:
        wave, loop = looped(wave)
    return Recording(pitch, fundamental(wave, pitch), wave * gain(wave), loop)


def envelope(wave: Array, seconds: float) -> Array:
    """Running rms over `seconds`, (n,)."""
    width = round(seconds * RATE)
    total = np.cumsum(np.pad(wave**2, (width // 2 + 1, width - width // 2)))
    return np.sqrt(np.maximum(total[width:] - total[:-width], 0.0)[: len(wave)] / width)


def begun(wave: Array, share: float) -> Array:
    """From where the sound first reaches a share of its greatest level, faded in over 3 ms."""
    level = envelope(wave[: round(HELD * RATE)], 0.004)
    ramp = round(0.003 * RATE)
    first = max(0, int(np.argmax(level > share * level.max())) - ramp)
    out = wave[first:].copy()
    out[:ramp] *= 0.5 - 0.5 * np.cos(np.pi * np.arange(ramp) / ramp)
    return out


def looped(wave: Array) -> tuple[Array, int]:
    """Where the sound is most like itself some time before: cut there, and how far back that is."""
    width, best = round(JOIN * RATE), (-2.0, 0, 0)
    for end in range(round(1.8 * RATE), len(wave), round(0.05 * RATE)):
        tail = wave[end - width : end]
        before = wave[round(0.7 * RATE) - width : end - round(0.4 * RATE)]
        size = 1 << (len(before) + width).bit_length()
        product = np.fft.irfft(np.fft.rfft(before, size) * np.conj(np.fft.rfft(tail, size)), size)
        product = product[: len(before) - width + 1]
        total = np.cumsum(np.pad(before**2, (1, 0)))
        power = (total[width:] - total[:-width]) * np.sum(tail**2)
        likeness = product / np.sqrt(np.maximum(power, 1e-20))
        place = int(np.argmax(likeness))
        start = round(0.7 * RATE) + place
        best = max(best, (float(likeness[place]), end, end - start))
    return wave[: best[1]], best[2]


def _died_away(wave: Array) -> Array:
    """Cut where it has fallen by 60 dB, and faded out over its last 50 ms."""
    level = envelope(wave, 0.02)
    out = wave[: int(np.flatnonzero(level > 1e-3 * level.max())[-1]) + 1].copy()
    fade = min(round(0.05 * RATE), len(out))
    out[-fade:] *= np.linspace(1, 0, fade)
    return out


def gain(wave: Array) -> float:
    """What brings a recording to the bank's level."""
    return float(min(LEVEL / envelope(wave, 0.05).max(), PEAK / np.abs(wave).max()))


def fundamental(wave: Array, pitch: int) -> float:
    """The frequency in Hz of the strongest of the first partials, divided by its number.

    A partial is the mean of the power within 60 cents of where it belongs, since vibrato and pairs of reeds
    spread it; partials of struck bars are no multiples, and fall outside.
    """
    nominal, size = hertz(pitch), 1 << 20
    part = wave[round(0.05 * RATE) : round(1.6 * RATE)]
    power = np.abs(np.fft.rfft(part * np.hanning(len(part)), size)) ** 2
    scale = np.fft.rfftfreq(size, 1 / RATE)
    found = []
    for k in (1, 2, 3, 4):
        near = slice(*(round(k * nominal * 2 ** (cents / 1200) * size / RATE) for cents in (-60, 60)))
        total = float(power[near].sum())
        found.append((total, float(power[near] @ scale[near]) / total / k))
    return max(found)[1]
