import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from avsim.clip import ClipSpec, LatentSpec
from avsim.errors import InputError
from avsim.models.pair import Latents
from avsim.models.rope import rotary, rotate
from avsim.models.tokens import Positions, positions, to_latents, to_tokens

seconds = st.floats(-5, 5)


def at(second: float, row: float = 0.0, column: float = 0.0) -> Positions:
    return Positions(*(torch.tensor([value], dtype=torch.float64) for value in (second, row, column)))


def score(q: torch.Tensor, k: torch.Tensor, here: Positions, there: Positions) -> torch.Tensor:
    width = q.shape[-1]
    return (rotate(q, rotary(here, width)) * rotate(k, rotary(there, width))).sum()


def heads() -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    q, k = (torch.randn(1, 1, 1, 32, generator=random, dtype=torch.float64) for _ in range(2))
    return q, k


@given(seconds, seconds, seconds)
def test_attention_depends_on_differences_of_seconds_only(p, q, later):
    query, key = heads()
    one = score(query, key, at(p), at(q))
    other = score(query, key, at(p + later), at(q + later))
    torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


def test_attention_does_depend_on_that_difference():
    query, key = heads()
    assert (score(query, key, at(0.0), at(0.0)) - score(query, key, at(0.0), at(0.05))).abs() > 0.1


def test_turning_keeps_length():
    query, _ = heads()
    turned = rotate(query, rotary(at(1.7, 0.3, -0.2), 32))
    torch.testing.assert_close(turned.norm(), query.norm())


def test_a_sound_and_a_frame_of_the_same_moment_are_turned_alike_in_time():
    both = positions(LatentSpec(ClipSpec(seconds=2.0)))
    frame, sound = (rotary(Positions(*(p[:1] for p in place)), 32).cos[0, :8] for place in both)
    assert both.video.seconds[0] != both.audio.seconds[0] and not torch.equal(frame, sound)
    same = Positions(both.video.seconds[:1], *(torch.zeros(1),) * 2)
    assert torch.equal(rotary(same, 32).cos[0, :8], frame)


def test_heads_that_cannot_be_turned_are_refused():
    with pytest.raises(InputError, match="multiple of 8"):
        rotary(at(0.0), 12)


@pytest.mark.parametrize("size", [(64, 64), (72, 40), (8, 24)])
def test_latents_and_tokens_round_trip(size):
    spec = LatentSpec(ClipSpec(seconds=1.3, height=size[0], width=size[1]))
    latents = Latents(torch.randn(2, 3, *spec.video), torch.randn(2, 5, spec.audio))
    back = to_latents(to_tokens(latents), spec)
    assert torch.equal(back.video, latents.video) and torch.equal(back.audio, latents.audio)


def test_tokens_stand_where_their_latents_are():
    spec = LatentSpec(ClipSpec(seconds=1.0, height=64, width=48))
    seconds = spec.video_seconds().float()[:, None, None].expand(spec.video)
    column = (torch.arange(6) - 2.5).expand(spec.video) * 8 / (64 * 48) ** 0.5
    row = (torch.arange(8) - 3.5)[:, None].expand(spec.video) * 8 / (64 * 48) ** 0.5
    for marked, found in zip((seconds, row, column), positions(spec).video, strict=True):
        torch.testing.assert_close(to_tokens(Latents(marked[None, None], None)).video[0, :, 0], found)


def test_places_do_not_depend_on_the_resolution():
    small, large = (positions(LatentSpec(ClipSpec(height=n, width=2 * n))).video for n in (64, 256))
    for name in ("row", "column"):
        at_small, at_large = (
            getattr(at, name)[at.seconds == at.seconds[0]].unique() for at in (small, large)
        )
        coarse = at_large.unflatten(0, (len(at_small), -1)).mean(1)
        torch.testing.assert_close(coarse, at_small)
    assert small.column.max() > small.row.max()  # twice as wide as high
