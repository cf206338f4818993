"""What the tests of the world hear with: dry sounds on one time line, librosa's onsets, levels."""

import librosa
import numpy as np

from avsim.clip import ClipSpec
from avsim.world.captions.compose import things_of
from avsim.world.flat.actor import Actor
from avsim.world.flat.config import WorldConfig
from avsim.world.flat.random_scenes import draw_scene
from avsim.world.flat.render import perform
from avsim.world.flat.scene import Scene

HOP = 32
WINDOW = 256
LEAD = 0.0065  # s before an onset that a window of 256 samples begins to hold it, at 16 kHz
NOTE_HOP = 64
NOTE_WINDOW = 1024
NOTE_LEAD = 0.006  # s, the same for notes, in windows that tell the pitches of a legato apart
SILENCE = 2048  # samples before the sound, so that its first onset has a before


def actors(scene: Scene, spec: ClipSpec) -> list[Actor]:
    return perform(scene, spec, things_of(scene, spec))[0]


def dry(actor: Actor, spec: ClipSpec) -> np.ndarray:
    """An actor's sounds at 1 m, (N,)."""
    wave = np.zeros(spec.samples)
    for sound in actor.sounds:
        first = round(sound.seconds * spec.sample_rate)
        part = sound.wave[: max(0, spec.samples - first)]
        wave[first : first + len(part)] += part
    return wave


def onsets(wave: np.ndarray, rate: int = 16000) -> np.ndarray:
    """Times at which librosa finds onsets, s."""
    padded = np.concatenate([np.zeros(SILENCE), wave, np.zeros(SILENCE)])
    level = np.abs(librosa.stft(padded, n_fft=WINDOW, hop_length=HOP))
    strength = librosa.onset.onset_strength(
        S=librosa.amplitude_to_db(level, ref=1.0, amin=1e-4, top_db=None),
        sr=rate,
        hop_length=HOP,
        lag=2,
        center=False,
    )
    found = librosa.onset.onset_detect(
        onset_envelope=strength,
        sr=rate,
        hop_length=HOP,
        units="time",
        pre_max=round(0.02 * rate / HOP),  # librosa's are numbers of hops
        post_max=round(0.02 * rate / HOP),
        pre_avg=round(0.1 * rate / HOP),
        post_avg=round(0.1 * rate / HOP),
        delta=0.06,
        wait=round(0.03 * rate / HOP),
    )
    return found - SILENCE / rate + LEAD


def note_onsets(wave: np.ndarray, rate: int = 16000) -> np.ndarray:
    """Times at which librosa finds that a note begins, s: another pitch, as loud as before, is one too."""
    padded = np.concatenate([np.zeros(SILENCE), wave, np.zeros(SILENCE)])
    power = librosa.feature.melspectrogram(
        y=padded, sr=rate, n_fft=NOTE_WINDOW, hop_length=NOTE_HOP, n_mels=60
    )
    level = librosa.power_to_db(power, ref=1.0, amin=1e-5, top_db=None)
    strength = librosa.onset.onset_strength(S=level, sr=rate, hop_length=NOTE_HOP, lag=4, center=False)
    found = librosa.onset.onset_detect(
        onset_envelope=strength,
        sr=rate,
        hop_length=NOTE_HOP,
        units="time",
        pre_max=8,  # hops
        post_max=8,
        pre_avg=25,
        post_avg=25,
        delta=2.0,  # dB
        wait=12,
        normalize=False,
    )
    return found - SILENCE / rate + NOTE_LEAD


def alone(times: np.ndarray, apart: float = 0.15) -> np.ndarray:
    """Which times are at least `apart` from all others, (n,) bool."""
    gaps = np.diff(times, prepend=-np.inf), np.diff(times, append=np.inf)
    return np.minimum(*gaps) >= apart


def decibels(wave: np.ndarray) -> np.ndarray:
    """Mean power along the last axis, dB."""
    return 10 * np.log10(np.maximum(np.mean(np.square(np.asarray(wave, np.float64)), -1), 1e-20))


def listened(config: WorldConfig, spec: ClipSpec, count: int, firm: float = 0.0) -> int:
    """See that onsets and contacts agree within 10 ms in `count` clips of one thing; how many contacts did.

    Contacts slower than `firm` m/s, or near another one, need not be heard; what is heard must be a contact.
    """
    contacts = 0
    for k in range(count):
        (actor,) = actors(draw_scene(config, np.random.default_rng(k)), spec)
        times = np.array([c.seconds for c in actor.contacts])
        loud = np.array([c.speed > firm for c in actor.contacts], bool)
        heard = onsets(dry(actor, spec))
        for time in times[loud & alone(times) & (times < spec.seconds - 0.05)]:
            contacts += 1
            assert np.abs(heard - time).min() < 0.01, (k, time, heard)
        inside = heard[heard < spec.seconds - 0.02]  # the end of the clip is an edge
        assert not len(inside) or np.abs(inside[:, None] - times).min(1).max() < 0.01, (k, times, heard)
    return contacts
