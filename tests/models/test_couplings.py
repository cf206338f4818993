import pytest
import torch
import torch.nn.functional as F

from avsim.diffusion import Pair
from avsim.diffusion import attention_statistics as statistics
from avsim.models import attention
from avsim.models.couplings import CrossCoupling, NoCoupling
from tests.diffusion.conftest import COUPLINGS, MEETING, SPEC, levels, tokens, waken


@pytest.mark.parametrize("most", [0, 1 << 26])
def test_attention_is_torchs_own_whatever_is_held(most, monkeypatch):
    monkeypatch.setattr(attention, "MAX_SCORES", most)
    random = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 3, n, 8, dtype=torch.float64, generator=random) for n in (5, 7, 7))
    there = torch.rand(2, 1, 5, 7, generator=random) < 0.6
    there[..., 0] = True
    added = torch.randn(2, 1, 5, 7, dtype=torch.float64, generator=random)
    for mask in (None, there, added):
        expected = F.scaled_dot_product_attention(q, k, v, mask).transpose(1, 2).flatten(2)
        torch.testing.assert_close(attention.attend(q, k, v, mask), expected)


def reaches(model, change: str, see: str) -> bool:
    """Whether changing the tokens (and the level) of one modality changes the velocity of another."""
    x, s, context = tokens(model, 2), levels(2), model.context(["a bell", "rain"], SPEC)
    before = getattr(model(x, s, context), see)
    other = x._replace(**{change: getattr(x, change) + 1}), s._replace(**{change: getattr(s, change) / 2})
    return not torch.equal(before, getattr(model(*other, context), see))


@torch.no_grad()
@pytest.mark.parametrize("coupling", MEETING)
def test_coupled_streams_depend_on_each_other(make, coupling):
    model = make(coupling)
    assert reaches(model, "audio", "video") and reaches(model, "video", "audio")


@torch.no_grad()
def test_uncoupled_streams_do_not_depend_on_each_other(make):
    model = make(NoCoupling)
    assert not reaches(model, "audio", "video") and not reaches(model, "video", "audio")


@torch.no_grad()
@pytest.mark.parametrize("coupling", COUPLINGS)
def test_a_modality_alone_needs_no_value_of_the_other(make, coupling):
    model = make(coupling)
    x, s, context = tokens(model, 2), levels(2), model.context(["a bell", "rain"], SPEC)
    both = model(x, s, context)
    video = model(Pair(x.video, None), Pair(s.video, None), context)
    audio = model(Pair(None, x.audio), Pair(None, s.audio), context)
    assert video.audio is None and audio.video is None
    for alone, coupled in ((video.video, both.video), (audio.audio, both.audio)):
        assert torch.allclose(alone, coupled, atol=1e-5) == (not coupling.cross_modal)


@torch.no_grad()
def test_cross_starts_as_the_model_it_was_added_to_bit_for_bit(make):
    silent = make(NoCoupling)
    cross = make(CrossCoupling, awake=False)
    missing, unexpected = cross.load_state_dict(silent.state_dict(), strict=False)
    assert not unexpected and all("coupling" in key or "other_" in key for key in missing)
    x, s = tokens(silent, 2), levels(2)
    context = silent.context(["a bell", "rain"], SPEC)
    before = silent(Pair(x.video, None), Pair(s.video, None), context).video
    assert torch.equal(cross(x, s, cross.context(["a bell", "rain"], SPEC)).video, before)
    waken(cross.blocks[0].coupling)
    assert not torch.equal(cross(x, s, cross.context(["a bell", "rain"], SPEC)).video, before)


@pytest.mark.parametrize("coupling", MEETING)
@pytest.mark.parametrize("most", [1, 1 << 24])
def test_attention_statistics_are_those_of_the_pass_itself(make, coupling, most, monkeypatch):
    monkeypatch.setattr(statistics, "MAX_SCORES", most)
    model = make(coupling)
    x, s, context = tokens(model, 2), levels(2), model.context(["a", "b"], SPEC)
    found = statistics.attention_statistics(model, x, s, context)
    later = context.seconds.video[None, :] - context.seconds.audio[:, None]
    offsets, h = [], model.embed(x, context)
    modulation, _ = model.modulation(s, context)
    for block, text in zip(model.blocks, context.text, strict=True):
        q, k = block.audio_queries_video_keys(*h, modulation, context.rotary)
        weights = (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1)
        offsets.append((weights * later).sum(-1).mean((1, 2)))
        h = block(*h, modulation, context.rotary, text, context.text_mask)
    torch.testing.assert_close(found.offset, torch.stack(offsets).mean(0))
    assert (found.sharpest >= found.near).all() and (found.spread > 0).all()


def test_attention_statistics_find_the_attended_time():
    seconds = Pair(torch.linspace(0, 2, 9), torch.linspace(0, 2, 33))
    frame = torch.eye(9)[None, None] * 1e3  # a key for each frame
    q = frame[:, :, (torch.arange(33) / 4 + 1).round().long().clamp(max=8)]
    late = statistics.attention_moments(q, frame, seconds)
    assert late[0].item() == pytest.approx(0.23, abs=0.03)  # a frame of 0.25 s, less the end
    uniform = statistics.attention_moments(0 * q, frame, seconds)
    assert uniform[2].item() == pytest.approx(1.0) and uniform[0].item() == pytest.approx(0.0, abs=1e-6)
    own = statistics.attention_moments(frame[:, :, (torch.arange(33) / 4).round().long()], frame, seconds)
    assert own[2].item() > 4 and own[1].sqrt().item() < 0.13


def test_uncoupled_streams_have_no_attention_statistics(make):
    model = make(NoCoupling)
    context = model.context(["a"], SPEC)
    assert statistics.attention_statistics(model, tokens(model, 1), levels(1), context) is None
