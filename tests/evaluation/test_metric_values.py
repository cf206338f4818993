"""All metrics give fixed clips with fixed errors of detection the values they gave before."""

import json

import pytest

from tests.metric_values import NUMBERS, PARTS

WRITTEN = json.loads(NUMBERS.read_text())


@pytest.mark.parametrize("part", PARTS)
def test_metrics_give_what_they_gave(part):
    found = PARTS[part]()
    assert found.keys() == WRITTEN[part].keys()
    for name, of_name in found.items():
        assert of_name.keys() == WRITTEN[part][name].keys()
        for number, values in of_name.items():
            expected = pytest.approx(WRITTEN[part][name][number], rel=1e-3, abs=1e-3, nan_ok=True)
            assert values == expected, (name, number)
