"""The world's truth is true: sums, times, speeds, places, pitches, and the same clip every time."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from scipy.special import spherical_jn
from scipy.stats import spearmanr

from avsim import ClipSpec, InputError
from avsim.clip import OFF_SCREEN
from avsim.world import AMBIENCE, WorldConfig, WorldDataset, sound
from avsim.world import dataset as worlds
from avsim.world.materials import MATERIALS, SPHERE
from avsim.world.scene import GRAVITY, Ball, Scene, half_width

SPEC = ClipSpec()
ONE = WorldConfig(things=(1, 1), ambience=-120.0)


def ball(**changes) -> Ball:
    standard = Ball("metal", "red", "medium", 0.18, 0.0, 1.0, 0.1, 0.0, 0.0)
    return replace(standard, **changes)


def rendered(*balls: Ball, spec: ClipSpec = SPEC, ambience: float = -120.0):
    scene = Scene(balls, (0.85, 0.85, 0.85), (0.6, 0.6, 0.6), ambience)
    return worlds.render(scene, spec, np.random.default_rng(0))


def level(wave: torch.Tensor) -> torch.Tensor:
    return wave.double().square().mean(-1).clamp_min(1e-20).log10() * 10


@pytest.mark.parametrize("channels", [1, 2])
def test_stems_sum_to_the_mixture_and_nothing_clips(channels):
    config = WorldConfig(off_screen=1.0, spec=ClipSpec(channels=channels))
    for index in range(40):
        clip, truth = WorldDataset(config)[index]
        assert set(truth.stems) == {thing.name for thing in truth.things} | {AMBIENCE, OFF_SCREEN}
        total = torch.stack(list(truth.stems.values())).double().sum(0)
        assert (total - clip.wave).abs().max() <= 1e-6
        assert clip.wave.abs().max() < 0.99
        assert clip.frames.min() >= 0 and clip.frames.max() <= 1
        assert truth.masks.shape == (len(truth.things), *clip.frames.shape[1:])
        assert truth.stems[OFF_SCREEN].abs().max() > 0 or clip.seconds < 2


def test_a_clip_depends_on_config_seed_split_and_index_alone():
    def digest(config, seed, split, index):
        clip, truth = WorldDataset(config, seed, split)[index]
        parts = [clip.frames, clip.wave, truth.masks, *truth.stems.values()]
        blob = b"".join(part.numpy().tobytes() for part in parts)
        return hashlib.sha256(blob + truth.caption.encode()).hexdigest()

    reference = digest("easy", 0, "train", 7)
    WorldDataset("easy", 3)[1]
    assert digest("easy", 0, "train", 7) == reference
    others = {
        digest("easy", 1, "train", 7),
        digest("easy", 0, "test", 7),
        digest("easy", 0, "train", 8),
        digest(ONE, 0, "train", 7),
    }
    assert len(others | {reference}) == 5


def test_the_same_scene_at_another_rate_has_the_same_things_and_times():
    fine = replace(
        WorldConfig(), spec=ClipSpec(height=128, width=128, frames_per_second=30, sample_rate=48000)
    )
    for index in range(5):
        (_, a), (_, b) = WorldDataset()[index], WorldDataset(fine)[index]
        assert a.things == b.things
        assert [c.seconds for c in a.contacts] == [c.seconds for c in b.contacts]


def test_contacts_are_where_the_motion_touches_the_floor_and_bounces_shrink_by_the_restitution():
    for material, substance in MATERIALS.items():
        thing = ball(material=material)
        impacts = thing.bounces()
        times = np.array([seconds for seconds, _ in impacts])
        speeds = np.array([speed for _, speed in impacts])
        assert np.abs(thing.place(times)[1] - thing.radius).max() < 1e-9
        assert speeds[0] == pytest.approx(np.sqrt(2 * GRAVITY * 1.0))
        assert speeds[1:] / speeds[:-1] == pytest.approx(substance.restitution)
        assert np.diff(times) == pytest.approx(2 * speeds[1:] / GRAVITY)
        step = 1e-6  # the speed just before each impact, from positions alone
        fall = (thing.place(times - 2 * step)[1] - thing.place(times - step)[1]) / step
        assert fall == pytest.approx(speeds, abs=1e-3)
        dense = thing.place(np.linspace(0, 4, 4001))[1]
        assert (dense >= thing.radius - 1e-12).all() and np.abs(np.diff(dense)).max() < 6e-3


def test_sound_starts_at_the_sample_after_its_arrival():
    for index in range(60):
        clip, truth = WorldDataset(ONE)[index]
        if not truth.contacts:
            continue
        wave = truth.stems[truth.things[0].name][0].abs()
        first = int((wave > 0).nonzero()[0])
        arrival = truth.contacts[0].arrival * clip.sample_rate
        assert arrival - 1e-6 <= first < arrival + 2
        assert wave[first : first + 32].max() > 0.02 * wave.max()  # and at once
        delay = truth.contacts[0].arrival - truth.contacts[0].seconds
        assert sound.DISTANCE / sound.SOUND_SPEED <= delay < 0.011


def test_an_impact_between_two_samples_is_the_same_sound_moved_by_a_fraction():
    thing = ball(material="wood", release=0.0)
    waves = []
    for shift in (0.0, 0.5 / SPEC.sample_rate):
        seconds, speed = replace(thing, release=shift).bounces()[0]
        waves.append(np.fft.rfft(sound.impact(thing, seconds, speed, SPEC)[0]))
    hertz = np.fft.rfftfreq(SPEC.samples, 1 / SPEC.sample_rate)
    band = (hertz > 300) & (hertz < 2000)
    turned = waves[0] * np.exp(-2j * np.pi * hertz * 0.5 / SPEC.sample_rate)
    assert np.abs(turned - waves[1])[band].max() < 0.01 * np.abs(waves[0])[band].max()


def test_masks_are_where_the_balls_are():
    for index in range(10):
        _, truth = WorldDataset("easy", 5)[index]
        rows = torch.arange(64) + 0.5
        for mask, thing in zip(truth.masks, truth.things, strict=True):
            area = mask.sum((1, 2))
            radius = thing.radius * 32
            assert area.sub(np.pi * radius**2).abs().max() < 0.04 * np.pi * radius**2 + 1
            lowest = ((mask.sum(2) * rows).sum(1) / area).max()  # of its centre, in rows
            assert lowest <= 64 - 8 - radius + 0.2
        assert truth.masks.sum(0).max() <= 1 + 1e-6


def test_motion_is_smooth_below_a_pixel():
    still = ball(release=1e9)
    centres = []
    for shift in np.linspace(0, 1 / 32, 9):  # one pixel in nine steps
        _, truth = rendered(replace(still, x=float(shift)), spec=ClipSpec(seconds=0.07))
        mask = truth.masks[0, 0].double()
        centres.append(float((mask.sum(0) * (torch.arange(64) + 0.5)).sum() / mask.sum()))
    assert np.diff(centres) == pytest.approx(1 / 8, abs=0.02)


def test_faster_is_louder_bigger_is_lower_and_right_is_right():
    heights = np.linspace(0.3, 1.3, 12)
    first = [rendered(ball(height=float(h)))[1] for h in heights]
    energy = [float(level(t.stems[t.things[0].name]).mean()) for t in first]
    assert spearmanr(energy, [t.contacts[0].speed for t in first])[0] > 0.95

    radii, hertz = np.linspace(0.11, 0.26, 12), np.fft.rfftfreq(SPEC.samples, 1 / SPEC.sample_rate)
    peaks = []
    for radius in radii:
        wave = rendered(ball(radius=float(radius)))[0].wave[0].numpy()
        peaks.append(hertz[np.abs(np.fft.rfft(wave)).argmax()])
    assert spearmanr(radii, peaks)[0] < -0.95

    places = np.linspace(-0.8, 0.8, 12)
    levels = [level(rendered(ball(x=float(x)))[0].wave) for x in places]
    assert spearmanr(places, [float(right - left) for left, right in levels])[0] > 0.95


def test_materials_differ_in_decay():
    def length(material: str) -> float:
        mode = sound.partials(material, 0.18)
        return 6.9 / mode[1][0]  # seconds for the lowest mode to fall by 60 dB

    assert [length(m) for m in ("metal", "glass", "ceramic", "wood")] == sorted(
        (length(m) for m in ("metal", "glass", "ceramic", "wood")), reverse=True
    )
    assert length("metal") > 4 * length("wood")


def test_partials_are_roots_of_lambs_equation():
    """Traction-free spheroidal modes at Poisson's ratio 1/4 (Eringen & Suhubi, Elastodynamics II, 8.14)."""

    def determinant(n, k):
        h = k / np.sqrt(3)
        j = spherical_jn
        a = (n * n - n - k * k / 2) * j(n, h) + 2 * h * j(n + 1, h)
        if n == 0:
            return a
        b = n * (n + 1) * ((n - 1) * j(n, k) - k * j(n + 1, k))
        c = (n - 1) * j(n, h) - h * j(n + 1, h)
        d = (n * n - 1 - k * k / 2) * j(n, k) + k * j(n + 1, k)
        return a * d - b * c

    grid, roots = np.linspace(0.5, 6.6, 400), []
    for n in range(9):
        signs = np.sign(determinant(n, grid))
        for i in np.flatnonzero(signs[:-1] * signs[1:] < 0):
            roots.append(brentq(lambda k, n=n: determinant(n, k), grid[i], grid[i + 1]))
    roots.sort()
    assert np.array(SPHERE) == pytest.approx(roots, abs=1e-4)


def test_mode_by_blocks_equals_the_plain_formula():
    out = np.zeros(4000)
    sound._add_mode(out, 0.7, 900.0, 40.0, 0.00002, 16000)
    t = 0.00002 + np.arange(4000) / 16000
    assert np.abs(out - 0.7 * np.exp(-40.0 * t) * np.sin(2 * np.pi * 900.0 * t)).max() < 1e-9


def test_ambience_has_its_level_and_no_dc():
    config = WorldConfig(ambience=-40.0)
    stem = WorldDataset(config)[0][1].stems[AMBIENCE]
    assert float(level(stem.reshape(-1))) == pytest.approx(-40.0, abs=0.1)
    assert stem.mean(-1).abs().max() < 1e-5


def test_captions_name_what_is_there_and_count_its_bounces():
    words = {"once": 1, "twice": 2, "three times": 3, "four times": 4, "five times": 5}
    counted = 0
    for index in range(60):
        _, truth = WorldDataset(ONE)[index]
        thing = truth.things[0]
        assert all(word in truth.caption for word in (thing.size, thing.colour, thing.name))
        for word, number in words.items():
            if word in truth.caption:
                counted += 1
                impacts = len(truth.contacts)
                assert number in (impacts, impacts - 1)
        for place in ("left", "middle", "right"):
            assert place not in truth.caption or thing.side == place
    assert counted > 15
    assert len({WorldDataset()[i][1].caption for i in range(100)}) > 97


def test_off_screen_is_heard_and_not_seen():
    beside = ball(x=half_width(SPEC) + 0.8, seen=False)
    clip, truth = rendered(ball(release=1e9), beside)
    empty, _ = rendered(ball(release=1e9))
    assert torch.equal(clip.frames, empty.frames)
    assert truth.stems[OFF_SCREEN].abs().max() > 0.01
    assert {contact.thing for contact in truth.contacts} == {OFF_SCREEN}


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda: WorldDataset("medium"), "medium"),
        (lambda: WorldDataset(split="dev"), "dev"),
        (lambda: WorldConfig(things=(0, 1)), "0 to 1"),
        (lambda: WorldConfig(things=(1, 9)), "1 to 9"),
        (lambda: WorldConfig(materials=("cheese",)), "cheese"),
        (lambda: WorldConfig(materials=()), "empty"),
        (lambda: WorldConfig(off_screen=1.5), "1.5"),
        (lambda: WorldConfig(ambience=3.0), "3.0"),
        (lambda: WorldConfig(spec=ClipSpec(height=8)), "height is 8"),
        (lambda: WorldConfig(spec=ClipSpec(channels=6)), "channels is 6"),
        (lambda: WorldConfig(spec=ClipSpec(sample_rate=100)), "sample_rate is 100"),
        (lambda: WorldConfig(spec=ClipSpec(seconds=900)), "seconds is 900"),
    ],
)
def test_mistakes_are_one_clear_line(make, found):
    with pytest.raises(InputError) as error:
        make()
    assert found in str(error.value) and "\n" not in str(error.value)


def test_indices_end():
    for index in (-1, len(WorldDataset())):
        with pytest.raises(IndexError):
            WorldDataset()[index]
