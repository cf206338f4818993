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


def test_values_of_rows_belong_to_the_row_and_are_normal_or_uniform():
    from avsim.seeds import row_normal, row_uniform

    rows = torch.arange(20)
    for sample in (row_normal, row_uniform):
        whole = sample(rows, (7, 3), 1, "a", 2)
        assert torch.equal(sample(rows[5:9], (7, 3), 1, "a", 2), whole[5:9])
        assert not torch.equal(sample(rows, (7, 3), 1, "a", 3), whole)
    x, u = row_normal(rows, (10001,), 0).double(), row_uniform(rows, (10000,), 0).double()
    assert abs(x.mean()) < 0.01 and abs(x.std() - 1) < 0.01 and abs(x.pow(4).mean() - 3) < 0.1
    assert 0 < u.min() and u.max() < 1 and abs(u.mean() - 0.5) < 0.004 and abs(12 * u.var() - 1) < 0.02
    assert abs(torch.corrcoef(x) - torch.eye(20)).max() < 0.05
