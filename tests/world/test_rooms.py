import time

import numpy as np
import pytest
from scipy.signal import butter, sosfiltfilt

from avsim.errors import InputError
from avsim.world.sound.rooms import PLACES, ROOMS, RT60, response

DISTANCE, SPEED = 2.5, 343.0  # m, m/s


def t20(wave: np.ndarray, rate: int) -> float:
    """From the slope of Schroeder's backward integral between -5 and -25 dB (ISO 3382)."""
    energy = np.cumsum(wave[::-1] ** 2)[::-1]
    level = 10 * np.log10(energy / energy[0] + 1e-30)
    within = (level < -5) & (level > -25)
    return -60 / np.polyfit(np.flatnonzero(within) / rate, level[within], 1)[0]


def octave(wave: np.ndarray, middle: float, rate: int) -> np.ndarray:
    edges = [middle / np.sqrt(2), middle * np.sqrt(2)]
    sos = butter(3, edges, "band", fs=rate, output="sos")
    return sosfiltfilt(sos, np.pad(wave, (0, rate // 4)))


@pytest.mark.parametrize("rate", [8_000, 16_000, 48_000])
@pytest.mark.parametrize("place", ROOMS)
def test_reverberation_time_is_as_stated(place, rate):
    ears = response(place, rate, 2)
    middle = [t20(octave(ear, hertz, rate), rate) for ear in ears for hertz in (500, 1000)]
    assert abs(np.mean(middle) / RT60[place] - 1) <= 0.15
    if rate == 16_000:
        assert abs(np.mean([t20(ear, rate) for ear in ears]) / RT60[place] - 1) <= 0.15


@pytest.mark.parametrize("place", ROOMS)
def test_nothing_comes_before_or_with_the_direct_sound(place):
    ears = response(place, 48_000, 2)
    direct = round((DISTANCE / SPEED + 0.0005) * 48_000)
    assert np.abs(ears[:, :direct]).max() < 1e-3 * np.abs(ears).max()
    # The first reflections come within 40 ms and are weaker than the direct sound would be.
    assert np.abs(ears[:, : round(0.04 * 48_000)]).max() > 0.02
    assert np.abs(ears).max() < 1 / DISTANCE


@pytest.mark.parametrize("place", ROOMS)
def test_reverberation_decays_to_nothing_and_has_no_offset(place):
    ears = response(place, 16_000, 2)
    assert ears.shape[1] >= RT60[place] * 16_000
    assert np.sqrt(np.mean(ears[:, -200:] ** 2)) < 1e-3 * np.abs(ears).max()
    assert np.abs(ears.sum(1)).max() < 0.15  # gain at 0 Hz, of a direct sound of 1 / 2.5


@pytest.mark.parametrize("place", ROOMS)
def test_the_tail_takes_over_at_the_level_of_the_reflections(place):
    """No step of more than 6 dB between the 40 ms before and after the joint, once the decay is taken out."""
    rate, room = 16_000, ROOMS[place]
    ears, joint, span = response(place, rate, 2), round(room.early * rate), 640
    before, after = ears[:, joint - span - 320 : joint - 320], ears[:, joint : joint + span]
    step = 10 * np.log10(np.mean(after**2) / np.mean(before**2)) + 60 * (span + 320) / rate / room.rt60
    assert abs(step) < 6


def test_ears_hear_differently_and_one_channel_is_the_left():
    for place in ROOMS:
        both, one = response(place, 16_000, 2), response(place, 16_000, 1)
        assert abs(np.corrcoef(both)[0, 1]) < 0.9
        assert np.array_equal(one, both[:1])


def test_the_open_air_does_not_reverberate():
    assert RT60["national park"] == 0
    assert response("national park", 16_000, 2).shape == (2, 0)
    assert set(RT60) == set(PLACES) and len(PLACES) == 6


def test_gain_does_not_depend_on_the_rate():
    """A filter's response to 1 kHz is the same at every rate."""
    for place in ROOMS:
        gains = []
        for rate in (8_000, 16_000, 48_000):
            ear = response(place, rate, 1)[0]
            t = np.arange(len(ear)) / rate
            gains.append(abs(np.sum(ear * np.exp(-2j * np.pi * 1000 * t))))
        assert np.ptp(gains) < 0.03 * max(gains)


def test_responses_are_made_once():
    response("cave", 16_000, 2)
    begin = time.process_time()
    for _ in range(1000):
        response("cave", 16_000, 2)
    assert time.process_time() - begin < 0.1
    with pytest.raises(ValueError, match="read-only"):
        response("cave", 16_000, 2)[0, 0] = 1


def test_unknown_place_is_named():
    with pytest.raises(InputError, match="swimming pool"):
        response("swimming pool", 16_000, 2)
