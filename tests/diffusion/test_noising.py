import torch
from hypothesis import given
from hypothesis import strategies as st

from avsim.diffusion.loss import CLEAREST, row_loss, token_loss, trivial
from avsim.diffusion.noising import Noised, clean_of, noise_of, velocity_of


def noised(s: float, rows: int = 3, tokens: int = 6, runs: int = 2) -> Noised:
    random = torch.Generator().manual_seed(0)
    x, noise = (torch.randn(rows, tokens, 5, generator=random, dtype=torch.float64) for _ in range(2))
    return Noised(x, noise, torch.full((rows, runs), s, dtype=torch.float64))


@given(st.floats(0, 1))
def test_x_s_and_v_round_trip(s):
    n = noised(s)
    torch.testing.assert_close(clean_of(n.x_s, n.v, n.level), n.x, rtol=0, atol=1e-14)
    torch.testing.assert_close(noise_of(n.x_s, n.v, n.level), n.noise, rtol=0, atol=1e-14)


def test_v_is_the_derivative_of_x_s():
    step = 1e-6
    slope = (noised(0.3 + step).x_s - noised(0.3 - step).x_s) / (2 * step)
    torch.testing.assert_close(slope, noised(0.3).v, rtol=0, atol=1e-8)


def test_the_ends_are_data_and_noise_bit_for_bit():
    assert torch.equal(noised(0.0).x_s, noised(0.0).x)
    assert torch.equal(noised(1.0).x_s, noised(1.0).noise)


def test_a_level_belongs_to_a_run_of_tokens():
    x, noise = torch.zeros(1, 6, 1), torch.ones(1, 6, 1)
    n = Noised(x, noise, torch.tensor([[0.0, 0.25, 1.0]]))
    assert n.x_s.flatten().tolist() == [0, 0, 0.25, 0.25, 1, 1]


def test_given_tokens_have_no_loss_and_the_number_of_tokens_stays_fixed():
    n = Noised(torch.zeros(1, 4, 2), torch.ones(1, 4, 2), torch.tensor([[0.0, 0.5]]))
    loss = token_loss(torch.zeros(1, 4, 2), n)
    assert loss.tolist() == [[0, 0, 1, 1]]
    assert row_loss(loss).tolist() == [0.5]


def test_the_trivial_predictor_has_the_loss_that_its_formula_says():
    random = torch.Generator().manual_seed(0)
    x, noise = (torch.randn(1, 40_000, 4, generator=random) for _ in range(2))
    for s in (0.1, 0.5, 0.9):
        n = Noised(x, noise, torch.tensor([[s]]))
        expected = 1 / (s**2 + (1 - s) ** 2)
        assert abs(row_loss(token_loss(trivial(n), n)).item() / expected - 1) < 0.02
        for other in (0.9, 1.1):  # no other multiple of x_s does better
            worse = Noised(x, noise, torch.tensor([[s]]))
            assert token_loss(other * trivial(n), worse).mean() >= token_loss(trivial(n), n).mean() - 1e-3


def test_velocity_and_clean_tokens_are_each_other():
    random = torch.Generator().manual_seed(3)
    x, noise = (torch.randn(2, 6, 5, generator=random, dtype=torch.float64) for _ in range(2))
    n = Noised(x, noise, torch.tensor([[0.0, 0.3, 1.0], [0.01, 0.5, 0.9]], dtype=torch.float64))
    v = velocity_of(n.x_s, x, n.level)
    given = (n.level == 0).expand_as(v)
    torch.testing.assert_close(v[~given], n.v[~given])
    assert (v[given] == 0).all()
    torch.testing.assert_close(clean_of(n.x_s, v, n.level), x)


def test_an_error_of_the_data_weighs_one_over_its_level_and_no_more_than_at_the_clearest():
    x, noise = torch.zeros(1, 4, 2), torch.ones(1, 4, 2)
    n = Noised(x, noise, torch.tensor([[0.001, CLEAREST, 0.5, 1.0]]))
    loss = token_loss(velocity_of(n.x_s, x + 0.1, n.level), n)
    torch.testing.assert_close(loss, 0.01 / torch.tensor([[CLEAREST, CLEAREST, 0.5, 1.0]]) ** 2)
