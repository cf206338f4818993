import math

import pytest
import torch

from avsim.evaluation.events import EventSynchrony, Offset
from avsim.seeds import generator


def test_counts_by_hand():
    scorer = EventSynchrony()
    # At 10 fps: 0.02 late, 0.08 late, one unmatched each.
    scorer.update([0.52, 1.08, 1.9], [0.5, 1.0, 1.5], 10, 2.0)
    found = scorer.compute()
    assert found["F1 within 1 frame"] == pytest.approx(2 * 2 / 6)
    assert found["F1 within 1/2 frame"] == pytest.approx(2 * 1 / 6)
    assert found["audio after video, median, ms"] == pytest.approx(50)
    scorer.update([], [0.2], 10, 2.0)  # nothing is heard of it
    found = scorer.compute()
    assert found["recall within 1 frame"] == 2 / 4 and found["precision within 1 frame"] == pytest.approx(
        2 / 3
    )
    assert found["clips with a match"] == 0.5


def test_nothing_at_all_is_skipped():
    scorer = EventSynchrony()
    scorer.update([], [], 16, 2.0)
    score = scorer.scores()["F1 within 1 frame"]
    assert score.clips == 0 and score.skipped == {"nothing happens in it": 1} and math.isnan(score.value)


def test_chance_of_one_moment_is_the_share_of_time_its_window_covers():
    scorer = EventSynchrony()
    random = generator(0, "moments")
    for _ in range(300):
        heard, seen = torch.rand(2, generator=random).mul(4).tolist()
        scorer.update([heard], [seen], 10, 4.0)
    found = scorer.compute()
    assert found["chance of F1 within 1 frame"] == pytest.approx(0.2 / 4, abs=0.02)
    assert found["chance of F1 within 1/2 frame"] == pytest.approx(0.1 / 4, abs=0.015)
    assert found["F1 within 1 frame"] == pytest.approx(0.05, abs=0.04)  # unrelated moments score chance


def test_a_shift_is_seen_in_the_median_until_it_leaves_the_window():
    scorer = EventSynchrony()
    seen = [0.3, 0.9, 1.4]
    scorer.update([moment + 0.04 for moment in seen], seen, 16, 2.0)
    assert scorer.compute()["audio after video, median, ms"] == pytest.approx(40)
    assert scorer.compute()["F1 within 1 frame"] == 1 and scorer.compute()["F1 within 1/2 frame"] == 0
    assert scorer.each(scorer.rows).tolist() == [1.0]


def test_offsets_follow_what_was_put_in():
    scorer = Offset()
    for injected, found in ((-0.4, -0.38), (0.0, 0.01), (0.2, 0.15), (0.5, 0.9)):
        scorer.update(found, injected)
    numbers = scorer.compute()
    assert numbers["rank correlation with the offset put in"] == pytest.approx(1.0)
    assert numbers["offset, median, ms"] == pytest.approx(20)  # the lower of the middle two, as torch has it
    plain = Offset()
    plain.update(-0.03)
    assert plain.compute()["offset, median, ms"] == pytest.approx(30)
    assert plain.compute()["rank correlation with the offset put in"].isnan()
    assert plain.each(plain.rows).tolist() == pytest.approx([-30])
