"""The truth is true: sums, masks and boxes, what is heard when, saved and read again."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from avsim import ClipSpec, InputError
from avsim.clip import OFF_SCREEN
from avsim.world import AMBIENCE, Scene, Truth, WorldConfig, WorldDataset, render, world_config
from avsim.world.captions.parsing import facts_in
from avsim.world.flat.camera import Camera, Framing, Shot
from avsim.world.flat.scene import Body, Hit, Occluder, Stick, Target, Wall
from avsim.world.sound.rooms import RT60
from avsim.world.truth import boxes
from tests.world import hearing
from tests.world.agreement import agree

SPEC = ClipSpec()
QUIET = {"ambience": -np.inf}


def clips(level, count, **changes):
    world = WorldDataset(replace(world_config(level), **changes), seed=4)
    return [world[index] for index in range(count)]


@pytest.mark.parametrize(("level", "count"), [("easy", 12), ("medium", 12), ("full", 16)])
@pytest.mark.parametrize("channels", [1, 2])
def test_stems_sum_to_the_mixture_and_nothing_clips(level, count, channels):
    for clip, truth in clips(level, count, spec=ClipSpec(channels=channels)):
        assert set(truth.stems) == {thing.name for thing in truth.things} | {AMBIENCE, OFF_SCREEN}
        total = torch.stack(list(truth.stems.values())).double().sum(0)
        assert (total - clip.wave).abs().max() <= 1e-6
        assert clip.wave.abs().max() < 1 and clip.wave.mean(1).abs().max() < 5e-4
        assert clip.frames.min() >= 0 and clip.frames.max() <= 1
        shape = (len(truth.things), *clip.frames.shape[1:])
        assert truth.masks.shape == truth.amodal.shape == shape
        assert truth.boxes.shape == (*shape[:2], 4) and truth.camera.shape == (32, 3)
        assert (truth.masks <= truth.amodal + 1e-5).all() and truth.masks.sum(0).max() <= 1 + 1e-5
        times = [contact.seconds for contact in truth.contacts]
        assert times == sorted(times) and all(0 <= time < 2 for time in times)
        assert all(0.007 < contact.arrival - contact.seconds < 0.02 for contact in truth.contacts)


def test_saved_and_read_it_is_the_same(tmp_path):
    for index, (_, truth) in enumerate(clips("full", 6)):
        again = Truth.load(truth.save(tmp_path / str(index)))
        for field in fields(Truth):
            one, other = getattr(truth, field.name), getattr(again, field.name)
            if isinstance(one, torch.Tensor):
                assert torch.equal(one, other)
            elif field.name == "stems":
                assert list(one) == list(other) and all(torch.equal(one[k], other[k]) for k in one)
            else:
                assert one == other
        assert json.loads((tmp_path / str(index) / "truth.json").read_text())["captions"]["full"]
    with pytest.raises(InputError, match="no truth"):
        Truth.load(tmp_path)
    (tmp_path / "0" / "truth.json").write_text("{}")
    with pytest.raises(InputError, match="no truth"):
        Truth.load(tmp_path / "0")


def test_a_ball_is_where_its_mask_is_and_boxes_go_around_it():
    ball = Body("ball", "rubber", size=0.5, height=1.0, release=0.3, drift=0.5)
    clip, truth = render(Scene(bodies=(ball,), **QUIET), ClipSpec(height=128, width=128))
    mask, (left, top, right, bottom) = truth.masks[0].double(), truth.boxes[0].double().T
    area = np.pi * (16 * 1.065) ** 2  # its outline is its own
    assert mask.sum((1, 2)).sub(area).abs().max() < 0.03 * area
    middle = torch.arange(128) + 0.5
    column = (mask.sum(1) * middle).sum(1) / mask.sum((1, 2))
    row = (mask.sum(2) * middle).sum(1) / mask.sum((1, 2))
    assert column.sub((left + right) / 2).abs().max() < 0.8 and row.sub((top + bottom) / 2).abs().max() < 0.8
    seconds = SPEC.frame_seconds().double()
    since = (seconds - 0.3).clamp_min(0)
    falling = seconds < 0.7
    assert (column - 64 - 64 * 0.5 * since)[falling].abs().max() < 0.1
    assert (row - (128 - 64 * (0.25 + 1.25 - 4.905 * since**2)))[falling].abs().max() < 0.1


def test_boxes_hold_all_that_is_more_than_half_covered():
    masks = torch.zeros(2, 3, 8, 10)
    masks[0, 0, 2:5, 3:9] = 1.0
    masks[0, 1, 7, 0] = 0.6
    masks[1, 2] = 0.4
    found = boxes(masks)
    assert found[0, 0].tolist() == [3, 2, 9, 5] and found[0, 1].tolist() == [0, 7, 1, 8]
    assert not found[0, 2].any() and not found[1].any()


def test_masks_move_as_boxes_say():
    for _, truth in clips("full", 10):
        for mask, box in zip(truth.masks.flatten(0, 1), truth.boxes.flatten(0, 1).tolist(), strict=True):
            left, top, right, bottom = (int(v) for v in box)
            outside = mask.clone()
            outside[top:bottom, left:right] = 0
            assert outside.max() <= 0.5
            if box[2]:
                assert mask[:, left].max() > 0.5 and mask[bottom - 1].max() > 0.5


def test_a_pillar_hides_and_the_amodal_mask_goes_on():
    ball = Body("ball", "rubber", size=0.4, height=0.0, release=9.0)
    _, free = render(Scene(bodies=(ball,), **QUIET), SPEC)
    _, hidden = render(Scene(bodies=(ball,), occluders=(Occluder(0.1, 0.2),), **QUIET), SPEC)
    assert torch.equal(free.amodal, hidden.amodal)
    assert 0.2 * free.masks.sum() < hidden.masks.sum() < 0.8 * free.masks.sum()


def test_off_screen_is_heard_and_not_seen():
    still, beside = Body("cube", x=0.0, release=9.0), Body("ball", "metal", x=2.4, release=0.0)
    clip, truth = render(Scene(bodies=(still, beside), **QUIET), SPEC)
    empty, _ = render(Scene(bodies=(still,), **QUIET), SPEC)
    assert torch.equal(clip.frames, empty.frames)
    assert [thing.kind for thing in truth.things] == ["cube"]
    assert truth.stems[OFF_SCREEN].abs().max() > 0.01
    assert {contact.things[0] for contact in truth.contacts} == {OFF_SCREEN}


def test_what_leaves_the_picture_goes_on_sounding_in_its_own_stem():
    bell = Scene(
        targets=(Target("bell", x=-0.6), Target("rubber tile", x=0.6)),
        stick=Stick("wood", (Hit(0.4), Hit(1.4))),
        camera=Camera((Shot(), Shot(1.0, Framing(x=0.9, y=0.6, height=1.2)))),
        **QUIET,
    )
    _, truth = render(bell, SPEC)
    name = truth.things[0].name
    assert truth.masks[0, :16].sum((1, 2)).min() > 20 and not truth.masks[0, 16:].any()
    assert truth.stems[name][:, 23000:25000].abs().max() > 0.05
    assert truth.cuts == (1.0,) and truth.camera[15, 2] == 2.0 and truth.camera[16, 2] == pytest.approx(1.2)


def test_a_cut_changes_the_picture_and_not_the_stage():
    ball = Body("ball", "glass", height=1.2, release=0.1)
    cut = Camera((Shot(), Shot(1.0, Framing(y=0.5, height=1.3))))
    still_clip, still = render(Scene(bodies=(ball,), **QUIET), SPEC)
    clip, truth = render(Scene(bodies=(ball,), camera=cut, **QUIET), SPEC)
    assert truth.contacts == still.contacts
    before = slice(0, 16)  # painted finer for the close shot, so not the same to the last bit
    assert (truth.masks[:, before] - still.masks[:, before]).abs().mean() < 3e-3
    assert (clip.frames[:, before] - still_clip.frames[:, before]).abs().mean() < 0.02
    assert (clip.frames[:, 16:] - still_clip.frames[:, 16:]).abs().mean() > 0.02
    assert torch.allclose(clip.wave, still_clip.wave, atol=1e-6)  # in the middle, it has no side to change


def test_left_and_right_follow_x():
    places = np.linspace(-0.8, 0.8, 11)
    levels = []
    for x in places:
        _, truth = render(Scene(bodies=(Body(x=float(x)),), place="national park", **QUIET), SPEC)
        left, right = hearing.decibels(truth.stems[truth.things[0].name])
        levels.append(right - left)
    assert spearmanr(places, levels)[0] >= 0.95


@pytest.mark.parametrize(("dial", "values"), [("height", (0.2, 1.3)), ("size", (0.22, 0.54))])
def test_faster_is_louder_and_bigger_is_lower_in_the_clip(dial, values):
    found, truths = [], []
    for value in np.linspace(*values, 10):
        # One bounce alone: the clip ends before the next.
        body = replace(Body("ball", "metal", height=1.0, release=0.0), **{dial: float(value)})
        _, truth = render(
            Scene(bodies=(body,), floor="stone", place="national park", **QUIET), replace(SPEC, seconds=0.75)
        )
        wave = truth.stems[truth.things[0].name][0].double().numpy()
        spectrum = np.abs(np.fft.rfft(wave))
        hertz = np.fft.rfftfreq(len(wave), 1 / SPEC.sample_rate)
        found.append(hertz[spectrum.argmax()] if dial == "size" else truth.contacts[0].speed)
        truths.append(value if dial == "size" else hearing.decibels(wave))
    rank = spearmanr(found, truths)[0]
    assert rank <= -0.95 if dial == "size" else rank >= 0.95


def wet(count, kind):
    """Contacts heard in stems with their room, against the times of arrival."""
    world = WorldDataset(WorldConfig(scenes=(kind,), places=("dry studio", "restaurant", "national park")), 3)
    contacts = 0
    for index in range(count):
        _, truth = world[index]
        if not truth.things:
            continue
        wave = truth.stems[truth.things[0].name].numpy().mean(0)
        times = np.array([contact.arrival for contact in truth.contacts])
        heard = hearing.onsets(wave)
        if len(times):
            loud = np.array([contact.speed for contact in truth.contacts]) > 0.5
            for time in times[hearing.alone(times) & (times < 1.95) & loud]:
                contacts += 1
                assert np.abs(heard - time).min() < 0.01, (index, time, heard)
    return contacts


@pytest.mark.parametrize("kind", ["strike", "drop"])
def test_contacts_are_heard_when_they_arrive(kind):
    assert wet(15, kind) > 15


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["strike", "drop"])
def test_contacts_are_heard_when_they_arrive_in_200_clips(kind):
    assert wet(200, kind) > 200


def test_names_are_unique_and_captions_tell_what_there_is():
    for _, truth in clips("full", 30):
        names = [thing.name for thing in truth.things]
        assert len(set(names)) == len(names) == len(truth.captions.things)
        assert all(agree(facts_in(text), truth.facts) for text in (truth.caption, truth.captions.full))
        assert truth.place.removeprefix("dry ") in truth.caption
        assert truth.rt60 == RT60[truth.place]
        assert truth.captions.short and "  " not in truth.caption


def test_walls_stand_where_bodies_bounce():
    body = Body("ball", "rubber", size=0.3, x=0.2, height=1.2, release=0.0, drift=1.5)
    _, truth = render(Scene(bodies=(body,), walls=(Wall(-0.8), Wall(0.8)), **QUIET), SPEC)
    hits = [contact for contact in truth.contacts if contact.things[1] == "wall"]
    assert hits and hits[0].x == pytest.approx(0.8, abs=0.02) and hits[0].materials == ("rubber", "stone")
