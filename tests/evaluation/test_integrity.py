import math
from dataclasses import replace

import pytest

from avsim.evaluation.integrity import GRAVITY, VIEW, Integrity, falls, typical_things
from avsim.perception.detections import DetectedThing

BALL = DetectedThing(0.0, 0.5, 0.5, "ball", "metal", "gold", 0.2, 1.0)
CUBE = replace(BALL, kind="cube", colour="red", x=0.3)


def judged(frames, **options) -> dict[str, float]:
    scorer = Integrity()
    scorer.update(frames, 16.0, **options)
    return {name: value.item() for name, value in scorer.compute().items()}


def test_all_is_well():
    found = judged([[BALL, CUBE]] * 20)
    assert list(found.values())[:5] == [1, 1, 1, 1, 1] and math.isnan(list(found.values())[5])
    assert typical_things([[BALL, BALL], [BALL, BALL], [CUBE]]) == {("ball", "gold"): 2}


@pytest.mark.parametrize(
    "wrong, kinds, number, sizes",
    [
        ([BALL], 0, 0, 1),  # one has vanished in flight, or merged with the other
        ([BALL, CUBE, replace(BALL, x=0.1)], 0, 0, 1),  # a ghost
        ([BALL, replace(CUBE, colour="black")], 0, 1, 1),  # another colour
        ([BALL, replace(CUBE, kind="ball")], 0, 1, 1),  # another shape
        ([BALL, replace(CUBE, size=0.4)], 1, 1, 0),  # grown
        ([BALL, replace(CUBE, size=0.26)], 1, 1, 1),  # about as large
        ([], 0, 0, 1),
    ],
)
def test_one_fault_makes_a_frame_wrong(wrong, kinds, number, sizes):
    found = judged([[BALL, CUBE]] * 18 + [wrong] * 2)
    values = (number + 9) / 10, (kinds + 9) / 10, (sizes + 9) / 10
    assert tuple(
        found[f"frames of the right {name}"] for name in ("number", "kinds and colours", "sizes")
    ) == (pytest.approx(values))
    assert found["frames right"] == pytest.approx(1.0 if kinds and number and sizes else 0.9)
    assert found["clips with at least 90 % of frames right"] == 1
    assert judged([[BALL, CUBE]] * 17 + [wrong] * 3)["clips with at least 90 % of frames right"] == (
        kinds and number and sizes
    )


def test_what_rolls_out_of_the_picture_may_be_away():
    leaving = [[replace(BALL, x=x / 16)] for x in range(8, 16)] + [[]] * 6
    assert judged(leaving)["frames right"] == 1
    middle = [[replace(BALL, x=x / 32)] for x in range(8, 16)] + [[]] * 6
    assert judged(middle)["frames right"] == pytest.approx(8 / 14)


def test_what_should_be_there_may_be_given():
    assert judged([[BALL]] * 10, expected=[("ball", "gold")])["frames right"] == 1
    assert judged([[BALL]] * 10, expected=[("cube", "red")])["frames right"] == 0
    scorer = Integrity()
    scorer.update([[]] * 10, 16.0)
    assert scorer.scores()["frames right"].skipped == {"nothing is seen in it": 1}


def dropped(acceleration: float, frames_per_second: float = 30.0) -> list[list[DetectedThing]]:
    heights = [0.1 + acceleration / VIEW / 2 * (k / frames_per_second) ** 2 for k in range(13)]
    return [[replace(BALL, y=y)] for y in [0.1] * 3 + heights + [heights[-2], heights[-3]]]


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_free_fall_is_measured(share):
    found = falls(dropped(share * GRAVITY), ("ball", "gold"), 30.0)
    assert found == [pytest.approx(share, rel=0.05)]
    assert falls([[BALL]] * 20, ("ball", "gold"), 30.0) == []
