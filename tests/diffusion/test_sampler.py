import pytest
import torch

from avsim.diffusion.levels import shifted
from avsim.diffusion.noising import predicted_clean
from avsim.diffusion.sampler import ancestral, lead_first_frame, level_schedule
from avsim.errors import InputError
from avsim.models.pair import Pair
from tests.diffusion.conftest import SPEC, tokens

MEAN, DEVIATION = 0.7, 0.4


def velocity(x, s):
    """E[noise - data | x_s] for data of N(MEAN, DEVIATION^2): the flow whose solution is known."""

    def each(x, s):
        s = s[..., None]
        variance = (1 - s) ** 2 * DEVIATION**2 + s**2
        slope = (s - (1 - s) * DEVIATION**2) / variance
        return -MEAN + slope * (x - (1 - s) * MEAN)

    return x.each(each, s)


def fresh(step, shape=(1, 4, 1)):
    return Pair(*(torch.randn(shape, generator=torch.Generator().manual_seed(step)) for _ in range(2)))


euler = ancestral(0.0, lambda step: Pair(torch.zeros(1), torch.zeros(1)))


def error(sampler, steps: int, shifts: Pair) -> float:
    z = torch.linspace(-2, 2, 41, dtype=torch.float64).view(1, -1, 1)
    start = Pair(*(torch.ones(1, 1, dtype=torch.float64),) * 2)
    x = sampler(velocity, Pair(z, z), level_schedule(start, steps, shifts))
    return max((x - (MEAN + DEVIATION * z)).abs().max().item() for x in x)


@pytest.mark.parametrize("shifts", [Pair(1.0, 1.0), Pair(3.0, 1.5)])
def test_twice_the_steps_halve_the_error_where_no_noise_is_drawn_anew(shifts):
    errors = [error(euler, steps, shifts) for steps in (64, 128, 256)]
    for coarse, fine in zip(errors, errors[1:], strict=False):
        assert 2 * 0.85 < coarse / fine < 2 * 1.15


def test_with_noise_drawn_anew_as_many_ways_lead_to_the_same_distribution():
    z = torch.randn(1, 20_000, 1, generator=torch.Generator().manual_seed(99))
    levels = level_schedule(Pair(torch.ones(1, 1)), 500, Pair(3.0, 1.0))
    for eta in (0.5, 1.0):
        x = ancestral(eta, lambda step: fresh(step, z.shape))(velocity, Pair(z), levels).video
        assert abs(x.mean() - MEAN) < 0.01 and abs(x.std() - DEVIATION) < 0.02
        assert abs(torch.corrcoef(torch.stack([x, z]).flatten(1))[0, 1]) < (0.9 if eta == 0.5 else 0.1)
    for eta in (1.5, -0.5):
        with pytest.raises(InputError, match=f"eta, the share of fresh noise, is {eta}"):
            ancestral(eta, fresh)


def test_the_path_starts_where_it_should_and_ends_clean():
    start = Pair(torch.tensor([[1.0, 0.5, 0.0]]), torch.ones(1, 1))
    levels = level_schedule(start, 4, Pair(2.0, 1.0))
    assert len(levels) == 5
    assert torch.equal(levels[0].video, start.video) and torch.equal(levels[-1].video, torch.zeros(1, 3))
    torch.testing.assert_close(levels[1].video, start.video * shifted(torch.tensor(0.75), 2.0))
    assert [round(level.audio.item(), 6) for level in levels] == [1, 0.75, 0.5, 0.25, 0]
    with pytest.raises(InputError, match="0 sampler steps"):
        level_schedule(start, 0, Pair(1.0, 1.0))


@pytest.mark.parametrize("sampler", [euler, ancestral(1.0, fresh)])
def test_given_tokens_stay_whatever_the_model_says(sampler):
    x = Pair(torch.tensor([[[0.1], [-0.0], [3.0], [4.0]]]), None)
    start = Pair(torch.tensor([[0.0, 1.0]]), None)
    wild = lambda x, s: x.each(lambda x: torch.full_like(x, torch.inf))  # noqa: E731
    out = sampler(wild, x, level_schedule(start, 3, Pair(1.0, 1.0)))
    assert torch.equal(
        out.video[:, :2].view(torch.int32), x.video[:, :2].view(torch.int32)
    )  # the sign of -0 too
    assert not torch.isfinite(out.video[:, 2:]).any()


@pytest.mark.parametrize("eta", [0.0, 1.0])
@torch.no_grad()
def test_the_last_step_ends_at_the_models_clean_tokens(eta, make):
    model = make()
    context = model.context(["a bell"], SPEC)
    last = []

    def denoise(x, s):
        v = model(x, s, context)
        if s.video.item() > 0:
            last[:] = x.each(lambda x, v, s: predicted_clean(x, v, s[..., None]), v, s)
        return v

    start = Pair(torch.ones(1, 1), torch.ones(1, 1))
    sampler = ancestral(eta, lambda step: Pair(torch.ones(1), torch.ones(1)))
    out = sampler(denoise, tokens(model, 1), level_schedule(start, 1, model.shifts))
    for mine, clean in zip(out, last, strict=True):
        torch.testing.assert_close(mine, clean, rtol=0, atol=1e-5)


def test_a_sampler_sees_the_levels_it_is_at():
    seen = []

    def denoise(x, s):
        seen.append(s.video.item())
        return x

    euler(
        denoise,
        Pair(torch.ones(1, 2, 1), None),
        level_schedule(Pair(torch.tensor([[0.8]]), None), 2, Pair(1.0, 1.0)),
    )
    assert seen == pytest.approx([0.8, 0.4])


def test_frame_0_goes_some_steps_before_the_rest_and_ends_where_they_do():
    plain = level_schedule(Pair(torch.ones(2, 1), torch.ones(2, 1)), 4, Pair(2.0, 1.0))
    led = lead_first_frame(plain, 3, 1)
    for i, (now, before) in enumerate(zip(led, plain, strict=True)):
        first = plain[0 if i == 0 else min(i + 1, 4)].video
        assert torch.equal(now.video, torch.cat([first, before.video, before.video], 1))
        assert torch.equal(now.audio, before.audio)
    assert led[3].video[0].tolist() == [0, *2 * [plain[3].video[0, 0]]]
    given = level_schedule(Pair(torch.tensor([[0.0, 1.0, 1.0]])), 4, Pair(2.0, 1.0))  # stays as it is
    for one, other in zip(lead_first_frame(given, 3, 1), given, strict=True):
        assert torch.equal(one.video, other.video)
    assert lead_first_frame(plain, 1, 1) is plain and lead_first_frame(plain, 3, 0) is plain


def test_what_a_callback_returns_is_what_the_next_step_starts_from():
    seen = []

    def on_step_end(step, levels, x):
        seen.append((step, levels.video.item()))
        return x.each(lambda x: x + 10) if step == 0 else x

    still = lambda x, s: x.each(torch.zeros_like)  # noqa: E731
    zeros = lambda step: Pair(torch.zeros(1), torch.zeros(1))  # noqa: E731
    x = Pair(torch.ones(1, 2, 1), torch.zeros(1, 3, 1))
    levels = level_schedule(Pair(torch.ones(1, 1), torch.ones(1, 1)), 4, Pair(1.0, 1.0))
    out = ancestral(0.0, zeros, on_step_end)(still, x, levels)
    torch.testing.assert_close(out, x.each(lambda x: x + 10))
    assert seen == [(0, 1.0), (1, 0.75), (2, 0.5), (3, 0.25)]


def test_a_step_keeps_the_share_of_noise_that_its_equation_says():
    """One step of DDIM's equation 16 by hand: sigma' / sigma = 1/3, the prediction is exact."""
    x, noise, new = torch.tensor(0.8), torch.tensor(-0.6), torch.tensor(1.1)
    s, after, eta = 0.75, 0.5, 0.8
    now, then = (Pair(torch.full((1, 1), level)) for level in (s, after))
    v = lambda x_s, s: x_s.each(lambda x_s: (noise - x).expand_as(x_s))  # noqa: E731
    start = Pair(((1 - s) * x + s * noise).view(1, 1, 1))
    out = ancestral(eta, lambda step: Pair(new.view(1, 1, 1)))(v, start, [now, then]).video
    share = eta * (1 - (1 / 3) ** 2) ** 0.5
    expected = (1 - after) * x + after * ((1 - share**2) ** 0.5 * noise + share * new)
    torch.testing.assert_close(out, expected.view(1, 1, 1))
