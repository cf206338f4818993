"""The first steps of each training are what they were: losses, gradients, draws, scenes."""

import json
import math

import pytest

from tests.training_values import NUMBERS, PARTS

WRITTEN = json.loads(NUMBERS.read_text())
SHARE = 0.01  # of the largest of a list: how far its numbers may be off


@pytest.mark.parametrize("part", PARTS)
def test_trainings_begin_as_they_did(part):
    found = PARTS[part]()
    assert found.keys() == WRITTEN[part].keys()
    for name, of_name in found.items():
        assert of_name.keys() == WRITTEN[part][name].keys()
        for what, values in of_name.items():
            numbers = WRITTEN[part][name][what]
            largest = max((abs(x) for x in numbers if not math.isnan(x)), default=0.0)
            expected = pytest.approx(numbers, rel=0, abs=SHARE * largest + 1e-6, nan_ok=True)
            assert values == expected, (name, what)
