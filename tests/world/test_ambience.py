import math
import time

import numpy as np
import pytest

from avsim.clip import ClipSpec
from avsim.errors import InputError
from avsim.world.sound.ambience import ambience
from avsim.world.sound.rooms import PLACES

SPEC = ClipSpec(seconds=2.0, sample_rate=16_000)
LEVELS = {  # dB re full scale: least and greatest rms
    "restaurant": (-43, -33),
    "space station": (-41, -32),
    "national park": (-43, -33),
    "concert hall": (-51, -38),
    "cave": (-50, -38),
    "dry studio": (-62, -54),
}


def made(place: str, seed: int, spec: ClipSpec = SPEC) -> np.ndarray:
    return ambience(place, spec, np.random.default_rng(seed))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (16_000, 2), (48_000, 2)])
def test_shape_level_and_no_offset(place, rate, channels):
    spec = ClipSpec(seconds=1.5, sample_rate=rate, channels=channels)
    for seed in range(10):
        wave = made(place, seed, spec)
        assert wave.shape == (channels, spec.samples) and wave.dtype == np.float64
        low, high = LEVELS[place]
        assert low < 20 * math.log10(np.sqrt(np.mean(wave**2))) < high
        assert np.abs(wave.mean(1)).max() < 1e-8
        assert np.abs(wave).max() < 0.2


@pytest.mark.parametrize("place", PLACES)
def test_fixed_by_the_seed_and_different_for_each(place):
    assert np.array_equal(made(place, 1), made(place, 1))
    a, b = made(place, 1), made(place, 2)
    assert abs(np.vdot(a, b)) < 0.3 * np.linalg.norm(a) * np.linalg.norm(b)


@pytest.mark.parametrize("place", PLACES)
def test_no_clicks(place):
    """No step from sample to sample stands out of its 5 ms by more than noise does; a cut would."""
    for seed in range(20):
        wave = made(place, seed)[0]
        jumps = np.abs(np.diff(wave))
        around = np.sqrt(np.convolve(jumps**2, np.ones(81) / 81, "same"))
        assert (jumps / (around + 1e-5)).max() < 6


def test_places_can_be_told_by_their_sound():
    """The nearest mean of level, spectrum and its changes over time finds the place in 95 % of the clips."""

    def features(wave: np.ndarray) -> np.ndarray:
        frames = np.lib.stride_tricks.sliding_window_view(wave[0], 512)[::256] * np.hanning(512)
        power = np.abs(np.fft.rfft(frames)) ** 2
        edges = np.geomspace(1, 257, 13).astype(int)
        bands = np.log(np.add.reduceat(power, np.unique(edges[:-1]), axis=1) + 1e-9)
        return np.concatenate([bands.mean(0), bands.std(0)])

    train = {place: np.stack([features(made(place, s)) for s in range(20)]) for place in PLACES}
    scale = np.concatenate(list(train.values())).std(0)
    means = {place: value.mean(0) for place, value in train.items()}
    hits = 0
    for place in PLACES:
        for seed in range(100, 120):
            found = features(made(place, seed))
            hits += place == min(PLACES, key=lambda p: np.linalg.norm((found - means[p]) / scale))
    assert hits >= 0.95 * 20 * len(PLACES)


def test_a_clip_costs_a_few_milliseconds():
    for place in PLACES:
        made(place, 0)
        begin = time.process_time()
        for seed in range(10):
            made(place, seed)
        assert (time.process_time() - begin) / 10 < 0.03


def test_unknown_place_is_named():
    with pytest.raises(InputError, match="swimming pool"):
        made("swimming pool", 0)
