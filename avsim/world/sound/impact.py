"""Impacts -> dry sound, by modal synthesis.

An impact at speed v rings the modes of what is struck: y(t) = v sum_k a_k exp(-d_k t) sin(2 pi f_k t). a_k is
the weight of mode k under a half-sine push whose length shortens with hardness and speed (`contact_seconds`):
faster is louder and brighter, bigger is lower, softer is duller. A mode decays at d = pi f tan(phi), the
internal friction of its material, and by what holds the thing.

The modes of bodies, as omega a / c with a half the width and c the speed of shear waves:

    ball   solid elastic sphere at Poisson's ratio 1/4 (Lamb, "On the vibrations of an elastic sphere", 1882)
    cube   free cube at Poisson's ratio 1/4, by Ritz (Demarest, "Cube-resonance method to determine
           the elastic constants of solids", JASA 49, 1971)
    bar    free bar, (beta L)^2 h / (sqrt(48) L) c_E / c, cos(beta L) cosh(beta L) = 1
    ring   flexure of a hoop, n (n^2 - 1) / sqrt(n^2 + 1) times h a / (sqrt(12) R^2) c_E / c

with c_E / c = sqrt(5/2) at Poisson's ratio 1/4. `PITCH` lowers them, so that things of these sizes are heard
inside the 8 kHz that 16 kHz sound can hold: bigger is lower, and the ratios of partials and materials, stay
true. (Bars and rings: Fletcher & Rossing, The Physics of Musical Instruments, 2nd ed., chapters 2, 19 and 21;
so are the ratios below.)
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from avsim.world.flat.scene import TARGETS
from avsim.world.materials import contact_seconds, substance

SPHERE = (2.6399, 3.4245, 3.9163, 4.4400, 4.8653, 5.0093, 6.0327, 6.4544)
CUBE = (1.4280, 1.9161, 1.9537, 2.2214, 2.3631, 2.6287, 2.7443, 3.0880)
BEAM = (22.373, 61.673, 120.903, 199.859, 298.556)  # (beta L)^2
HOOP = (2.683, 7.589, 14.552, 23.534, 34.524, 47.518)  # n (n^2 - 1) / sqrt(n^2 + 1), n = 2, 3, ...
DRUM = (1.0, 1.593, 2.136, 2.295, 2.653, 2.917, 3.155, 3.500)  # zeros of Bessel functions over the first
BELL = (
    0.5,
    1.0,
    1.2,
    1.5,
    2.0,
    2.5,
    2.667,
    3.0,
    4.0,
)  # hum, prime, tierce, quint, nominal, ... of a tuned bell
PLATE = (
    13.49,
    19.79,
    24.43,
    35.02,
    61.53,
)  # free square plate (Leissa, Vibration of Plates, NASA SP-160, 4.3.15)
YOUNG_OVER_SHEAR = math.sqrt(2.5)  # c_E / c at Poisson's ratio 1/4
BAR_SLIMNESS, HOOP_THICKNESS = 0.34, 0.28  # h / L; h / a
PITCH = {"ball": 1 / 6, "cube": 1 / 4, "bar": 1 / 4, "ring": 1 / 2.5}

GAIN = 0.2  # of full scale per m/s at 1 m, one for all, so that loudness tells speed
FLOOR_LEVEL = 0.5  # of a floor's own sound, against a thing's
LOWEST = 20.0  # Hz: air carries no steady pressure
SILENCE = math.log(1e-4)  # a mode is over when it has fallen by 80 dB
BLOCK = 256

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Modes:
    """How something rings."""

    frequency: Array  # (K,) Hz
    decay: Array  # (K,) 1/s
    weight: Array  # (K,), in sum at most 1


def body_modes(shape: str, material: str, size: float) -> Modes:
    """The modes of a falling body `size` metres wide."""
    roots = {
        "ball": np.array(SPHERE),
        "cube": np.array(CUBE),
        "bar": np.array(BEAM) * BAR_SLIMNESS / math.sqrt(48) * YOUNG_OVER_SHEAR,
        "ring": np.array(HOOP)
        * HOOP_THICKNESS
        / (math.sqrt(12) * (1 - HOOP_THICKNESS / 2) ** 2)
        * YOUNG_OVER_SHEAR,
    }[shape]
    frequency = roots * PITCH[shape] * substance(material).shear_speed / (math.pi * size)
    return _modes(frequency, substance(material).friction, 1.0)


# ratios, lowest in Hz of one 0.4 m wide, internal friction, decay by what holds it in 1/s
VOICES = {
    "wooden block": (np.array(BEAM[:4]) / BEAM[0], 620.0, 0.0300, 12.0),
    "metal bar": (np.array(BEAM[:4]) / BEAM[0], 1050.0, 0.0006, 1.5),
    "glass bottle": (np.array(HOOP) / HOOP[0], 1500.0, 0.0035, 4.0),
    "ceramic bowl": (np.array(HOOP) / HOOP[0], 760.0, 0.0070, 4.0),
    "drum skin": (np.array(DRUM), 130.0, 0.0150, 6.0),
    "bell": (np.array(BELL), 480.0, 0.0004, 0.5),
    "rubber tile": (np.array(PLATE) / PLATE[0], 105.0, 0.1400, 20.0),
}
assert set(VOICES) == set(TARGETS)

# lowest and highest in Hz, count, and decay in 1/s of what a floor adds to an impact
FLOOR_VOICES = {
    "stone": (180.0, 900.0, 3, 160.0),
    "wood": (110.0, 520.0, 5, 45.0),
    "metal": (230.0, 2300.0, 7, 16.0),
    "carpet": (70.0, 160.0, 3, 80.0),
    "grass": (60.0, 400.0, 6, 110.0),
}


def target_modes(kind: str, size: float) -> Modes:
    """The modes of a struck thing `size` metres wide."""
    ratios, lowest, friction, held = VOICES[kind]
    return _modes(ratios * lowest * 0.4 / size, friction, held)


def floor_modes(material: str) -> Modes:
    """The modes of a floor."""
    low, high, count, decay = FLOOR_VOICES[material]
    frequency = np.geomspace(low, high, count) * (1 + 0.07 * np.sin(np.arange(count) * 2.4))
    return Modes(frequency, np.full(count, decay), np.full(count, 1 / count))


def _modes(frequency: Array, friction: float, held: float) -> Modes:
    weight = 1.0 / np.arange(1, len(frequency) + 1)
    return Modes(frequency, math.pi * frequency * friction + held, weight / weight.sum())


def impact(
    modes: Modes, pair: tuple[str, str], size: float, speed: float, rate: int, lead: float, count: int
) -> Array:
    """The dry sound of one impact 1 m away, (n,) float64, n <= count.

    Args:
        modes: of what is struck.
        pair: the materials that touch.
        size: of what is struck or falls, m.
        speed: at which they close in, m/s.
        rate: samples a second.
        lead: s from the touch to the first sample, so that touches lie between samples.
        count: how many samples are needed at most.
    """
    push = _push(modes.frequency * contact_seconds(*pair, size, speed))
    heard = modes.frequency < 0.45 * rate
    amplitude = GAIN * speed * (modes.weight * push)[heard]
    wave = ring(amplitude, modes.frequency[heard], modes.decay[heard], rate, lead, count)
    pole = math.exp(-2 * math.pi * LOWEST / rate)
    return lfilter([1.0, -1.0], [1.0, -pole], wave)


def _push(phase: Array) -> Array:
    """Spectrum of a half-sine push at frequency times length, 1 at 0: along the tops of its lobes.

    The lobes' zeros, |cos(pi x) / (1 - 4 x^2)|, are those of a perfect half-sine; no contact is one.
    """
    return 1 / np.sqrt(1 + (2 * phase) ** 4)


def ring(amplitude: Array, frequency: Array, decay: Array, rate: int, lead: float, count: int) -> Array:
    """sum_k amplitude exp(-decay t) sin(2 pi frequency t) at t = lead + n / rate, (n,).

    exp(s (lead + n / rate)) for n = a BLOCK + b is a product of two short vectors, so that all modes of a
    long tail are one product of matrices.
    """
    if not len(amplitude):
        return np.zeros(0)
    count = min(count, math.ceil(-SILENCE / float(decay.min()) * rate))
    step = (-decay + 2j * math.pi * frequency)[:, None] / rate  # (K, 1)
    fine = amplitude[:, None] * np.exp(step * (np.arange(BLOCK) + lead * rate))  # (K, BLOCK)
    coarse = np.exp(step * (BLOCK * np.arange(math.ceil(count / BLOCK))))  # (K, blocks)
    both = np.concatenate([coarse.real, coarse.imag]).T @ np.concatenate([fine.imag, fine.real])
    return both.reshape(-1)[:count]
