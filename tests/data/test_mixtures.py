"""Mixtures add up, show who is where, and never mix a shot with itself."""

import dataclasses
import math

import pytest
import torch

from avsim.clip import ClipSpec
from avsim.data.mixtures import Composite, Mixture
from avsim.data.sources import Sample
from avsim.errors import InputError
from avsim.seeds import generator

SPEC = ClipSpec(0.5, 4, 12, 8.0, 1000, 2)


@pytest.mark.parametrize("kind", [Mixture, Composite])
@pytest.mark.parametrize("count", [2, 3, 5])
def test_stems_add_up_and_masks_tile_the_picture(numbers, kind, count):
    mixed = kind(numbers(20), count).take(4, SPEC, generator(7))
    assert mixed.frames.shape == (3, 4, 4, 12) and mixed.stems.shape == (count, 2, 500)
    assert torch.allclose(mixed.stems.sum(0), mixed.wave, atol=1e-6)
    assert torch.equal(mixed.masks.sum(0), torch.ones(4, 4, 12))
    assert "4:" in mixed.name and mixed.name.count(" + ") == count - 1


def test_each_mask_shows_its_part(numbers):
    mixture = Mixture(numbers(20), 2)
    mixed = mixture.take(4, SPEC, generator(7))
    for mask, name in zip(mixed.masks, mixed.name.split(" + "), strict=True):
        shown = mixed.frames[:, mask.bool()]
        assert torch.allclose(shown, torch.tensor(int(name.split(":")[0]) / 100))


def test_parts_are_of_different_groups_and_places_are_drawn(numbers):
    mixture = Mixture(numbers(6), 3)
    firsts = []
    for k in range(30):
        parts = [int(name.split(":")[0]) for name in mixture.take(4, SPEC, generator(k)).name.split(" + ")]
        assert 4 in parts and len({part // 2 for part in parts}) == 3
        firsts.append(parts.index(4))
    assert set(firsts) == {0, 1, 2}


def test_a_sum_that_clips_is_turned_down(numbers):
    class Loud(numbers):
        def take(self, index, spec, generator):
            plain = super().take(index, spec, generator)
            return dataclasses.replace(plain, wave=torch.full((spec.channels, spec.samples), 0.9))

    mixed = Mixture(Loud(), 2).take(0, SPEC, generator(0))
    assert mixed.wave.abs().max() <= 1.0
    assert torch.allclose(mixed.stems.sum(0), mixed.wave)


def test_a_duet_is_heard_from_where_it_is_seen(numbers):
    mixed = Composite(numbers(20), 2).take(4, SPEC, generator(1))
    left, right = mixed.stems
    assert (left[0] > 2 * left[1]).all() and (right[1] > 2 * right[0]).all()
    for stem in mixed.stems:  # constant power, whatever the place
        gains = (stem[0] ** 2 + stem[1] ** 2).sqrt()
        assert torch.allclose(stem[0].maximum(stem[1]) / gains, torch.tensor(math.cos(math.pi / 8)))
    order = [name.split(":")[0] for name in mixed.name.split(" + ")]
    assert mixed.caption == f"left: caption {order[0]}; right: caption {order[1]}"


def test_parts_without_picture(numbers):
    class Heard(numbers):
        def take(self, index, spec, generator):
            wave = torch.full((spec.channels, spec.samples), 0.1)
            return Sample(None, wave, "", str(index))

    mixed = Mixture(Heard(), 2).take(0, SPEC, generator(0))
    assert mixed.frames is None and mixed.masks is None and mixed.stems.shape[0] == 2 and mixed.caption == ""


def test_refusals(numbers):
    with pytest.raises(InputError, match="count is 1"):
        Mixture(numbers(4), 1)
    with pytest.raises(InputError, match="needs as many shots or films; 1 found among 2 clips"):
        Mixture(numbers(2), 2).take(0, SPEC, generator(0))
    with pytest.raises(InputError, match="width is 1"):
        Mixture(numbers(9), 2).take(0, dataclasses.replace(SPEC, width=1), generator(0))
