import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from avsim.perception.matching import Counts, count, match

MOMENTS = st.lists(st.integers(0, 40), max_size=8)


def test_by_hand():
    # 0.30 is nearer to 0.33 than 0.27 is, but only 0.27 leaves 0.30 for 0.35
    assert match([0.30, 0.27, 0.90], [0.33, 0.35], 0.0625) == [(1, 0), (0, 1)]
    assert match([], [0.1], 1.0) == match([0.1], [], 1.0) == []


def test_a_tolerance_is_kept_to_the_end():
    assert match([0.0], [0.5], 0.5) == [(0, 0)] and match([0.0], [0.5], 0.49) == []


@given(MOMENTS, MOMENTS, st.integers(0, 6))
def test_no_matching_has_more_pairs(found, true, tolerance):
    pairs = match(found, true, tolerance)
    assert all(abs(found[i] - true[j]) <= tolerance for i, j in pairs)
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
    near = np.abs(np.subtract.outer(np.array(found, float), np.array(true, float))) <= tolerance
    best = near[linear_sum_assignment(near, maximize=True)].sum() if found and true else 0
    assert len(pairs) == best


def test_what_is_doubtful_is_neither_right_nor_wrong():
    counts = count([0.1, 0.5, 0.9], [0.11], 0.02, doubtful=[0.5])
    assert counts == Counts(right=1, found=2, true=1)
    assert (counts.precision, counts.recall) == (0.5, 1.0) and counts.f1 == pytest.approx(2 / 3)
    assert counts + Counts(1, 1, 2) == Counts(2, 3, 3)


def test_nothing_is_undefined():
    assert all(math.isnan(value) for value in (Counts().precision, Counts().recall, Counts().f1))
    assert count([], [0.1], 0.1).recall == 0.0
