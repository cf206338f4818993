from functools import cache

import pytest
import torch

from avsim.clip import ClipSpec, LatentSpec
from avsim.diffusion.levels import LevelMixture, shifted
from avsim.errors import InputError
from avsim.models.pair import Pair
from avsim.seeds import generator

SPEC = LatentSpec(ClipSpec(seconds=2.0))
SHIFTS = Pair(3.0, 0.5)


@cache
def draws(mixture: LevelMixture, count: int = 3000) -> list[Pair]:
    return [mixture.draw(SPEC, SHIFTS, generator(0, "test", row)).s for row in range(count)]


def test_shift_keeps_the_ends_and_undoes_its_inverse():
    u = torch.linspace(0, 1, 11, dtype=torch.float64)
    assert shifted(u, 3.0)[[0, -1]].tolist() == [0, 1]
    torch.testing.assert_close(shifted(shifted(u, 3.0), 1 / 3), u)
    assert (shifted(u[1:-1], 3.0) > u[1:-1]).all()


def test_an_image_alone_is_always_noised_and_as_a_whole():
    image = LatentSpec(ClipSpec(seconds=1 / 16))
    found = [LevelMixture().draw(image, SHIFTS, generator(0, "image", row)).s for row in range(300)]
    assert all(len(s.video) == 1 and s.video > 0 for s in found)


def test_each_kind_has_its_share():
    flat = LevelMixture(by_step=0.0, pure=0.0)
    found = draws(flat)
    clean_video = sum(bool((s.video == 0).all()) for s in found) / len(found)
    clean_audio = sum(bool((s.audio == 0).all()) for s in found) / len(found)
    back = [(shifted(s.video[0], 1 / 3.0), shifted(s.audio[0], 1 / 0.5)) for s in found]
    together = sum(bool(torch.isclose(v, a, atol=1e-5)) for v, a in back) / len(found)
    assert abs(clean_video - 0.20) < 0.025 and abs(clean_audio - 0.12) < 0.025
    assert abs(together - 0.34) < 0.03
    linked = [flat.draw(SPEC, SHIFTS, generator(0, "test", row)).linked for row in range(len(found))]
    assert abs(linked.count(False) / len(linked) - 0.10) < 0.02
    unlinked = [s for s, meets in zip(found, linked, strict=True) if not meets]
    assert all((s.video > 0).all() and (s.audio > 0).all() for s in unlinked)  # nothing is given unseen


def test_levels_change_along_time_in_as_many_clips_as_asked():
    found = draws(LevelMixture())
    changing = sum(bool((s.video != s.video[0]).any() or (s.audio != s.audio[0]).any()) for s in found)
    assert 0.12 < changing / len(found) <= 0.22
    assert not any((s.video != s.video[0]).any() for s in draws(LevelMixture(by_step=0.0), 300))


def test_levels_lie_in_0_to_1_with_mass_at_both_ends():
    found = draws(LevelMixture())
    video = torch.stack([s.video for s in found])
    assert video.shape == (3000, 9) and found[0].audio.shape == (64,)
    assert video.min() == 0 and video.max() == 1
    assert 0.1 < (video == 0).float().mean() < 0.3 and 0.02 < (video == 1).float().mean() < 0.08


def test_clips_with_a_given_first_frame_are_among_them():
    found = draws(LevelMixture())
    assert any(s.video[0] == 0 and (s.video[1:] == s.video[1]).all() and s.video[1] > 0 for s in found)


def test_when_levels_change_together_the_sound_has_the_level_of_its_frame():
    together = LevelMixture(
        together=1.0, apart=0.0, clean_video=0.0, clean_audio=0.0, alone=0.0, by_step=1.0, pure=0.0
    )
    for row in range(50):
        s = together.draw(SPEC, Pair(1.0, 1.0), generator(0, "test", row)).s
        for (start, end), level in zip(SPEC.audio_spans().tolist(), s.audio.tolist(), strict=True):
            middle = (start + end) / 2
            frame = next(i for i, span in enumerate(SPEC.video_spans()) if span[0] <= middle < span[1])
            own = s.video[frame].item()
            assert level == own or 0.0 in (level, own)  # 0: a given span, cut by each modality for itself


def test_shares_that_make_no_whole_are_refused():
    with pytest.raises(InputError, match="add up to 1.36"):
        LevelMixture(together=0.7)
    with pytest.raises(InputError, match="lie in"):
        LevelMixture(pure=1.5)
