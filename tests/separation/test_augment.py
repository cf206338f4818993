"""A changed mixture is still the sum of its parts, and changes with its row and step alone."""

from dataclasses import replace

import pytest
import torch

from avsim.errors import InputError
from avsim.separation.augment import NO_CHANGE, Augmentation, augment, through
from tests.separation.mixtures import batch

ALWAYS = Augmentation(gain_db=6.0, silence=0.0, hide=0.0, mirror=1.0, mono=0.0)


def same(a, b):
    return all(
        torch.equal(getattr(a, name), getattr(b, name)) for name in ("frames", "wave", "stems", "masks")
    )


def test_nothing_drawn_nothing_changed():
    clips = batch(range(3))
    changed = augment(clips, 0, 5, NO_CHANGE)
    assert same(clips, replace(changed, wave=clips.wave)) and torch.allclose(
        changed.wave, clips.wave, atol=1e-6
    )


def test_draws_depend_on_seed_step_and_row_alone():
    clips, how = batch(range(4)), Augmentation()
    whole, parts = augment(clips, 1, 7, how), [augment(batch(range(i, i + 1)), 1, 7, how) for i in range(4)]
    for name in ("frames", "wave", "stems", "masks"):
        assert torch.equal(getattr(whole, name), torch.cat([getattr(part, name) for part in parts]))
    assert not same(whole, augment(clips, 1, 8, how)) and not same(whole, augment(clips, 2, 7, how))


def test_what_no_region_owns_is_kept_and_what_is_hidden_joins_it():
    clips = batch(range(3))
    murmur = 0.1 * torch.randn(clips.wave.shape, generator=torch.Generator().manual_seed(0))
    clips = replace(clips, wave=clips.wave + murmur)
    louder = augment(clips, 0, 0, replace(NO_CHANGE, gain_db=6.0))
    assert torch.allclose(louder.wave - louder.stems.sum(1), murmur, atol=1e-5)
    hidden = augment(clips, 0, 0, replace(NO_CHANGE, hide=1.0))
    assert (
        torch.allclose(hidden.wave, clips.wave, atol=1e-5)
        and not hidden.stems.any()
        and not hidden.masks.any()
    )
    assert torch.allclose(hidden.frames, torch.full_like(clips.frames, 0.5))
    silent = augment(clips, 0, 0, replace(NO_CHANGE, silence=1.0))
    assert torch.allclose(silent.wave, murmur, atol=1e-5) and not silent.stems.any()
    assert torch.equal(silent.masks, clips.masks) and torch.equal(silent.frames, clips.frames)


def test_a_mirror_swaps_the_ears_and_mono_joins_them():
    clips = batch(range(2))
    mirrored = augment(clips, 0, 0, replace(NO_CHANGE, mirror=1.0))
    assert torch.equal(mirrored.frames, clips.frames.flip(-1)) and torch.equal(
        mirrored.stems, clips.stems.flip(-2)
    )
    assert torch.equal(mirrored.masks, clips.masks.flip(-1))
    centred = augment(clips, 0, 0, replace(NO_CHANGE, mono=1.0))
    assert torch.equal(centred.wave[:, 0], centred.wave[:, 1])


def test_data_without_truth_is_refused():
    with pytest.raises(InputError, match="stems"):
        augment(replace(batch(range(1)), stems=None), 0, 0, ALWAYS)


class Halves:
    """A codec of sorts: what comes back is half as bright, or as loud."""

    def encode(self, whole):
        return whole / 2

    def decode(self, latents, spec):
        return latents


def test_some_rows_go_through_the_codecs_and_the_truth_stays():
    clips, rows = batch(range(3)), torch.tensor([True, False, True])
    coded = through(clips, Halves(), Halves(), rows)
    for name in ("frames", "wave"):
        assert torch.equal(getattr(coded, name)[rows], getattr(clips, name)[rows] / 2)
        assert torch.equal(getattr(coded, name)[~rows], getattr(clips, name)[~rows])
    assert torch.equal(coded.stems, clips.stems) and torch.equal(coded.masks, clips.masks)
    assert through(clips, Halves(), Halves(), ~rows & rows) is clips
