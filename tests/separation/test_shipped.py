"""What the shipped weights compute stays as it is; `tests/shipped.py` says how to change it."""

import pytest

from tests.shipped import TOLERANCE, differences


@pytest.mark.parametrize("part", ["separator", "discovery"])
def test_what_ships_gives_the_numbers_that_it_gave(part):
    found = differences(part)
    assert max(found.values()) < TOLERANCE, found
