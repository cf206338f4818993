"""Mixtures add up, show who is where, and never mix a shot with itself."""

import dataclasses

import pytest
import torch

from avsim.clip import ClipSpec
from avsim.data.mixtures import Blend, Distractors, Mixture
from avsim.data.sources import Sample
from avsim.errors import InputError
from avsim.seeds import generator

SPEC = ClipSpec(0.5, 4, 12, 8.0, 1000, 2)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_stems_add_up_and_masks_tile_the_frames(numbers, count):
    mixed = Mixture(numbers(20), count).sample(4, SPEC, generator(7))
    assert mixed.frames.shape == (3, 4, 4, 12) and mixed.stems.shape == (count, 2, 500)
    assert torch.allclose(mixed.stems.sum(0), mixed.wave, atol=1e-6)
    assert torch.equal(mixed.masks.sum(0), torch.ones(4, 4, 12))
    assert "4:" in mixed.name and mixed.name.count(" + ") == count - 1


def test_each_mask_shows_its_part(numbers):
    mixture = Mixture(numbers(20), 2)
    mixed = mixture.sample(4, SPEC, generator(7))
    for mask, name in zip(mixed.masks, mixed.name.split(" + "), strict=True):
        shown = mixed.frames[:, mask.bool()]
        assert torch.allclose(shown, torch.tensor(int(name.split(":")[0]) / 100))


def test_parts_are_of_different_groups_and_places_are_drawn(numbers):
    mixture = Mixture(numbers(6), 3)
    firsts = []
    for k in range(30):
        parts = [int(name.split(":")[0]) for name in mixture.sample(4, SPEC, generator(k)).name.split(" + ")]
        assert 4 in parts and len({part // 2 for part in parts}) == 3
        firsts.append(parts.index(4))
    assert set(firsts) == {0, 1, 2}


def test_a_sum_above_full_scale_is_scaled_down(numbers):
    class Loud(numbers):
        def sample(self, index, spec, generator):
            plain = super().sample(index, spec, generator)
            return dataclasses.replace(plain, wave=torch.full((spec.channels, spec.samples), 0.9))

    mixed = Mixture(Loud(), 2).sample(0, SPEC, generator(0))
    assert mixed.wave.abs().max() <= 1.0
    assert torch.allclose(mixed.stems.sum(0), mixed.wave)


def test_parts_without_video(numbers):
    class AudioAlone(numbers):
        def sample(self, index, spec, generator):
            wave = torch.full((spec.channels, spec.samples), 0.1)
            return Sample(None, wave, "", str(index))

    mixed = Mixture(AudioAlone(), 2).sample(0, SPEC, generator(0))
    assert mixed.frames is None and mixed.masks is None and mixed.stems.shape[0] == 2 and mixed.caption == ""


def test_refusals(numbers):
    with pytest.raises(InputError, match="count is 1"):
        Mixture(numbers(4), 1)
    with pytest.raises(InputError, match="needs as many shots or videos; 1 found among 2 clips"):
        Mixture(numbers(2), 2).sample(0, SPEC, generator(0))
    with pytest.raises(InputError, match="width is 1"):
        Mixture(numbers(9), 2).sample(0, dataclasses.replace(SPEC, width=1), generator(0))


def test_distractors_are_in_the_wave_and_in_no_stem(numbers):
    source = Mixture(numbers(20), 2)
    own = source.sample(4, SPEC, generator(3))
    joined = Distractors(source, joins=1.0, replaces=0.0).sample(4, SPEC, generator(3))
    assert torch.equal(joined.stems, own.stems) and torch.equal(joined.frames, own.frames)
    assert (joined.wave - joined.stems.sum(0)).abs().max() > 1e-3 and " with " in joined.name
    alone = Distractors(source, joins=0.0, replaces=1.0).sample(4, SPEC, generator(3))
    assert not alone.stems.any() and alone.wave.abs().max() > 1e-3 and " with audio of " in alone.name
    never = Distractors(source, joins=0.0, replaces=0.0).sample(4, SPEC, generator(3))
    assert torch.equal(never.wave, own.wave) and len(Distractors(source)) == len(source)
    for k in range(20):
        name = Distractors(numbers(3), joins=1.0, replaces=0.0).sample(1, SPEC, generator(k)).name
        assert not name.split(" with ")[1].startswith("1:")


def test_a_blend_holds_all_clips_in_the_shares_of_the_weights(numbers):
    few, many = numbers(3), numbers(20)
    blend = Blend([Mixture(many), few], [3.0, 1.0])
    names = [blend.sample(index, SPEC, generator(index)).name for index in range(len(blend))]
    mixed = [name for name in names if " + " in name]
    assert len(mixed) / len(names) == pytest.approx(0.75, abs=0.03)
    assert {name.split(":")[0] for name in names if name not in mixed} == {"0", "1", "2"}
    assert {int(part.split(":")[0]) for name in mixed for part in name.split(" + ")} == set(range(20))
    assert len(Blend([many, few], [1.0, 9.0])) == 200  # the larger source is whole though its weight is small


def test_groups_of_a_blend_are_those_of_its_sources(numbers):
    blend = Blend([numbers(3), numbers(20)])
    assert len({blend.group(index) for index in range(len(blend))}) == 2 + 10
    assert blend.group(0) == blend.group(1) != blend.group(2)
    assert blend.group(0) == blend.group(3)  # the same clip, repeated
    parts = Mixture(blend).sample(0, SPEC, generator(0)).name.split(" + ")
    assert len(parts) == 2
    joined = Distractors(blend, joins=1.0, replaces=0.0).sample(4, SPEC, generator(0))
    assert " with " in joined.name


@pytest.mark.parametrize(
    "make",
    [lambda s: Distractors(s, joins=0.9, replaces=0.2), lambda s: Blend([]), lambda s: Blend([s], [0.0])],
)
def test_chances_and_weights_that_make_no_sense_are_refused(make, numbers):
    with pytest.raises(InputError):
        make(numbers(3))
