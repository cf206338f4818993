"""The truth in detectors' words, for a ball whose fall is known by hand."""

import math

import pytest

from avsim.clip import ClipSpec
from avsim.perception import ground_truth as truths
from avsim.perception.vocabulary import COLOURS, KINDS, MATERIALS
from avsim.world import Scene, WorldDataset, render
from avsim.world.flat.scene import Hit, Player, Stick, Target
from avsim.world.sound.phrases import Note
from tests.perception.falling import LANDS, SPEED, falling


def test_words():
    assert len(set(KINDS)) == 23 and len(set(MATERIALS)) == 7 and len(set(COLOURS)) == 17
    assert KINDS[0] == MATERIALS[0] == COLOURS[0] == ""


def test_a_ball_lands():
    clip, truth = falling()
    first, *later = truths.events(truth, clip.spec)
    assert first.what.seconds == pytest.approx(LANDS, abs=1e-3)
    assert first.what.speed == pytest.approx(SPEED, rel=1e-3)
    assert (first.what.kind, first.what.material) == ("ball", "wood") and first.clear
    # 2 m are seen, the floor lies 0.25 m up; the ball lands 0.5 m left of the middle
    assert (first.what.x, first.what.y) == pytest.approx((0.25, 0.875), abs=1e-3)
    assert all(moment.what.speed < SPEED for moment in later)


def test_what_is_slow_is_not_asked_for():
    clip, truth = falling(ClipSpec(seconds=4.0))
    slow = [moment for moment in truths.events(truth, clip.spec) if moment.what.speed < truths.SLOWEST]
    assert slow and not any(moment.clear for moment in slow)


def test_it_is_heard_later_by_its_way():
    clip, truth = falling()
    onset = truths.onsets(truth)[0]
    way = math.sqrt(2.5**2 + 0.5**2 + 0.75**2) / 343
    assert onset.what.seconds == pytest.approx(LANDS + way, abs=1e-3) and onset.clear
    first = int(onset.what.seconds * 16000)
    power = clip.wave[:, first : first + 960].square().mean()
    assert onset.what.level == pytest.approx(float(10 * power.log10()), abs=0.2)


def test_things_are_where_they_hang():
    clip, truth = falling()
    frames = truths.things(truth, clip.spec)
    assert len(frames) == 32 and all(len(frame) == 1 for frame in frames)
    seen = frames[0][0]
    assert (seen.kind, seen.material, seen.colour) == ("ball", "wood", "tan")
    assert (seen.x, seen.y) == pytest.approx((0.25, 1 - (0.25 + 1.0 + 0.2) / 2), abs=0.01)
    assert seen.size == pytest.approx(0.4 / 2) and seen.seconds == 1 / 32


def test_heard():
    _, truth = falling()
    heard = truths.audio_content(truth)
    assert [kind for kind, value in heard.kinds.items() if value] == ["ball"]
    assert [material for material, value in heard.materials.items() if value] == ["wood"]
    assert heard.place == "dry studio" and heard.decay == truth.rt60


def test_notes_and_strokes():
    notes = (Note(0.3, 0.3, 60, 0.8), Note(0.8, 0.3, 62, 0.8))
    clip, truth = render(Scene(players=(Player("cello", notes),)), ClipSpec())
    happened = [moment.what for moment in truths.events(truth, clip.spec)]
    assert [event.seconds for event in happened] == [0.3, 0.8]
    assert all(
        event.kind == "cello" and math.isnan(event.speed) and event.material == "" for event in happened
    )
    stick = Stick("wood", (Hit(0.5, 3.0), Hit(1.0, 3.0, miss=True)))
    clip, truth = render(Scene(targets=(Target("bell"),), stick=stick), ClipSpec())
    assert [moment.what.seconds for moment in truths.events(truth, clip.spec)] == [0.5]  # a miss is none


def test_what_follows_at_once_is_not_asked_for():
    """Two contacts of one thing within 0.1 s are one event to the eye."""
    for index in range(12):
        clip, truth = WorldDataset("easy", seed=3)[index]
        clear = [moment.what.seconds for moment in truths.events(truth, clip.spec) if moment.clear]
        assert all(b - a > truths.EVENTS_APART for a, b in zip(clear, clear[1:], strict=False))


def test_the_silent_world_is_silent():
    clip, truth = render(Scene(targets=(Target("bell"),)), ClipSpec())
    assert truths.onsets(truth) == truths.events(truth, clip.spec) == []
    assert not any(truths.audio_content(truth).kinds.values())
