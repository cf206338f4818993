import pytest
import torch
import torch.nn.functional as F

from avsim.diffusion import Pair
from avsim.diffusion.attention_statistics import attention_maps, attention_statistics
from avsim.models import couplings
from avsim.models.couplings import Apart, Cross
from tests.diffusion.conftest import COUPLINGS, MEETING, SPEC, levels, tokens, waken


@pytest.mark.parametrize("most", [0, 1 << 26])
def test_attention_is_torchs_own_whatever_is_held(most, monkeypatch):
    monkeypatch.setattr(couplings, "MANY", most)
    random = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 3, n, 8, dtype=torch.float64, generator=random) for n in (5, 7, 7))
    there = torch.rand(2, 1, 5, 7, generator=random) < 0.6
    there[..., 0] = True
    added = torch.randn(2, 1, 5, 7, dtype=torch.float64, generator=random)
    for mask in (None, there, added):
        expected = F.scaled_dot_product_attention(q, k, v, mask).transpose(1, 2).flatten(2)
        torch.testing.assert_close(couplings.attend(q, k, v, mask), expected)


def reaches(model, change: str, see: str, linked=None) -> bool:
    """Whether changing the tokens (and the level) of one modality changes the velocity of another."""
    x, s, context = tokens(model, 2), levels(2), model.context(["a bell", "rain"], SPEC)
    before = getattr(model(x, s, context, linked), see)
    other = x._replace(**{change: getattr(x, change) + 1}), s._replace(**{change: getattr(s, change) / 2})
    return not torch.equal(before, getattr(model(*other, context, linked), see))


@torch.no_grad()
@pytest.mark.parametrize("coupling", MEETING)
def test_picture_and_sound_reach_each_other_where_they_meet(make, coupling):
    model = make(coupling)
    assert reaches(model, "audio", "video") and reaches(model, "video", "audio")


@torch.no_grad()
def test_apart_never_meets(make):
    model = make(Apart)
    assert not reaches(model, "audio", "video") and not reaches(model, "video", "audio")


@torch.no_grad()
@pytest.mark.parametrize("coupling", COUPLINGS)
def test_rows_that_are_not_linked_keep_apart(make, coupling):
    model, unlinked = make(coupling), torch.tensor([False, False])
    assert not reaches(model, "audio", "video", unlinked) and not reaches(model, "video", "audio", unlinked)


@torch.no_grad()
@pytest.mark.parametrize("coupling", COUPLINGS)
def test_a_row_that_is_not_linked_is_drawn_as_if_alone_and_its_neighbour_as_before(make, coupling):
    model = make(coupling)
    x, s, context = tokens(model, 2), levels(2), model.context(["a bell", "rain"], SPEC)
    both, half = model(x, s, context), model(x, s, context, torch.tensor([False, True]))
    alone = Pair(
        model(Pair(x.video, None), Pair(s.video, None), context).video,
        model(Pair(None, x.audio), Pair(None, s.audio), context).audio,
    )
    for full, cut, one in zip(both, half, alone, strict=True):
        torch.testing.assert_close(cut[0], one[0], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(cut[1], full[1], rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_cross_starts_as_the_model_it_was_added_to_bit_for_bit(make):
    silent = make(Apart)
    cross = make(Cross, awake=False)
    missing, unexpected = cross.load_state_dict(silent.state_dict(), strict=False)
    assert not unexpected and all("coupling" in key or "partner" in key or "absent" in key for key in missing)
    x, s = tokens(silent, 2), levels(2)
    context = silent.context(["a bell", "rain"], SPEC)
    before = silent(Pair(x.video, None), Pair(s.video, None), context).video
    assert torch.equal(cross(x, s, cross.context(["a bell", "rain"], SPEC)).video, before)
    waken(cross.blocks[0].coupling)
    assert not torch.equal(cross(x, s, cross.context(["a bell", "rain"], SPEC)).video, before)


@pytest.mark.parametrize("coupling", MEETING)
def test_attention_maps_are_those_of_the_pass_itself(make, coupling):
    model = make(coupling)
    x, s, context = tokens(model, 2), levels(2), model.context(["a", "b"], SPEC)
    maps = attention_maps(model, x, s, context)
    assert maps.shape == (2, 2, 2, x.audio.shape[1], len(context.seconds.video))
    total = maps.sum(-1)
    assert (total > 0).all() and (total <= 1 + 1e-5).all()
    assert coupling is not Cross or torch.allclose(total, torch.ones(()))


def test_attention_statistics_find_the_attended_moment():
    seconds = Pair(torch.linspace(0, 2, 9), torch.linspace(0, 2, 33))
    late = torch.zeros(1, 1, 1, 33, 9)
    late[..., torch.arange(33), (torch.arange(33) / 4 + 1).round().long().clamp(max=8)] = 1
    blind = torch.full((1, 1, 1, 33, 9), 0.01)
    assert attention_statistics(late, seconds).offset.item() == pytest.approx(
        0.23, abs=0.03
    )  # a frame of 0.25 s, less the end
    assert attention_statistics(blind, seconds).near.item() == pytest.approx(1.0)
    assert attention_statistics(blind, seconds).offset.item() == pytest.approx(0.0, abs=1e-6)
    own = torch.zeros(1, 1, 1, 33, 9)
    own[..., torch.arange(33), (torch.arange(33) / 4).round().long()] = 1
    assert (
        attention_statistics(own, seconds).near.item() > 4
        and attention_statistics(own, seconds).spread.item() < 0.13
    )


def test_streams_that_never_meet_have_no_attention_maps(make):
    model = make(Apart)
    assert attention_maps(model, tokens(model, 1), levels(1), model.context(["a"], SPEC)) is None
