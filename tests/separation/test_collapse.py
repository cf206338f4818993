"""What does not look gives itself away; what looks does not."""

import math
from dataclasses import replace

import torch

from avsim.separation.collapse import blank, confusion, constant, energy_share, swapped
from avsim.separation.loss import ideal_shares, share_loss, stem_power, with_off_screen
from avsim.separation.separator import Separator
from avsim.separation.spectrum import Scale
from avsim.separation.system import SeparatorSystem
from tests.separation.mixtures import SPEC, batch

SCALE = Scale()


def test_blank_and_swapped_pictures():
    clips = batch(range(3))
    grey, other = blank(clips), swapped(clips)
    assert grey.frames.std() == 0 and grey.masks is clips.masks and grey.wave is clips.wave
    assert torch.equal(other.frames[1], clips.frames[0]) and torch.equal(other.masks[1], clips.masks[0])
    assert other.wave is clips.wave


def test_a_clip_by_itself_has_no_other_picture():
    system = SeparatorSystem(
        Separator(short_side=32, width=8, fine=8, coarse=8, frame_blocks=1, bin_widths=[4, 8])
    )
    system.log = system.log_dict = lambda *given, **more: None
    with torch.no_grad():
        system.validation_step(batch(range(1)), 0)
        assert system.scores["collapse swapped"].compute().isnan()
        assert system.scores["collapse seen"].compute().isfinite()
        system.validation_step(batch(range(2)), 1)  # nor does it count among those that have
    assert system.scores["collapse swapped"].compute().isfinite()


def test_a_constant_mask_is_the_best_of_its_kind_and_worse_than_the_true_one():
    clips = batch(range(2))
    power = stem_power(with_off_screen(clips.stems, clips.wave), SPEC.sample_rate, SCALE)
    ideal = ideal_shares(power)
    flat = constant(ideal, power)
    assert torch.allclose(flat.sum(1), torch.ones_like(flat[:, 0]), atol=1e-5)
    assert torch.equal(constant(flat, power), flat) or torch.allclose(constant(flat, power), flat)
    loss = share_loss(flat, power)
    assert (loss > share_loss(ideal, power) + 0.1).all()
    for shift in (-0.05, 0.05):  # the divergence is least at the weighted mean
        moved = flat + shift * torch.tensor([1.0, -1.0, 0.0]).view(1, 3, 1, 1)
        assert (share_loss(moved, power) > loss).all()


def test_energy_share():
    stems = torch.tensor([3.0, 4.0, 5.0]).view(1, 3, 1, 1).expand(1, 3, 2, 10)
    assert math.isclose(float(energy_share(stems)), 0.5, rel_tol=1e-6)
    assert energy_share(torch.zeros(1, 2, 1, 5)) == 0


def test_confusion_tells_swapped_stems_from_right_ones():
    clips = batch(range(4))
    power = stem_power(clips.stems, SPEC.sample_rate, SCALE)
    audible = torch.ones(4, 2, dtype=torch.bool)
    right, _ = confusion(clips.stems, clips.stems + 0.1 * clips.stems.flip(1), power, audible)
    wrong, alike = confusion(clips.stems, clips.stems.flip(1) + 0.1 * clips.stems, power, audible)
    assert not right.any() and wrong.all()
    assert alike.isnan().all()  # a low tone and a high one
    same = replace(clips, stems=clips.stems[:, :1].repeat(1, 2, 1, 1)).stems
    late = torch.stack([same[:, 0], same[:, 1].roll(2000, -1)], 1)
    _, alike = confusion(late, late.flip(1), stem_power(late, SPEC.sample_rate, SCALE), audible)
    assert alike.all()
    none, _ = confusion(clips.stems, clips.stems, power, torch.tensor([[True, False]]).expand(4, 2))
    assert none.isnan().all()
