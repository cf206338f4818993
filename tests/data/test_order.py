"""The order is a permutation in every pass, looks shuffled, and needs no memory."""

from hypothesis import given, settings
from hypothesis import strategies as st

from avsim.data.order import clip_at, shuffled


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 300), st.integers(0, 99))
def test_a_permutation(length, seed):
    assert sorted(shuffled(k, length, seed) for k in range(length)) == list(range(length))


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 60), st.integers(0, 99))
def test_every_pass_shows_every_clip(length, seed):
    order = [clip_at(k, length, seed) for k in range(3 * length)]
    assert all(sorted(order[p * length : (p + 1) * length]) == list(range(length)) for p in range(3))


def test_passes_and_seeds_differ():
    one, two = ([clip_at(k, 50, 0) for k in range(s, s + 50)] for s in (0, 50))
    assert one != two and one != [clip_at(k, 50, 1) for k in range(50)] and one != list(range(50))


def test_places_are_uniform():
    """Where clip 0 lands over many seeds: chi-square of 10 bins below its 99.9 % point."""
    counts = [0] * 10
    for seed in range(2000):
        counts[shuffled(0, 10, seed)] += 1
    assert sum((count - 200) ** 2 / 200 for count in counts) < 27.9


def test_a_world_of_clips():
    picks = [clip_at(k, 1 << 30, 0) for k in range(1000)]
    assert len(set(picks)) == 1000 and max(picks) > 0.98 * (1 << 30) and all(0 <= p < 1 << 30 for p in picks)
