"""What reaches the listener: when, how loud, from where, and with which room."""

import math

import numpy as np
import pytest
from scipy.signal import fftconvolve
from scipy.stats import spearmanr

from avsim import ClipSpec
from avsim.world.flat.actor import Sound
from avsim.world.flat.camera import Camera, Framing, Shot
from avsim.world.sound import rooms
from avsim.world.sound.listener import (
    DISTANCE,
    EARS,
    GAIN,
    HEIGHT,
    SOUND_SPEED,
    aligned,
    arrival,
    distance,
    hear,
)

SPEC = ClipSpec()
STILL = Camera()
PARK = "national park"  # no reverberation


def click(x=0.0, y=HEIGHT, seconds=0.1):
    seconds, _ = aligned(seconds, x, y, SPEC.sample_rate)
    return Sound(seconds, np.ones(1), x, y)


def test_sound_comes_later_and_weaker_from_afar():
    for x in (0.0, 0.4, -0.9):
        wave = hear([click(x)], PARK, STILL, SPEC)
        far = math.hypot(x, DISTANCE)
        first = np.flatnonzero(wave.any(0))[0]
        assert first == math.ceil((0.1 + far / SOUND_SPEED) * SPEC.sample_rate)
        assert np.sum(wave**2) == pytest.approx((GAIN / far) ** 2)
        assert arrival(0.1, x, HEIGHT) == pytest.approx(0.1 + distance(x, HEIGHT) / SOUND_SPEED)


def test_aligned_sound_lies_on_a_sample_no_sooner_than_its_touch():
    for seconds in np.linspace(0.1, 0.101, 37):
        first, lead = aligned(seconds, 0.3, 0.2, SPEC.sample_rate)
        samples = arrival(first, 0.3, 0.2) * SPEC.sample_rate
        assert samples == pytest.approx(round(samples), abs=1e-6)
        assert 0 <= lead < 1 / SPEC.sample_rate + 1e-12 and first == pytest.approx(seconds + lead)


def test_level_and_time_differences_follow_the_side():
    places = np.linspace(-1.0, 1.0, 15)
    levels, delays = [], []
    for x in places:
        left, right = hear([click(float(x))], PARK, STILL, SPEC)
        levels.append(10 * np.log10(np.sum(right**2) / np.sum(left**2)))
        delays.append(np.argmax(np.abs(left)) - np.argmax(np.abs(right)))
    assert spearmanr(places, levels)[0] >= 0.95 and levels == pytest.approx([-v for v in levels[::-1]])
    assert spearmanr(places, delays)[0] >= 0.95
    assert max(delays) == round(EARS / SOUND_SPEED / math.hypot(1, DISTANCE) * SPEC.sample_rate)


def test_what_is_seen_on_the_left_is_heard_on_the_left():
    turned = Camera((Shot(0.0, Framing(x=0.8)),))
    left, right = hear([click(0.4)], PARK, turned, SPEC)  # right of the stage's middle, left in the frame
    assert np.sum(left**2) > 2 * np.sum(right**2)


def test_a_cut_moves_the_sound_without_a_click():
    camera = Camera((Shot(0.0, Framing(x=-0.8)), Shot(1.0, Framing(x=0.8))))
    tone = Sound(0.0, np.sin(2 * np.pi * 200 * np.arange(40000) / SPEC.sample_rate), 0.0, HEIGHT)
    wave = hear([tone], PARK, camera, SPEC)
    before, after = wave[:, 2000:15000], wave[:, 17000:]
    assert np.sum(before[1] ** 2) > 3 * np.sum(before[0] ** 2)  # it was to the right of the frame
    assert np.sum(after[0] ** 2) > 3 * np.sum(after[1] ** 2)
    steepest = np.abs(np.diff(wave, 2)).max(0)
    assert steepest[15500:16500].max() < 1.3 * steepest[3000:15000].max()


def test_the_room_is_a_convolution_and_the_park_has_none():
    wave = np.random.default_rng(0).standard_normal(400)
    sound = Sound(0.25, wave, 0.5, HEIGHT)
    direct = hear([sound], PARK, STILL, SPEC)
    dry = np.zeros(SPEC.samples)
    dry[4000:4400] = wave
    for place in ("cave", "restaurant"):
        response = rooms.response(place, SPEC.sample_rate, 2)
        expected = direct + GAIN * np.stack([fftconvolve(dry, row)[: SPEC.samples] for row in response])
        assert np.abs(hear([sound], place, STILL, SPEC) - expected).max() < 1e-9
    assert rooms.response(PARK, SPEC.sample_rate, 2).size == 0


def test_one_channel_hears_the_middle():
    mono = ClipSpec(channels=1)
    one = hear([click(0.0)], PARK, STILL, mono)
    two = hear([click(0.0)], PARK, STILL, SPEC)
    assert one.shape == (1, mono.samples) and one[0] == pytest.approx(two.mean(0))


def test_sounds_outside_the_clip_are_cut_off_not_wrapped():
    tone = np.ones(1000)
    wave = hear([Sound(-0.05, tone, 0.0, HEIGHT), Sound(1.99, tone, 0.0, HEIGHT)], PARK, STILL, SPEC)
    assert wave.shape == (2, SPEC.samples)
    assert wave[:, 0].all() and not wave[:, 1000:31000].any() and wave[:, -1].all()
