"""Falling bodies: when they touch, how fast, how they bounce, and that this is what is heard."""

import math
from dataclasses import replace

import numpy as np
import pytest

from avsim import ClipSpec
from avsim.world import WorldConfig
from avsim.world.flat.drop import GRAVITY, SOFTEST, fall, mass
from avsim.world.flat.random_scenes import draw_scene
from avsim.world.flat.scene import Body, Scene, Wall
from avsim.world.materials import FLOORS, MATERIALS, restitution
from tests.world import hearing

SPEC = ClipSpec()


def touches(*bodies, end=4.0, **scene):
    return fall(Scene(bodies=bodies, **scene), np.zeros(0), end)[1]


@pytest.mark.parametrize("material", MATERIALS)
@pytest.mark.parametrize("floor", FLOORS)
def test_a_ball_bounces_as_gravity_and_restitution_say(material, floor):
    body = Body("ball", material, size=0.3, height=1.0, release=0.1234)
    found = touches(body, floor=floor)
    times, speeds = np.array([t.seconds for t in found]), np.array([t.speed for t in found])
    bounce, first = restitution(material, floor), math.sqrt(2 * GRAVITY * 1.0)
    expected = first * bounce ** np.arange(len(found))
    assert times[0] == pytest.approx(0.1234 + first / GRAVITY, abs=2e-4)
    assert speeds == pytest.approx(expected, abs=5e-3)
    intervals = 2 * expected[1:] / GRAVITY
    assert np.diff(times) == pytest.approx(intervals, abs=1e-3)
    long = intervals[:-1] > 0.1  # the shorter ones are within a few steps
    if len(intervals) > 1:
        ratios = np.diff(times)[1:] / np.diff(times)[:-1]
        assert ratios[long] == pytest.approx(bounce, rel=0.02)
    following = expected[-1] * bounce
    assert following < SOFTEST + 0.01 or times[-1] + 2 * following / GRAVITY > 4.0


def test_impulses_are_what_stops_and_returns_the_body():
    for touch in touches(Body("ball", "metal", size=0.2, height=0.8, release=0.0)):
        kilograms, _ = mass(Body("ball", "metal", size=0.2))
        assert touch.impulse == pytest.approx((1 + restitution("metal", "stone")) * kilograms * touch.speed)


def test_two_bodies_that_collide_keep_their_momentum():
    left = Body("ball", "rubber", size=0.3, x=-0.5, height=1.5, release=0.0, drift=1.5)
    right = Body("ball", "wood", size=0.3, x=0.5, height=1.5, release=0.0, drift=-0.5)
    first = touches(left, right)[0]
    assert (first.body, first.other) == (1, 0)
    assert first.seconds == pytest.approx(0.7 / 2.0, abs=1e-3)
    assert first.speed == pytest.approx(2.0, abs=1e-2)
    assert first.x == pytest.approx(-0.5 + 0.15 + 1.5 * 0.35, abs=1e-2)
    times = np.array([0.30, 0.31, 0.40, 0.41])
    path, _ = fall(Scene(bodies=(left, right)), times, 0.5)
    masses = [mass(left)[0], mass(right)[0]]
    momentum = [m * (path[k, 0, [1, 3]] - path[k, 0, [0, 2]]) / 0.01 for k, m in enumerate(masses)]
    before, after = sum(momentum)
    assert before == pytest.approx(after, rel=1e-2)
    parting = (path[1, 0, 3] - path[1, 0, 2] - path[0, 0, 3] + path[0, 0, 2]) / 0.01
    assert parting == pytest.approx(2.0 * restitution("rubber", "wood"), rel=2e-2)


def test_bodies_bounce_off_walls():
    body = Body("ball", "rubber", size=0.2, x=0.3, height=1.5, release=0.0, drift=1.0)
    found = [t for t in touches(body, walls=(Wall(0.8, "wood"),), end=0.5) if t.other == -2]
    assert len(found) == 1
    assert found[0].seconds == pytest.approx(0.4, abs=1e-3)
    assert found[0].x == pytest.approx(0.8, abs=1e-2)


def test_a_cube_that_lands_on_a_corner_lands_on_the_other_too():
    found = touches(Body("cube", "wood", size=0.3, height=0.5, release=0.0, angle=0.3), floor="carpet")
    assert len(found) >= 2 and found[0].x < 0 < found[1].x or found[1].x < 0 < found[0].x
    flat = touches(Body("cube", "wood", size=0.3, height=0.5, release=0.0), floor="carpet")
    assert abs(flat[0].x) < 0.02 and flat[1].seconds - flat[0].seconds > 0.05  # both corners are one touch


def test_a_body_hangs_until_its_release_and_never_sinks():
    times = np.linspace(0, 3, 301)
    for shape in ("ball", "cube", "bar", "ring"):
        body = Body(shape, "glass", size=0.4, x=0.2, height=0.9, release=0.5, drift=0.2, angle=0.4, spin=2.0)
        path, _ = fall(Scene(bodies=(body,)), times, 3.0)
        x, y, angle = path[0]
        still = times <= 0.5
        assert np.ptp(x[still]) == np.ptp(y[still]) == np.ptp(angle[still]) == 0
        fell = (times > 0.5) & (times < 0.85)
        since = times[fell] - 0.5
        assert y[fell] == pytest.approx(body.middle - GRAVITY * since**2 / 2, abs=1e-4)
        assert x[fell] == pytest.approx(0.2 + 0.2 * since, abs=1e-4)
        if shape in ("ball", "ring"):
            low = y - body.size / 2
        else:
            high = body.size * np.abs(np.sin(angle)) + body.thickness * np.abs(np.cos(angle))
            low = y - high / 2
        assert low.min() > -0.02
        assert np.abs(np.diff(y)).max() < 0.06  # it never jumps


def test_contacts_dont_depend_on_the_frame_rate():
    config = WorldConfig(scenes=("drop",), things=(3, 3))
    for k in range(5):
        scene = draw_scene(config, np.random.default_rng(k))
        one = fall(scene, ClipSpec(frames_per_second=16).frame_seconds().numpy(), 2.0)[1]
        assert one == fall(scene, ClipSpec(frames_per_second=30).frame_seconds().numpy(), 2.0)[1]


def test_what_does_not_fall_makes_no_sound():
    hanging = Body("ball", "metal", height=1.0, release=9.0)
    lying = Body("cube", "wood", x=0.6, height=0.0, release=0.0)
    assert touches(hanging, lying, end=2.0) == []


def listened(count):
    """Onsets against contacts, over clips of one body; softer touches drown in what still rings."""
    return hearing.listened(WorldConfig(scenes=("drop",)), SPEC, count, firm=0.3)


def test_librosa_hears_each_contact_when_it_happens():
    assert listened(25) > 25


@pytest.mark.slow
def test_librosa_hears_each_contact_when_it_happens_in_200_clips():
    assert listened(200) > 200


def test_scaled_release_moves_everything():
    body = Body("bar", "metal", size=0.4, height=0.7, release=0.1, angle=0.8)
    early, late = touches(body, end=2.0), touches(replace(body, release=0.6), end=2.5)
    assert [t.seconds + 0.5 for t in early] == pytest.approx([t.seconds for t in late], abs=1e-6)
