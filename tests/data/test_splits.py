"""Splits hold together what belongs together, and leave no split without a unit."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avsim.data.splits import assign
from avsim.errors import InputError


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(st.text(max_size=4), st.integers(1, 50), min_size=3, max_size=30), st.integers(0, 9))
def test_every_split_is_there_and_order_does_not_matter(sizes, seed):
    split = assign(sizes, seed)
    assert split.keys() == sizes.keys() and set(split.values()) == {"train", "validation", "test"}
    assert assign(dict(reversed(sizes.items())), seed) == split


def test_shares():
    sizes = {f"video {k}": 1 + k % 5 for k in range(2000)}
    counts = Counter()
    for unit, split in assign(sizes, 0, 0.1, 0.2).items():
        counts[split] += sizes[unit]
    total = sum(sizes.values())
    assert counts["test"] / total == pytest.approx(0.2, abs=0.002)
    assert counts["validation"] / total == pytest.approx(0.1, abs=0.002)


@pytest.mark.parametrize("seed", range(6))
def test_of_few_units_the_largest_trains(seed):
    split = assign({"interview": 50, "street": 2, "bell": 1}, seed)
    assert split["interview"] == "train"


def test_one_unit_trains():
    assert assign({"only": 3}) == {"only": "train"}


def test_shares_of_zero():
    assert set(assign(dict.fromkeys("abcdef", 1), validation=0.0, test=0.0).values()) == {"train"}


@pytest.mark.parametrize("validation, test", [(-0.1, 0.1), (0.5, 0.5), (float("nan"), 0.1)])
def test_impossible_shares(validation, test):
    with pytest.raises(InputError, match="shares"):
        assign({}, 0, validation, test)
