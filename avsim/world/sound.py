"""Impacts -> sound: modal synthesis, placed in stereo by where it happens.

An impact at speed v on a ball rings its modes: y(t) = v sum_k a_k exp(-pi f_k tan(phi) t) sin(2 pi f_k t),
a_k being the weight of mode k under a half-sine push whose length T_c shortens as v^(-1/5) (Hertz): faster is
louder and brighter, bigger is lower, softer is duller. Sound is made from exact contact times, never rounded
to a sample.
"""

import math

import numpy as np

from avsim.clip import ClipSpec
from avsim.world.materials import MATERIALS, PITCH, SPHERE
from avsim.world.scene import VIEW, Ball, half_width

SOUND_SPEED = 343.0  # m/s
DISTANCE = 2.5  # m, from the camera, which is the listener, to the plane in which things move
GAIN = 0.08  # full scale per m/s, one for the whole world, so that loudness tells speed
SILENCE = math.log(1e-5)  # a mode is over when it has fallen by 100 dB
BLOCK = 256

Array = np.ndarray


def partials(material: str, radius: float) -> tuple[Array, Array]:
    """Frequencies in Hz and decay rates in 1/s of a ball's modes, each (K,)."""
    substance = MATERIALS[material]
    frequency = np.array(SPHERE) * PITCH * substance.shear_speed / (2 * math.pi * radius)
    return frequency, math.pi * frequency * substance.friction


def weights(material: str, radius: float, speed: float) -> Array:
    """Weights of the modes at an impact, (K,): 1 / k under a half-sine push's spectrum, at most 1 in sum."""
    frequency, _ = partials(material, radius)
    duration = MATERIALS[material].contact * (radius / 0.1) * max(speed, 0.01) ** -0.2
    phase = frequency * duration
    with np.errstate(divide="ignore", invalid="ignore"):
        push = np.abs(np.cos(math.pi * phase) / (1 - 4 * phase**2))
    push = np.where(np.abs(phase - 0.5) < 1e-6, math.pi / 4, push)  # its limit where both vanish
    rank = 1.0 / np.arange(1, len(frequency) + 1)
    return push * rank / rank.sum()


def arrival(seconds: float, x: float, y: float) -> float:
    """When sound made at (x, y) metres reaches the camera."""
    return seconds + _distance(x, y) / SOUND_SPEED


def impact(ball: Ball, seconds: float, speed: float, spec: ClipSpec) -> Array:
    """The sound of one impact at the listener, (A, N) float64."""
    x = float(ball.place(np.array([seconds]))[0][0])
    heard = arrival(seconds, x, 0.0)
    mono = np.zeros(spec.samples)
    first = math.ceil(heard * spec.sample_rate)
    if first < spec.samples:
        lead = first / spec.sample_rate - heard  # from the arrival to the first sample after it
        frequency, decay = partials(ball.material, ball.radius)
        for f, d, weight in zip(frequency, decay, weights(ball.material, ball.radius, speed), strict=True):
            if f < 0.45 * spec.sample_rate:
                _add_mode(mono[first:], weight, f, d, lead, spec.sample_rate)
    mono *= GAIN * MATERIALS[ball.material].level * speed * DISTANCE / _distance(x, 0.0)
    return np.outer(_pan(x, spec), mono)


def room_noise(level: float, spec: ClipSpec, random: np.random.Generator) -> Array:
    """Pink noise of an rms of `level` dB re full scale, (A, N) float64."""
    white = random.standard_normal((spec.channels, spec.samples))
    spectrum = np.fft.rfft(white, axis=-1)
    hertz = np.fft.rfftfreq(spec.samples, 1 / spec.sample_rate)
    spectrum *= np.where(hertz < 20.0, 0.0, 1.0 / np.sqrt(np.maximum(hertz, 20.0)))  # no DC, no rumble
    pink = np.fft.irfft(spectrum, n=spec.samples, axis=-1)
    rms = np.sqrt(np.mean(pink**2))
    return pink * (10 ** (level / 20) / max(rms, 1e-12))


def _add_mode(out: Array, weight: float, hertz: float, decay: float, lead: float, rate: int) -> None:
    """Add weight exp(-decay t) sin(2 pi hertz t) to `out`, its first sample at t = lead.

    exp((-d + i w)(lead + n / rate)) for n = a BLOCK + b is an outer product of two short vectors, which makes
    a long tail cost a multiplication a sample.
    """
    count = min(len(out), math.ceil(-SILENCE / decay * rate))
    step = complex(-decay, 2 * math.pi * hertz) / rate
    fine = weight * np.exp(step * (np.arange(BLOCK) + lead * rate))
    coarse = np.exp(step * BLOCK * np.arange(math.ceil(count / BLOCK)))
    tail = np.outer(coarse.imag, fine.real) + np.outer(coarse.real, fine.imag)
    out[:count] += tail.reshape(-1)[:count]


def _distance(x: float, y: float) -> float:
    return math.sqrt(DISTANCE**2 + x**2 + (y - VIEW / 2) ** 2)


def _pan(x: float, spec: ClipSpec) -> Array:
    """Equal-power gains by place in the picture, (A,); one channel hears the middle of the two."""
    angle = (1 + 0.8 * float(np.clip(x / half_width(spec), -1.0, 1.0))) * math.pi / 4
    left, right = math.cos(angle), math.sin(angle)
    return np.array([left, right]) if spec.channels == 2 else np.array([(left + right) / 2])
