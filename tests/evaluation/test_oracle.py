"""Perfect detectors, and what each corruption changes of what they find."""

import pytest

from avsim.clip import ClipSpec
from avsim.evaluation.corruptions import OF_A_CLIP, shifted, sounding, wrong_place
from avsim.evaluation.oracle import oracle_features, with_corruption
from avsim.evaluation.suite import METRICS
from avsim.world import Scene, render
from avsim.world.flat.scene import Body, Hit, Stick, Target

SPEC = ClipSpec(seconds=1.5)


@pytest.fixture(scope="module")
def made():
    scene = Scene(targets=(Target(kind="bell", x=-0.6),), stick=Stick(hits=(Hit(0.5), Hit(1.0))), seed=1)
    clip, truth = render(scene, SPEC)
    return clip, truth, oracle_features(clip, truth)


def asked(name, found):
    metric = next(metric for metric in METRICS if metric.name == name)
    scorer = metric.scorer()
    metric.update(scorer, found)
    return scorer.measured(scorer.kept[-1])


def test_the_truth_is_in_time_in_place_and_itself(made):
    _, _, found = made
    judged = asked("synchrony of events", found)
    assert judged[:3].tolist() == [2, 2, 2]
    assert asked("physics, 1 identity and material", found)[1] == 2
    assert found.offset == 0


def test_a_lie_changes_what_it_is_about_and_nothing_else(made):
    clip, truth, found = made
    late = with_corruption(found, shifted(clip, 320), "shifted by 320 ms", None, None)
    assert late.offset == pytest.approx(0.32)
    assert late.onsets[0].seconds == pytest.approx(found.onsets[0].seconds + 0.32)
    other = with_corruption(found, OF_A_CLIP["mirrored"](clip), "mirrored", None, None)
    assert other.view.events[0].x == pytest.approx(1 - found.view.events[0].x)
    assert (asked("synchrony of events", other) == asked("synchrony of events", found)).all()
    heard, elsewhere = sounding(clip, wrong_place(truth.scene))
    moved = with_corruption(found, heard, "wrong place", elsewhere, None)
    assert moved.heard.place != found.heard.place and moved.view == found.view
    silent = with_corruption(found, OF_A_CLIP["silenced"](clip), "silenced", None, None)
    assert not silent.onsets and not any(silent.heard.kinds.values())


def test_a_thing_in_the_middle_is_no_lie_when_mirrored():
    body = Scene(bodies=(Body(material="metal", release=0.0, x=0.0),), seed=3)
    clip, truth = render(body, SPEC)
    found = oracle_features(clip, truth)
    mirrored = with_corruption(found, OF_A_CLIP["mirrored"](clip), "mirrored", None, None)
    assert not asked("space", found).any() and not asked("space", mirrored).any()
