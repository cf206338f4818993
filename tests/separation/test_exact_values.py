"""Parts of the separation's training by hand-calculated values."""

import torch

from avsim.separation import Separator
from avsim.separation.baselines.sound_of_pixels import SoundOfPixels
from avsim.separation.baselines.system import SoundOfPixelsSystem
from avsim.separation.loss import stem_power, with_off_screen
from avsim.separation.scenes import Constraints, satisfies, sounding
from avsim.world.flat.scene import Body, Hit, Scene, Stick, Target
from tests.separation.mixtures import batch

SMALL = {"short_side": 32, "features": 4, "widths": [4, 4, 8, 8], "width": 4, "widest": 8}


def test_muon_gets_all_hidden_matrices_and_nothing_else():
    model = Separator(short_side=16, width=8, fine=8, coarse=16, frame_blocks=1, bin_widths=[4, 8, 8])
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    chosen = {names[id(parameter)] for parameter in model.hidden_matrices()}
    ends = ("frame_encoder.stem", "audio_encoder.stem", "cell_decoder.read", "bin_decoder.read", "off_screen")
    for name, parameter in model.named_parameters():
        assert (name in chosen) == (parameter.ndim >= 2 and not name.startswith(ends)), name
    assert {parameter.ndim for parameter in model.hidden_matrices()} > {2}  # kernels, too


def scene(hits: int, silent: bool = False) -> Scene:
    targets = (Target("bell", x=-0.5), Target("drum skin", x=0.5))
    struck = [Hit(seconds=0.2 + 0.3 * k, target=k % 2, speed=1.0) for k in range(hits)]
    if silent:
        struck = [Hit(seconds=hit.seconds, target=0, speed=1.0) for hit in struck]
    return Scene(targets=targets, stick=Stick(hits=tuple(struck)))


def test_constraints_count_what_sounds():
    both, one = scene(2), scene(2, silent=True)
    assert [kind is None for kind in sounding(both, 2.0)] == [False, False]
    assert [kind is None for kind in sounding(one, 2.0)] == [False, True]
    two = Constraints((2, 2), (2, 2))
    assert satisfies(two, both, 2.0) and not satisfies(two, one, 2.0)
    any_ = Constraints((2, 2), (1, 2))
    assert satisfies(any_, both, 2.0) and satisfies(any_, one, 2.0)
    assert satisfies(any_, one, 2.0, silent=True) and not satisfies(any_, both, 2.0, silent=True)
    assert satisfies(Constraints((2, 2), (1, 2), alike=False), both, 2.0)
    assert not satisfies(Constraints((2, 2), (1, 2), alike=True), both, 2.0)
    late = satisfies(Constraints((2, 2), (1, 1)), both, 0.4)  # the second hit is at 0.5 s
    assert late and not satisfies(two, both, 0.4)


def test_what_falls_beside_the_video_does_not_count():
    bodies = (Body("ball", "metal", x=0.0, release=0.1), Body("ball", "glass", x=1.6, release=0.1))
    falling = Scene(bodies=bodies)
    assert satisfies(Constraints((1, 1), (1, 1), off_screen=True), falling, 2.0)
    assert not satisfies(Constraints((1, 1), (1, 1)), falling, 2.0)


def test_the_baselines_loss_is_the_weighted_distance_of_ratio_masks():
    torch.manual_seed(0)
    system = SoundOfPixelsSystem(SoundOfPixels(**SMALL))
    clips = batch(range(2))
    stems = with_off_screen(clips.stems, clips.wave).float()
    power = stem_power(stems, clips.spec.sample_rate, system.model.scale)  # (B, R + 1, F, J)
    shares = torch.rand(power.shape, generator=torch.Generator().manual_seed(1))
    total = count = 0.0
    for row in range(2):
        whole = power[row].sum(0)
        weight = (1 + (whole / whole.mean()).sqrt()).log().clamp(1e-3, 10)
        for region in range(power.shape[1] - 1):
            if not clips.masks[row, region].any():
                continue
            ratio = (power[row, region] / whole.clamp(min=1e-20)).sqrt().clamp(max=1)
            total += float((weight * (shares[row, region] - ratio).abs()).sum())
            count += float(weight.sum())
    torch.testing.assert_close(float(system.losses(clips, shares)["masks"]), total / count, rtol=1e-4, atol=0)
