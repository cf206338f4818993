import torch
from hypothesis import given
from hypothesis import strategies as st

from avsim.diffusion.loss import MIN_NOISE_LEVEL, level_only, row_loss, token_loss
from avsim.diffusion.noising import Noised, level_only_velocity, predicted_clean, predicted_noise


def noised(s: float, rows: int = 3, tokens: int = 6, runs: int = 2) -> Noised:
    random = torch.Generator().manual_seed(0)
    x, noise = (torch.randn(rows, tokens, 5, generator=random, dtype=torch.float64) for _ in range(2))
    return Noised(x, noise, torch.full((rows, runs), s, dtype=torch.float64))


@given(st.floats(0, 1))
def test_x_s_and_v_round_trip(s):
    n = noised(s)
    torch.testing.assert_close(predicted_clean(n.x_s, n.v, n.level), n.x, rtol=0, atol=1e-14)
    torch.testing.assert_close(predicted_noise(n.x_s, n.v, n.level), n.noise, rtol=0, atol=1e-14)


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
        assert abs(row_loss(token_loss(level_only(n), n)).item() / expected - 1) < 0.02
        for other in (0.9, 1.1):  # no other multiple of x_s does better
            worse = Noised(x, noise, torch.tensor([[s]]))
            assert (
                token_loss(other * level_only(n), worse).mean() >= token_loss(level_only(n), n).mean() - 1e-3
            )


def test_the_level_only_velocity_points_to_what_errs_least_in_every_channel():
    random = torch.Generator().manual_seed(3)
    energy = torch.tensor([0.05, 1.0, 9.0], dtype=torch.float64)
    x, noise = (torch.randn(1, 90_000, 3, generator=random, dtype=torch.float64) for _ in range(2))
    for s in (0.05, 0.5, 0.95):
        n = Noised(energy.sqrt() * x, noise, torch.tensor([[s]], dtype=torch.float64))
        found = predicted_clean(n.x_s, level_only_velocity(n.x_s, n.level, energy), n.level)
        least = (n.x_s * n.x).mean(1) / n.x_s.square().mean(1) * n.x_s  # by least squares from the samples
        torch.testing.assert_close(found, least, rtol=0, atol=0.04)
        told = s**2 * energy / ((1 - s) ** 2 * energy + s**2)  # the error's energy, as `Ends` has it
        torch.testing.assert_close((found - n.x).square().mean((0, 1)), told, rtol=0.03, atol=0)
    for level, expected in ((0.0, -x), (1.0, x)):
        assert level_only_velocity(x, torch.tensor(level)).equal(expected)


def test_an_error_of_the_data_weighs_one_over_its_level_and_no_more_than_at_the_clearest():
    x, noise = torch.zeros(1, 4, 2), torch.ones(1, 4, 2)
    n = Noised(x, noise, torch.tensor([[0.001, MIN_NOISE_LEVEL, 0.5, 1.0]]))
    loss = token_loss((n.x_s - (x + 0.1)) / n.level, n)
    torch.testing.assert_close(loss, 0.01 / torch.tensor([[MIN_NOISE_LEVEL, MIN_NOISE_LEVEL, 0.5, 1.0]]) ** 2)
