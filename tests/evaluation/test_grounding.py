import pytest
import torch

from avsim.clip import Clip, Region, Stems
from avsim.errors import InputError
from avsim.evaluation.grounding import Grounding, moved, oracle, share
from avsim.evaluation.result import NotJudged
from avsim.seeds import generator


def noise(name: str, low: bool) -> torch.Tensor:
    """Noise (1, 16000) below or above 2 kHz."""
    spectrum = torch.fft.rfft(torch.randn(16000, generator=generator(0, name)))
    spectrum[2000:] *= not low
    spectrum[:2000] *= low
    return torch.fft.irfft(spectrum, 16000)[None]


@pytest.fixture
def clip() -> Clip:
    frames = torch.zeros(3, 16, 8, 8)
    frames[:, :, :4, :4] = 1.0  # a bright thing at the upper left
    return Clip(frames, noise("thing", low=True))


def seeing(clip: Clip, regions) -> Stems:
    """A separator that gives low sounds to bright regions, all else to "off screen"."""
    spectrum = torch.fft.rfft(clip.wave)
    spectrum[:, 2000:] = 0
    low = torch.fft.irfft(spectrum, clip.wave.shape[1])
    found = [low * (clip.frames.mean((0, 1))[region.mask > 0].mean() > 0.9) for region in regions]
    return Stems(torch.stack([*found, clip.wave - sum(found)]), regions, clip.sample_rate)


def blind(clip: Clip, regions) -> Stems:
    """One that doesn't look: by area."""
    areas = [region.mask.mean() for region in regions]
    parts = [clip.wave * area**0.5 for area in areas]
    return Stems(torch.stack([*parts, clip.wave * (1 - sum(areas)) ** 0.5]), regions, clip.sample_rate)


def region() -> Region:
    return Region.box(0, 0, 4, 4, (8, 8), "thing")


def test_share_by_hand():
    waves = torch.tensor([[[1.0, 1.0]], [[0.0, 0.0]], [[1.0, -1.0]]])
    assert share(Stems(waves, [region(), region()], 16000)) == 0.5
    with pytest.raises(NotJudged):
        share(Stems(0 * waves, [region(), region()], 16000))


def test_one_that_sees_and_one_that_does_not(clip):
    other = Clip(clip.frames, noise("other", low=False))
    looked, unlooked = Grounding(), Grounding()
    looked.update(clip, [region()], seeing, other)
    unlooked.update(clip, [region()], blind, other)
    found = looked.compute()
    assert found["share of the energy that falls to what sounds"] == pytest.approx(1)
    for control in ("swapped audio", "mirrored video", "positions shuffled", "blank video"):
        assert found[f"the same, {control}"] == pytest.approx(0, abs=1e-6)
    assert found["the same, constant mask"] == 0.25
    assert found["error of the share beside an unseen source"] == pytest.approx(0, abs=1e-3)
    assert found["AUROC against swapped audio"] == 1
    found = unlooked.compute()
    assert found["share of the energy that falls to what sounds"] == pytest.approx(0.25)
    assert found["the same, swapped audio"] == pytest.approx(0.25)


def test_the_other_sound_may_have_another_rate(clip):
    wave = noise("other", low=False)
    found = []
    for other in (Clip(clip.frames, wave), Clip(clip.frames, wave.repeat_interleave(3, 1), 16.0, 48000)):
        scorer = Grounding()
        scorer.update(clip, [region()], seeing, other)
        found.append(scorer.compute()["error of the share beside an unseen source"])
    assert found == pytest.approx([0, 0], abs=1e-3)


def test_regions_are_moved_to_where_they_were_not():
    still, moving = (
        Region.box(1, 0, 2, 4, (8, 8), "still"),
        Region(torch.zeros(3, 8, 8).index_fill(2, torch.tensor(3), 1.0)),
    )
    found = moved([still, moving])
    assert [region.name for region in found] == ["still", "region"]
    covered = still.mask + moving.mask.amax(0) > 0
    assert all((region.mask * covered).sum() == 0 for region in found)
    assert [region.mask.sum() for region in found] == [still.mask.sum(), moving.mask.sum()]


def test_silence_is_counted(clip):
    scorer = Grounding()
    scorer.update(Clip(clip.frames, 0 * clip.wave), [region()], seeing, clip)
    assert scorer.scores(draws=10)["AUROC against swapped audio"].skipped == {"is silent": 1}


def test_oracle_masks_give_back_stems_that_do_not_overlap_and_always_add_up(clip):
    low, high = noise("low", low=True), noise("high", low=False)
    separate = oracle(torch.stack([low, high]))
    mixed = Clip(clip.frames, low + high)
    stems = separate(mixed, [region()])
    assert (stems.wave[0] - low).abs().max() < 0.2 * low.abs().max()
    assert (stems.mixture - mixed.wave).abs().max() < 1e-4
    assert share(separate(Clip(clip.frames, high), [region()])) < 0.01
    with pytest.raises(InputError, match="oracle masks of 1 regions"):
        separate(mixed, [region(), region()])


@pytest.mark.parametrize(
    ("covered", "expected"),
    [([1, 0, 0, 0], [0, 1, 0, 0]), ([1, 1, 0, 0], [0, 0, 1, 1]), ([1, 1, 1, 0], [0, 1, 1, 1]), ([1], [1])],
)
def test_a_region_moves_by_the_least_that_leaves_most_of_its_place(covered, expected):
    (found,) = moved([Region(torch.tensor([covered], dtype=torch.float32), "a")])
    assert found.mask.flatten().tolist() == expected and found.name == "a"
