"""Models of the instruments: the erhu of the bank "fluidr3", and all eleven of the bank "modelled".

Each is a function of a MIDI pitch that returns a note held for `HELD` s, (n,) float64 at `RATE` Hz. They are
textbook models, tuned to be distinguishable, and imitate no recording:

- bowed strings: a waveguide with a friction table (McIntyre, Schumacher and Woodhouse, JASA 74, 1983; Smith,
  "Physical Audio Signal Processing", 2010), through the resonances of a body;
- plucked string: a loop with a lossy filter (Karplus and Strong, 1983; Jaffe and Smith, 1983);
- struck bar: three modes of a bar tuned to 1 : 3 : 6.3 (Fletcher and Rossing, "The Physics of Musical
  Instruments", 1998, ch. 19) and the mallet's contact;
- wind instruments and reeds: partials whose higher ones come later and grow with the blowing (Risset and
  Mathews, 1969), under a spectral envelope, with breath.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from avsim.world.sound.making.recording import HELD, RATE
from avsim.world.sound.phrases import hertz

Array = np.ndarray
Model = Callable[[int], Array]

COUNT = round((HELD + 0.2) * RATE)


@dataclass(frozen=True)
class Resonance:
    """One of a body's resonances."""

    hertz: float
    width: float  # Hz, at half power
    gain: float  # re what passes the body directly


@dataclass(frozen=True)
class Bowed:
    """A bowed string on a body."""

    place: float  # of the bow, as a share of the string from the bridge
    speed: float  # of the bow, in units of the friction table; if too fast, the string slips twice a period
    grip: float  # slope of the friction table: less is more force
    damping: float  # pole of the bridge's low-pass, 0..1
    body: tuple[Resonance, ...]
    direct: float  # how much of the string is heard past the resonances

    def __call__(self, pitch: int) -> Array:
        """The string's velocity at the bridge, through the body."""
        return _through(self.body, self.direct, self._string(hertz(pitch)))

    def _string(self, f: float) -> Array:
        """Two delay lines, bow to nut and bow to bridge, whose waves meet in the bow's friction."""
        delay = RATE / f - self.damping / (1 - self.damping)  # less that of the low-pass
        bridge = [0.0] * max(2, round(delay * self.place))
        nut = [0.0] * max(2, round(delay) - len(bridge))
        noise = np.random.default_rng(round(f)).standard_normal(COUNT) * 0.008
        bow = self.speed * np.minimum(np.arange(COUNT) / (0.06 * RATE), 1.0) * (1 + noise)
        out, low = np.zeros(COUNT), 0.0
        for n, v in enumerate(bow.tolist()):
            low = (1 - self.damping) * bridge[n % len(bridge)] + self.damping * low
            from_bridge, from_nut = -0.96 * low, -0.995 * nut[n % len(nut)]
            slip = v - from_bridge - from_nut
            friction = min(1.0, (abs(self.grip * slip) + 0.75) ** -4)
            push = slip * friction
            bridge[n % len(bridge)] = from_nut + push
            nut[n % len(nut)] = from_bridge + push
            out[n] = low
        return out


@dataclass(frozen=True)
class Blown:
    """An air column, or reeds: partials under an envelope."""

    attack: float  # s until the fundamental has risen
    later: float  # how much longer the k-th partial takes, as a share of the attack for each octave
    slope: float  # dB an octave over the fundamental
    formants: tuple[Resonance, ...]  # gains are in dB here
    cutoff: float  # Hz, above which partials fall by a further 12 dB an octave
    even: float  # amplitude of even partials, 1 where they are as strong as odd ones
    breath: float  # amplitude of noise, re the tone
    beats: float = 0.0  # Hz between two reeds of an accordion

    def __call__(self, pitch: int) -> Array:
        """The sum of partials up to 18 kHz, and breath about the first of them."""
        f, t = hertz(pitch), np.arange(COUNT) / RATE
        random = np.random.default_rng(pitch)
        drift = np.cumsum(_smooth(random, 2.0)) / RATE * 0.002
        tone = np.zeros(COUNT)
        held = np.minimum(1.0, np.maximum(0.0, (HELD - t) / 0.05))
        for k in range(1, int(18_000 / f) + 1):
            rise = 1 - np.exp(-3 * t / (self.attack * (1 + self.later * math.log2(k))))
            sway = 1 + 0.04 * _smooth(random, 6.0)
            phase = random.uniform(0, 2 * math.pi)
            partial = np.sin(2 * math.pi * k * f * (t + drift) + phase)
            if self.beats:
                partial += 0.8 * np.sin(2 * math.pi * k * (f + self.beats) * (t + drift) + 2 * phase)
            tone += self._level(k, f) * rise**2 * sway * held * partial
        air = _through((Resonance(2.5 * f, 4 * f, 1.0),), 0.2, random.standard_normal(COUNT))
        air *= self.breath * tone.std() / air.std()
        return tone + air * held * np.minimum(1.0, t / 0.02) * (1 + 2 * np.exp(-t / 0.06))

    def _level(self, k: int, f: float) -> float:
        decibels = self.slope * math.log2(k) - 10 * math.log10(1 + (k * f / self.cutoff) ** 4)
        for formant in self.formants:
            decibels += formant.gain / (1 + ((k * f - formant.hertz) / (formant.width / 2)) ** 2)
        return 10 ** (decibels / 20) * (self.even if k % 2 == 0 else 1.0)


@dataclass(frozen=True)
class Plucked:
    """A plucked string on a body."""

    place: float  # where it is plucked, as a share of its length from the bridge
    decay: float  # s in which a fundamental of 100 Hz falls by 60 dB
    body: tuple[Resonance, ...]

    def __call__(self, pitch: int) -> Array:
        """A burst of noise, less what plucking at this place can't excite, going round a lossy loop."""
        f = hertz(pitch)
        period = RATE / f - 0.5
        whole = int(period)
        share = period - whole
        random = np.random.default_rng(pitch)
        pluck = np.zeros(COUNT)
        pluck[:whole] = lfilter([0.4], [1, -0.6], random.uniform(-1, 1, whole))
        skip = max(1, round(self.place * whole))
        pluck[skip:] -= pluck[:-skip].copy()
        loss = 10 ** (-3 / (f * self.decay * (100 / f) ** 0.5))
        # y[n] = x[n] + loss (1/2 + 1/2 z^-1) (1 - share + share z^-1) y[n - whole]
        loop = loss * np.convolve([0.5, 0.5], [1 - share, share])
        string = lfilter([1.0], np.concatenate([[1.0], np.zeros(whole - 1), -loop]), pluck)
        return _through(self.body, 0.5, string)


@dataclass(frozen=True)
class Struck:
    """A bar struck by a mallet."""

    ratios: tuple[float, ...] = (1.0, 3.0, 6.3)
    weights: tuple[float, ...] = (1.0, 0.35, 0.15)
    decay: float = 0.5  # s in which the fundamental of C5 falls by 60 dB; higher ones are shorter
    contact: float = 0.0009  # s, of the mallet

    def __call__(self, pitch: int) -> Array:
        """Its modes, and the knock."""
        f, t = hertz(pitch), np.arange(COUNT) / RATE
        wave = np.zeros(COUNT)
        for ratio, weight in zip(self.ratios, self.weights, strict=True):
            if ratio * f < 18_000:
                rate = math.log(1000) / (self.decay * (523 / f) ** 0.4) * ratio**0.8
                wave += weight * np.exp(-rate * t) * np.sin(2 * math.pi * ratio * f * t)
        knock = np.random.default_rng(pitch).standard_normal(COUNT) * np.exp(-t / self.contact)
        return wave + lfilter([0.15], [1, -0.85], knock)


def _through(body: tuple[Resonance, ...], direct: float, wave: Array) -> Array:
    """Two-pole resonators side by side, and what passes directly."""
    out = direct * wave
    for r in body:
        radius = math.exp(-math.pi * r.width / RATE)
        angle = 2 * math.pi * r.hertz / RATE
        scale = r.gain * (1 - radius**2) / 2
        out = out + lfilter([scale, 0, -scale], [1, -2 * radius * math.cos(angle), radius**2], wave)
    return out


def _smooth(random: np.random.Generator, hertz: float) -> Array:
    """A slow random curve of unit deviation, (COUNT,)."""
    knots = random.standard_normal(math.ceil(COUNT / RATE * hertz) + 2)
    return np.interp(np.arange(COUNT) / RATE * hertz, np.arange(len(knots)), knots)


# A python-skin membrane on a small tube, with no fingerboard: weak below 400 Hz, nasal in the middle.
ERHU = Bowed(
    place=0.11,
    speed=0.07,
    grip=3.2,
    damping=0.35,
    body=(
        Resonance(520, 130, 3.0),
        Resonance(880, 160, 4.0),
        Resonance(1500, 250, 3.0),
        Resonance(2600, 500, 2.5),
        Resonance(4000, 900, 1.2),
    ),
    direct=0.15,
)

MODELLED: dict[str, Model] = {
    "accordion": Blown(0.05, 0.1, -5.0, (Resonance(1400, 1200, 6),), 5500, 0.9, 0.01, beats=3.2),
    "acoustic guitar": Plucked(
        0.18, 6.0, (Resonance(105, 25, 2.0), Resonance(205, 40, 2.0), Resonance(420, 90, 1.0))
    ),
    "cello": Bowed(
        0.13,
        0.07,
        3.0,
        0.55,
        (
            Resonance(105, 25, 2.0),
            Resonance(185, 30, 2.5),
            Resonance(400, 150, 2.0),
            Resonance(1100, 600, 1.5),
        ),
        0.4,
    ),
    "clarinet": Blown(0.05, 0.15, -4.0, (Resonance(1500, 800, 3),), 2600, 0.12, 0.012),
    "erhu": Bowed(
        0.1,
        0.05,
        3.0,
        0.3,
        (
            Resonance(610, 120, 3.0),
            Resonance(1150, 200, 4.0),
            Resonance(1900, 300, 2.0),
            Resonance(3200, 700, 2.5),
        ),
        0.1,
    ),
    "flute": Blown(0.09, 0.1, -13.0, (), 5000, 1.0, 0.03),
    "saxophone": Blown(0.06, 0.25, -3.0, (Resonance(900, 600, 8), Resonance(2400, 1200, 4)), 2400, 0.8, 0.03),
    "trumpet": Blown(0.045, 0.5, -1.0, (Resonance(1300, 1000, 8),), 3600, 1.0, 0.006),
    "tuba": Blown(0.07, 0.6, -3.0, (Resonance(240, 200, 6),), 480, 1.0, 0.003),
    "violin": Bowed(
        0.12,
        0.07,
        3.2,
        0.4,
        (
            Resonance(280, 30, 1.5),
            Resonance(460, 50, 2.0),
            Resonance(1000, 300, 1.2),
            Resonance(2700, 900, 2.5),
        ),
        0.5,
    ),
    "xylophone": Struck(),
}
