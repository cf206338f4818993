import pytest
import torch

from avsim.clip import Clip
from avsim.errors import InputError
from avsim.evaluation.corruptions import (
    OF_A_CLIP,
    OF_A_SCENE,
    SEAM,
    mirrored,
    shifted,
    shuffled,
    silenced,
    sounding,
    spliced,
    swapped_channels,
    through_codecs,
    with_sound_of,
)
from avsim.evaluation.result import NotJudged
from avsim.world import Scene, render
from avsim.world.flat.scene import Body, Hit, Stick, Target
from tests.films import flash_and_click, offset


@pytest.fixture
def clip() -> Clip:
    return flash_and_click(16, 16000, 32)


def test_one_is_undone_by_itself_the_other_leaves_nothing(clip):
    assert torch.equal(mirrored(mirrored(clip)).frames, clip.frames)
    assert torch.equal(swapped_channels(swapped_channels(clip)).wave, clip.wave)
    assert not silenced(clip).wave.any() and silenced(clip).frames is clip.frames


@pytest.mark.parametrize("milliseconds", [-160, 40, 320])
def test_shifted_by_what_it_says_without_a_loss(clip, milliseconds):
    late = shifted(clip, milliseconds)
    assert offset(late) == pytest.approx(offset(clip) + milliseconds / 1000, abs=1e-3)
    assert late.wave.square().sum() == pytest.approx(clip.wave.square().sum().item(), rel=1e-3)
    assert late.wave.shape == clip.wave.shape


def test_shuffled_gives_each_the_sound_of_another():
    clips = [Clip(torch.full((3, 16, 4, 4), k / 8), torch.full((1, 16000), k / 8)) for k in range(4)]
    lied = list(shuffled(iter(clips)))
    pairs = {(round(8 * c.frames.mean().item()), round(8 * c.wave.mean().item())) for c in lied}
    assert pairs == {(1, 0), (2, 1), (3, 2), (0, 3)}
    with pytest.raises(InputError, match="one clip"):
        list(shuffled(clips[:1]))
    assert list(shuffled([])) == []


def test_spliced_shows_another_clip_in_the_middle_third():
    one, other = Clip(torch.zeros(3, 30, 8, 8), None), Clip(torch.ones(3, 9, 16, 12), None)
    lied = spliced(one, other).frames
    assert lied.shape == one.frames.shape
    assert lied.mean((0, 2, 3)).tolist() == [0] * 10 + [1] * 10 + [0] * 10


def test_sounds_of_other_lengths_are_fitted():
    short, long = (Clip(torch.zeros(3, t, 4, 4), torch.ones(1, 1000 * t)) for t in (8, 24))
    lied = list(shuffled([short, long]))
    assert [c.wave.shape[1] for c in lied] == [24000, 8000]
    assert lied[0].wave.sum() == 8000  # then silence


def test_clips_of_one_kind_alone(clip):
    for corruption in OF_A_CLIP.values():
        assert (
            corruption(clip.without_audio()).wave is None and corruption(clip.without_video()).frames is None
        )
    with pytest.raises(InputError, match="needs video"):
        list(shuffled([clip.without_audio(), clip.without_video()]))


def test_through_codecs_takes_both_ways(clip):
    class Darker:
        def encode(self, values):
            return values / 2

        def decode(self, latents, spec):
            return latents

    lied = through_codecs(clip, Darker(), Darker())
    assert torch.equal(lied.frames, clip.frames / 2) and torch.equal(lied.wave, clip.wave / 2)
    assert torch.equal(through_codecs(clip, None, Darker()).frames, clip.frames)


def test_the_world_sounds_anew():
    scene = Scene(bodies=(Body(material="metal", release=0.0),), seed=3)
    clip, truth = render(scene, Clip(torch.zeros(3, 16, 64, 64), None).spec)
    for name, corruption in OF_A_SCENE.items():
        lied, heard = sounding(clip, corruption(truth.scene))
        assert heard.scene == corruption(truth.scene) != scene
        assert torch.equal(lied.frames, clip.frames), name
        assert lied.wave.shape == clip.wave.shape and not torch.equal(lied.wave, clip.wave), name
    struck = Scene(targets=(Target(),), stick=Stick(hits=(Hit(0.3),)))
    with pytest.raises(NotJudged):
        OF_A_SCENE["wrong material"](struck)


def test_a_shift_fades_at_its_seam_and_nowhere_else():
    clip = Clip(None, torch.ones(2, 1600), sample_rate=1600)
    fade = round(SEAM * 1600)
    late = shifted(clip, 250).wave
    ramp = torch.linspace(0, 1, fade)
    expected = torch.ones(1600)
    expected[400 : 400 + fade], expected[400 - fade : 400] = ramp, ramp.flip(0)  # 250 ms are 400 samples
    assert fade > 1
    torch.testing.assert_close(late, expected.expand(2, -1))
    short = Clip(None, torch.ones(1, 6), sample_rate=1600)  # shorter than two fades: halves meet
    ramp = torch.linspace(0, 1, min(fade, 3))
    assert fade > 3
    torch.testing.assert_close(shifted(short, 0).wave[0], torch.cat([ramp, ramp.flip(0)]))


def test_what_lacks_video_or_audio_cannot_be_mixed():
    both = Clip(torch.zeros(3, 16, 4, 4), torch.zeros(1, 16000))
    seen, heard = Clip(both.frames, None), Clip(None, both.wave)
    for one, other in ((heard, both), (both, seen), (heard, seen)):
        with pytest.raises(InputError, match="needs video, and the other one audio"):
            with_sound_of(one, other)
    for one, other in ((heard, both), (both, heard), (heard, heard)):
        with pytest.raises(InputError, match="needs video, and the other one too"):
            spliced(one, other)
