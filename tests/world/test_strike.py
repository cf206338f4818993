"""The stick: it arrives at its speed at the time of the hit, where the thing is; a near miss stays away."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from avsim import ClipSpec
from avsim.world import WorldConfig, render
from avsim.world.flat.scene import TARGETS, Hit, Scene, Stick, Target
from avsim.world.flat.shapes import TIP, strike_point
from avsim.world.flat.strike import GAP, HIGHEST, height, held, tip_path
from tests.world import hearing

SPEC = ClipSpec()
BELL = Target("bell")


def struck(*hits, targets=(BELL,), tip="wood", **scene):
    return Scene(targets=targets, stick=Stick(tip, hits), **scene)


@pytest.mark.parametrize("speed", [0.3, 1.0, 2.5, 4.5])
@pytest.mark.parametrize("before", [None, 0.3, 1.2])
def test_the_tip_touches_at_the_time_of_the_hit_with_its_speed(speed, before):
    hits = [Hit(2.0, speed)]
    if before is not None:
        hits.insert(0, Hit(2.0 - before, 2.0))
    scene, step = struck(*hits), 1e-6
    a, b, c = height(scene.stick.hits, scene, np.array([2.0 - 2 * step, 2.0 - step, 2.0]))
    assert c == pytest.approx(0.0, abs=1e-12)
    assert (a - b) / step == pytest.approx(speed, rel=1e-3)
    path = height(scene.stick.hits, scene, np.linspace(0, 4, 4001))
    assert -1e-9 <= path.min() and path.max() <= HIGHEST + 0.15
    assert np.abs(np.diff(path)).max() < 6e-3


def test_harder_strokes_come_from_higher_and_are_seen():
    tops = []
    for speed in (0.6, 1.2, 2.4, 4.5):
        scene = struck(Hit(1.0, speed))
        tops.append(height(scene.stick.hits, scene, np.linspace(0.7, 1, 301)).max())
    assert tops == sorted(tops) and tops[0] > 0.0625  # 2 pixels of 64 in 2 m


def test_the_tip_is_where_the_thing_is_struck_and_goes_to_the_other_in_between():
    targets = (Target("drum skin", size=0.5, x=-0.5), Target("glass bottle", size=0.4, x=0.5))
    scene = struck(Hit(0.5, 2.0, 0), Hit(1.2, 2.0, 1), Hit(1.7, 1.0, 1), targets=targets)
    times = np.array([hit.seconds for hit in scene.stick.hits])
    x, y, _ = tip_path(scene, times)
    for k, hit in enumerate(scene.stick.hits):
        point, way = strike_point(targets[hit.target], held(scene))
        assert [x[k], y[k]] == pytest.approx(point + TIP * way)
    contacts = [contact for actor in hearing.actors(scene, SPEC) for contact in actor.contacts]
    assert sorted(c.seconds for c in contacts) == times.tolist()
    for contact in contacts:
        target = targets["bottle" in contact.things[0]]
        assert [contact.x, contact.y] == pytest.approx(strike_point(target, held(scene))[0])


@pytest.mark.parametrize("x", [-0.7, 0.7])
def test_the_stick_comes_from_the_side_with_more_room(x):
    scene = struck(Hit(0.5), targets=(Target("ceramic bowl", x=x),))
    tip, _, _ = tip_path(scene, np.array([0.0, 0.5]))
    assert held(scene) == -np.sign(x)
    assert (tip[0] - tip[1]) * x < 0 and (tip[1] - x) * x < 0


def test_a_near_miss_is_silent_and_stays_a_hands_breadth_away():
    scene = struck(Hit(0.5, 2.0), Hit(1.0, 3.0, miss=True), Hit(1.5, 2.0))
    times = np.linspace(0.7, 1.3, 601)
    assert height(scene.stick.hits, scene, times).min() == pytest.approx(GAP, abs=1e-6)
    (actor,) = hearing.actors(scene, SPEC)
    assert [contact.seconds for contact in actor.contacts] == [0.5, 1.5]
    assert len(actor.sounds) == 2


def test_a_stick_that_never_strikes_makes_no_sound():
    clip, truth = render(struck(ambience=-np.inf), SPEC)
    assert clip.wave.abs().max() == 0 and truth.contacts == ()


def test_soft_tips_are_duller():
    def centre(tip):
        (actor,) = hearing.actors(struck(Hit(0.2, 2.0), tip=tip), SPEC)
        power = np.abs(np.fft.rfft(hearing.dry(actor, SPEC))) ** 2
        return np.sum(power * np.arange(len(power))) / power.sum()

    assert centre("metal") > centre("wood") > centre("rubber") > centre("felt")


@pytest.mark.parametrize("kind", TARGETS)
def test_a_harder_stroke_is_louder(kind):
    speeds = np.linspace(0.4, 4.5, 10)
    levels = []
    for speed in speeds:
        scene = struck(Hit(0.2, float(speed)), targets=(Target(kind),))
        levels.append(hearing.decibels(hearing.dry(hearing.actors(scene, SPEC)[0], SPEC)))
    assert spearmanr(speeds, levels)[0] >= 0.95 and levels[-1] - levels[0] > 15


def listened(count):
    """Onsets against contacts, over clips of one target."""
    return hearing.listened(WorldConfig(scenes=("strike",)), SPEC, count)


def test_librosa_hears_each_hit_when_it_happens():
    assert listened(25) > 40


@pytest.mark.slow
def test_librosa_hears_each_hit_when_it_happens_in_200_clips():
    assert listened(200) > 300


def test_a_clip_ends_where_its_last_frame_does():
    """2.04 s are 33 frames of a sixteenth: a hit at 2.05 s is in the frame, in the truth and in words."""
    spec = ClipSpec(seconds=2.04)
    scene = Scene(targets=(Target("bell"),), stick=Stick("metal", (Hit(2.05, speed=4.0),)))
    _, truth = render(scene, spec)
    assert spec.frames == 33 and spec.end == 2.0625
    assert [contact.seconds for contact in truth.contacts] == [2.05]
    assert truth.facts.things[0].does == "is struck" and truth.facts.things[0].times == 1
