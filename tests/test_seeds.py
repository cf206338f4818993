"""A draw depends on where it is used, on nothing else."""

import torch

from avsim.seeds import derive, generator, normal_rows


def test_rows_do_not_know_their_neighbours():
    whole = normal_rows((6, 5), 3, "noise", 12)
    assert torch.equal(whole[4:], normal_rows((2, 5), 3, "noise", 12, first_row=4))
    assert not torch.equal(whole, normal_rows((6, 5), 3, "noise", 13))


def test_paths_do_not_collide():
    places = {
        derive(seed, *path) for seed in range(50) for path in [(), ("a",), ("a", 1), ("a", 11), ("a1", 1)]
    }
    assert len(places) == 250 and max(places) < 2**63


def test_a_known_value_stays():
    assert derive(0, "here", 1) == 2946265153765225825
    assert generator(0, "here", 1).initial_seed() == 2946265153765225825
