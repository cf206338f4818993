import pytest
import torch

from avsim.clip import ClipSpec, LatentSpec
from avsim.diffusion import JointDiT, Pair
from avsim.diffusion.noising import level_only_velocity, predicted_clean
from avsim.errors import InputError
from avsim.models.couplings import CrossCoupling, JointCoupling
from avsim.models.joint import LOG_VARIANCE_RATE, OutputHead, level_of_other
from avsim.weights import load_model, save_model
from tests.diffusion.conftest import COUPLINGS, SPEC, levels, tokens

CAPTIONS = ["a ball falls on a wooden floor", "rain", ""]


def run(model, rows=(0, 1, 2), captions=CAPTIONS):
    rows = list(rows)
    x, s = tokens(model, 3).each(lambda x: x[rows]), levels(3).each(lambda s: s[rows])
    with torch.no_grad():
        return model(x, s, model.context([captions[row] for row in rows], SPEC))


@pytest.mark.parametrize("coupling", COUPLINGS)
def test_batch_order_and_company_change_nothing(make, coupling):
    model = make(coupling)
    whole = run(model)
    for rows in ([2, 0, 1], [1], [0, 2]):
        for part, full in zip(run(model, rows), whole, strict=True):
            torch.testing.assert_close(part, full[rows], rtol=1e-4, atol=1e-5)


def test_the_text_reaches_its_own_row_alone(make):
    model = make()
    before, after = run(model), run(model, captions=["a bell rings", *CAPTIONS[1:]])
    for old, new in zip(before, after, strict=True):
        assert (old[0] - new[0]).abs().max() > 1e-4
        assert torch.equal(old[1:], new[1:])


def test_masked_words_reach_nothing(make):
    model = make()
    x, s, context = tokens(model, 1), levels(1), model.context(["rain"], SPEC)
    noise = [
        text.each(lambda kv: kv._replace(v=kv.v + ~context.text_mask[..., None].squeeze(2) * 9.0))
        for text in context.text
    ]
    with torch.no_grad():
        clean, noisy = model(x, s, context), model(x, s, context._replace(text=tuple(noise)))
    assert torch.equal(clean.video, noisy.video) and torch.equal(clean.audio, noisy.audio)


@pytest.mark.parametrize("coupling", COUPLINGS)
@torch.no_grad()
def test_a_level_may_be_said_once_a_clip_once_a_step_or_once_a_token(make, coupling):
    model = make(coupling)
    x, s, context = tokens(model, 2), levels(2), model.context(["a", "b"], SPEC)
    once = model(x, s, context)
    for runs in (Pair(SPEC.video[0], SPEC.audio), Pair(x.video.shape[1], 1), Pair(6, 2)):
        said = model(x, s.each(lambda s, n: s.repeat(1, n), runs), context)
        for one, other in zip(once, said, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_a_partner_is_seen_at_the_same_time():
    seconds = Pair(torch.tensor([0.0, 0.0, 1.0, 1.0]), torch.tensor([0.1, 0.4, 0.9, 1.2]))
    s = Pair(torch.tensor([[0.2, 0.8]]), torch.tensor([[0.1, 0.3, 0.5, 0.7]]))
    partner = level_of_other(s, seconds)
    torch.testing.assert_close(partner.video, torch.tensor([[0.1, 0.5]]))
    torch.testing.assert_close(partner.audio, torch.tensor([[0.2, 0.2, 0.8, 0.8]]))


@pytest.mark.parametrize("coupling", COUPLINGS)
def test_it_starts_at_what_the_level_alone_tells_and_moves_on_from_there(make, coupling):
    model = make(coupling, awake=False)
    for x_s, v, s in zip(tokens(model, 3), run(model), levels(3), strict=True):
        torch.testing.assert_close(v, level_only_velocity(x_s, s[..., None]))
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    start = {name: p.clone() for name, p in model.named_parameters()}
    for step in range(3):  # readouts move first, then gates and outputs, then what lies behind them
        x, s = tokens(model, 2, seed=step), levels(2, seed=step)
        context = model.context(["a bell", "rain"], SPEC)
        silent = model(Pair(x.video, None), Pair(s.video, None), context)
        unseen = model(Pair(None, x.audio), Pair(None, s.audio), context)
        for v in (model(x, s, context), silent, unseen):
            sum((v - x).square().mean() for v, x in zip(v, x, strict=True) if v is not None).backward(
                retain_graph=True
            )
        optimizer.step()
        optimizer.zero_grad()
    assert [name for name, p in model.named_parameters() if torch.equal(p, start[name])] == []


def test_another_length_and_size_need_no_other_model(make):
    model = make()
    for clip in (ClipSpec(1 / 16, 32, 32), ClipSpec(2.0, 72, 40)):
        spec = LatentSpec(clip)
        x = tokens(model, 1, spec)
        v = model(x, levels(1), model.context([""], spec))
        assert v.video.shape == x.video.shape and v.audio.shape == x.audio.shape


def test_a_picture_of_one_token_alone_or_with_a_sound(make):
    model, spec = make(), LatentSpec(ClipSpec(1 / 16, 8, 8))
    x, context = tokens(model, 2, spec), model.context(["a", "b"], spec)
    for each, s in ((x, levels(2)), (Pair(x.video), Pair(levels(2).video))):
        assert model(each, s, context).video.shape == (2, 1, 4)


def test_what_is_said_counts_in_units_of_the_filters_error(make):
    head, random = OutputHead(8, 3).double(), torch.Generator().manual_seed(0)
    energy = torch.tensor([0.2, 1.0, 7.0])
    with torch.no_grad():
        head.channel_log_variance.copy_(energy.log() / LOG_VARIANCE_RATE)
        head.out.bias.copy_(torch.tensor([1.0, -1.0, 2.0]))
    x, s = torch.randn(2, 4, 3, generator=random).double(), torch.full((2, 4, 1), 0.3).double()
    wiener = level_only_velocity(x, s, energy)
    said = (
        predicted_clean(x, head(torch.zeros(2, 4, 8).double(), x, s), s) - predicted_clean(x, wiener, s)
    ).mean((0, 1))
    error = 0.3 * (energy / (0.7**2 * energy + 0.3**2)).sqrt()
    torch.testing.assert_close(said.float(), error * torch.tensor([1.0, -1.0, 2.0]))


def test_bfloat16_autocast_stays_near_float32(make):
    model = make()
    x, s = tokens(model, 2), levels(2)
    with torch.no_grad():
        exact = model(x, s, model.context(["a", "b"], SPEC))
        with torch.autocast("cpu", torch.bfloat16):
            rough = model(x, s, model.context(["a", "b"], SPEC))
    for one, other in zip(exact, rough, strict=True):
        assert (one - other.float()).norm() < 0.02 * one.norm()


@pytest.mark.parametrize("coupling", COUPLINGS)
def test_a_folder_is_enough_to_make_it_again(make, coupling, tmp_path):
    model = make(coupling)
    again = load_model(save_model(model, tmp_path / "generator"), expected=JointDiT)
    assert again.coupling is coupling
    for one, other in zip(run(model), run(again), strict=True):
        assert torch.equal(one, other)


def test_muon_gets_the_blocks_matrices_and_nothing_else(make):
    model = make(CrossCoupling)
    matrices = list(model.hidden_matrices())
    names = {name for name, p in model.named_parameters() if any(p is m for m in matrices)}
    assert all(m.ndim == 2 for m in matrices) and len(names) == len(matrices)
    assert all(name.startswith("blocks.") and name.endswith("weight") for name in names)
    assert sum("qkv" in name for name in names) == 4 and sum("coupling" in name for name in names) == 12


def test_the_default_is_as_large_as_it_says():
    model = JointDiT()
    assert 4.0e6 < sum(p.numel() for p in model.blocks.parameters()) < 4.2e6
    assert model.coupling is JointCoupling
    with pytest.raises(InputError, match="width 100 in 5 heads"):
        JointDiT(width=100)
