"""Layers add up to the frames that are rendered; each fault is graded, in its place, and leaves frame 0 alone
where it comes after it."""

import pytest
import torch

from avsim.clip import ClipSpec
from avsim.errors import InputError
from avsim.world import Scene, render
from avsim.world.flat.camera import Camera, Framing, Shot
from avsim.world.flat.faults import FAULTS, able_layers, spoilt
from avsim.world.flat.layers import STICK, Layers
from avsim.world.flat.scene import Body, Hit, Occluder, Player, Stick, Target
from avsim.world.sound.phrases import Note

SPEC = ClipSpec(seconds=1.5)
FALLS = Scene(bodies=(Body("ball", "rubber", "red", size=0.4, height=1.0),))
STRUCK = Scene(targets=(Target("bell"),), stick=Stick("metal", (Hit(0.5),)), occluders=(Occluder(0.9),))
PLAYS = Scene(players=(Player("cello", (Note(0.2, 0.5, 50, 0.7),)),))
SPOILT_AT_FIRST = ("loses its edge", "haze in place of a stick")  # frame 0 too


def layers_for(name: str) -> Layers:
    return Layers(STRUCK if FAULTS[name].stick else FALLS, SPEC)


def made(layers: Layers, name: str, strength: float, seed: int = 3) -> torch.Tensor:
    frames = spoilt(layers, 16.0, FAULTS[name], strength, torch.Generator().manual_seed(seed))
    assert frames is not None
    return frames


@pytest.mark.parametrize("scene", [FALLS, STRUCK, PLAYS])
def test_layers_have_the_frames_and_masks_that_are_rendered(scene):
    layers = Layers(scene, SPEC)
    clip, truth = render(scene, SPEC)
    assert torch.equal(layers.frames, clip.frames)
    assert torch.allclose(layers.masks[: len(truth.things)], truth.masks, atol=1e-6)


def test_without_a_thing_only_its_pixels_and_its_shadow_differ():
    layers = Layers(FALLS, SPEC)
    without, mask = layers.without(0), layers.masks[0]
    away = (layers.frames - without).abs().amax(0)
    assert away[mask > 0.9].min() > 0.02  # a red ball before grey
    assert away[:, :16].where(mask[:, :16] == 0, 0.0).max() == 0  # nothing above it
    assert (layers.frames - without)[:, mask == 0].max() < 1e-3  # a shadow only darkens


def test_the_stick_is_a_layer_before_all_but_pillars():
    layers = Layers(STRUCK, SPEC)
    assert layers.names[-1] == STICK and layers.masks[-1].amax() > 0.5
    away = (layers.frames - layers.without(len(layers.names) - 1)).abs().amax(0)
    assert away.where(layers.masks[-1] < 0.01, 0.0).max() < 0.02
    assert STICK not in Layers(PLAYS, SPEC).names


@pytest.mark.parametrize("name", FAULTS)
def test_strength_0_changes_nothing_and_more_changes_more(name):
    layers = layers_for(name)
    assert torch.equal(made(layers, name, 0.0), layers.frames)
    away = [float((made(layers, name, s) - layers.frames).square().mean()) for s in (0.1, 0.3, 0.6, 1.0)]
    assert 0 < away[0] < away[1] < away[2] < away[3], away
    for strength in (0.3, 1.0):
        frames = made(layers, name, strength)
        assert frames.shape == layers.frames.shape and frames.min() >= 0 and frames.max() <= 1
        assert torch.equal(frames, made(layers, name, strength))  # by its seed alone
        if name not in SPOILT_AT_FIRST:
            assert torch.allclose(frames[:, 0], layers.frames[:, 0], atol=1e-6)
    assert 0.1 < FAULTS[name].noticeable < 0.6


@pytest.mark.parametrize("name", [name for name in FAULTS if not FAULTS[name].whole])
def test_far_from_the_thing_all_is_as_it_was(name):
    layers = layers_for(name)
    away = (made(layers, name, 0.5) - layers.frames).abs().amax((0, 1))
    assert away[:8].max() < 1e-3 and (away > 0.02).float().mean() < 0.35


def test_a_ghost_is_where_the_thing_was_and_not_over_it():
    layers = layers_for("ghost left behind")
    frames, mask = made(layers, "ghost left behind", 1.0), layers.masks[0]
    left = (mask[0] > 0.95) & (mask[-1] == 0)
    assert left.any()
    assert torch.allclose(frames[:, -1, left], layers.frames[:, 0, left], atol=0.05)
    there = mask[-1] > 0.99
    assert torch.allclose(frames[:, -1, there], layers.frames[:, -1, there], atol=0.02)


def test_faded_and_replaced_things_show_what_is_behind_them():
    layers = Layers(FALLS, SPEC)
    there = layers.masks[0, -1] > 0.5
    for name in ("fades", "replaced by the backdrop"):
        frames, without = made(layers, name, 1.0)[:, -1, there], layers.without(0)[:, -1, there]
        assert torch.allclose(frames, without, atol=0.02), name
    half = (made(layers, "replaced by the backdrop", 0.5)[:, -1] - layers.frames[:, -1]).abs().amax(0) > 0.05
    assert 0.3 < half[there].float().mean() < 0.7


def test_a_pop_leaves_all_later_frames_alike_and_a_pulse_comes_back():
    layers = Layers(FALLS, SPEC)
    for seed in range(4):
        change = made(layers, "pop after frame 0", 0.1, seed) - layers.frames
        assert (change[:, 1:] - change[:, 1:2]).abs().median() < 1e-4
        change = (made(layers, "pulse every few frames", 0.3, seed) - layers.frames).abs().mean((0, 2, 3))
        assert 0.1 < (change > 1e-3).float().mean() < 0.8 and (change == 0).any()


def test_only_what_moves_leaves_a_ghost_and_only_sticks_become_a_haze():
    ghost, haze = FAULTS["ghost left behind"], FAULTS["haze in place of a stick"]
    assert able_layers(Layers(FALLS, SPEC), ghost) == [0]
    for scene in (STRUCK, PLAYS):
        assert able_layers(Layers(scene, SPEC), ghost) == []
    assert able_layers(Layers(STRUCK, SPEC), haze) == [1]
    assert spoilt(Layers(PLAYS, SPEC), 16.0, haze, 0.5, torch.Generator()) is None
    with pytest.raises(InputError, match="strength"):
        spoilt(Layers(PLAYS, SPEC), 16.0, haze, 1.5, torch.Generator())


def test_larger_frames_and_cuts_have_faults_too():
    spec = ClipSpec(seconds=1.0, height=96, width=128)
    cut = Scene(bodies=FALLS.bodies, camera=Camera((Shot(), Shot(0.5, Framing(x=0.3)))))
    for scene, size in ((FALLS, spec), (cut, SPEC)):
        layers = Layers(scene, size)
        for name, fault in FAULTS.items():
            if not fault.stick:
                frames = spoilt(layers, 16.0, fault, 0.6, torch.Generator().manual_seed(1))
                assert frames is None or frames.shape == layers.frames.shape, name
