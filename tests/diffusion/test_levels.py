from functools import cache

import pytest
import torch

from avsim.clip import ClipSpec, LatentSpec
from avsim.diffusion.levels import LevelMixture, shifted
from avsim.errors import InputError
from avsim.models.pair import Pair

SPEC = LatentSpec(ClipSpec(seconds=2.0))
SHIFTS = Pair(3.0, 0.5)


@cache
def sampled(mixture: LevelMixture, count: int = 3000) -> Pair:
    """Levels of coupled rows: video (B, t), audio (B, l)."""
    return mixture.sample(SPEC, SHIFTS, torch.arange(count), 0, 1)


def test_shift_keeps_the_ends_and_undoes_its_inverse():
    u = torch.linspace(0, 1, 11, dtype=torch.float64)
    assert shifted(u, 3.0)[[0, -1]].tolist() == [0, 1]
    torch.testing.assert_close(shifted(shifted(u, 3.0), 1 / 3), u)
    assert (shifted(u[1:-1], 3.0) > u[1:-1]).all()


def test_an_image_is_always_noised_and_as_a_whole():
    image = LatentSpec(ClipSpec(seconds=1 / 16))
    s = LevelMixture(temporal_share=1.0).sample(image, SHIFTS, torch.arange(300), 0, 0, coupled=False).video
    assert s.shape == (300, 1) and (s > 0).all()


def test_each_kind_has_its_share():
    flat = LevelMixture(temporal_share=0.0, pure_noise=0.0)
    s = sampled(flat)
    shares = [float((each == 0).all(1).float().mean()) * 0.9 for each in s]  # of all rows: 0.1 are unimodal
    assert abs(shares[0] - 0.20) < 0.025 and abs(shares[1] - 0.12) < 0.025
    back = shifted(s.video[:, 0], 1 / 3.0), shifted(s.audio[:, 0], 1 / 0.5)
    joint = float(torch.isclose(*back, atol=1e-5).float().mean()) * 0.9
    assert abs(joint - 0.34) < 0.03
    alone = flat.sample(SPEC, SHIFTS, torch.arange(1000), 0, 1, coupled=False)
    assert all((each > 0).all() for each in alone)  # neither is given to the other
    apart = shifted(alone.video[:, 0], 1 / 3.0) - shifted(alone.audio[:, 0], 1 / 0.5)
    assert apart.abs().mean() > 0.1


@pytest.mark.parametrize("share", [0.0, 0.1, 0.37, 1.0])
def test_unimodal_rows_are_spread_evenly_and_the_same_for_any_number_of_processes(share):
    rest = 1 - share
    levels = LevelMixture(joint=rest, independent=0, video_given=0, audio_given=0, unimodal=share)
    steps = [levels.unimodal_rows(0, 24, 24, step) for step in range(100)]
    assert sum(map(sum, steps)) == pytest.approx(2400 * share, abs=1)
    assert all(abs(sum(step) - 24 * share) < 1.001 for step in steps)
    halves = [levels.unimodal_rows(first, 12, 24, 7) for first in (0, 12)]
    assert halves[0] + halves[1] == steps[7]


def test_levels_change_along_time_in_as_many_clips_as_configured():
    def changing(s: Pair) -> float:
        return float(((s.video != s.video[:, :1]).any(1) | (s.audio != s.audio[:, :1]).any(1)).float().mean())

    assert 0.12 < changing(sampled(LevelMixture())) <= 0.22
    assert changing(sampled(LevelMixture(temporal_share=0.0))) == 0


def test_levels_lie_in_0_to_1_with_mass_at_both_ends():
    s = sampled(LevelMixture())
    assert s.video.shape == (3000, 9) and s.audio.shape == (3000, 64)
    assert s.video.min() == 0 and s.video.max() == 1
    assert 0.1 < (s.video == 0).float().mean() < 0.3 and 0.02 < (s.video == 1).float().mean() < 0.08


def test_clips_with_a_given_first_frame_beginning_or_end_are_among_them():
    video = sampled(LevelMixture()).video
    free = video[:, 1:]
    first = (video[:, 0] == 0) & (free == free[:, :1]).all(1) & (free[:, 0] > 0)
    end = (video[:, 0] > 0) & (video[:, -1] == 0)
    beginning = (video[:, :3] == 0).all(1) & (video[:, -1] > 0)
    for found in (first, beginning, end):
        assert 0.005 < found.float().mean() < 0.06


def test_when_levels_change_jointly_the_audio_has_the_level_of_its_frame():
    alone = dict.fromkeys(("independent", "video_given", "audio_given", "unimodal", "pure_noise"), 0.0)
    joint = LevelMixture(joint=1.0, temporal_share=1.0, **alone)
    found = joint.sample(SPEC, Pair(1.0, 1.0), torch.arange(50), 0, 0)
    for video, audio in zip(*found, strict=True):
        for (start, end), level in zip(SPEC.audio_spans().tolist(), audio.tolist(), strict=True):
            middle = (start + end) / 2
            frame = next(i for i, span in enumerate(SPEC.video_spans()) if span[0] <= middle < span[1])
            own = video[frame].item()
            assert level == own or 0.0 in (level, own)  # 0: a given span, cut by each modality for itself


def test_shares_that_make_no_whole_are_refused():
    with pytest.raises(InputError, match="add up to 1.36"):
        LevelMixture(joint=0.7)
    with pytest.raises(InputError, match="lie in"):
        LevelMixture(pure_noise=1.5)


def test_half_of_what_is_given_may_have_a_little_noise():
    clean, noised = LevelMixture(), LevelMixture(given_noise=0.3)
    for was, now in zip(sampled(clean), sampled(noised), strict=True):
        given = was == 0
        assert torch.equal(now[~given], was[~given])  # the rest is sampled as before
        assert now[given].max() <= 0.3 and now[given].max() > 0.28
        rows = given.any(1)
        level = torch.where(given, now, 0).amax(1)[rows]
        assert abs(float((level == 0).float().mean()) - 0.5) < 0.05
        assert abs(float(level[level > 0].mean()) - 0.15) < 0.02
        assert torch.equal(torch.where(given, now, 0)[rows], torch.where(given[rows], level[:, None], 0))
    with pytest.raises(InputError, match="given_noise of the levels is 1.0"):
        LevelMixture(given_noise=1.0)
