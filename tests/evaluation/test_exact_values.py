"""Numbers of the metrics' parts, calculated by hand."""

import math

import pytest
import torch

from avsim.clip import Clip
from avsim.errors import InputError
from avsim.evaluation.calibration import auroc
from avsim.evaluation.corruptions import shifted, spliced, with_sound_of, wrong_material, wrong_place
from avsim.evaluation.events import EventSynchrony
from avsim.evaluation.faults import EDGE, VisibleFaults, gradient_energy, log_sharpness
from avsim.evaluation.features import Features
from avsim.evaluation.oracle import NONE, with_corruption
from avsim.perception.detections import AudioDetections, DetectedThing, Event, Onset, VideoDetections
from avsim.perception.fault_detector import Faults
from avsim.perception.vocabulary import PLACES
from avsim.world.flat.scene import Body, Scene
from avsim.world.materials import MATERIALS


def thing(x=0.5, y=0.5, size=0.25, kind="ball") -> DetectedThing:
    return DetectedThing(0.0, x, y, kind, "metal", "gold", size, 0.9)


@pytest.mark.parametrize(
    ("truth", "corruption", "expected"),
    [
        ([3.0, 2.0], [1.0, 0.0], 1.0), ([1.0], [3.0], 0.0), ([1.0, 3.0], [2.0], 0.5),
        ([1.0, 1.0], [1.0], 0.5),
        ([2.0, math.nan], [1.0, math.nan, 3.0], 0.5), ([], [1.0], math.nan), ([1.0], [], math.nan),
        ([math.nan], [1.0], math.nan), ([1.0, 2.0, 2.0], [2.0, 0.0], (1 + 1.5 + 1.5) / 6),
    ],
)  # fmt: skip
def test_auroc_counts_pairs(truth, corruption, expected):
    found = auroc(torch.tensor(truth), torch.tensor(corruption))
    assert found == pytest.approx(expected, nan_ok=True)


def test_the_gradient_of_a_ramp_in_the_box_of_a_thing():
    """Brightness rises by 0.01 a pixel down, by 0.02 to the right, by luma of red alone: 0.299 of it."""
    down, right = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    red = (0.005 * down + 0.01 * right)[None].expand(2, -1, -1)
    frames = torch.stack([red, torch.zeros_like(red), torch.zeros_like(red)])
    (kind, energy), *rest = gradient_energy(Clip(frames, None), [[thing()], []])
    assert (kind, rest) == ("ball", [])
    assert energy == pytest.approx(math.log(0.299**2 * (0.005**2 + 0.01**2)), rel=1e-3)
    green = gradient_energy(Clip(frames.roll(1, 0), None), [[thing()], []])[0][1]
    blue = gradient_energy(Clip(frames.roll(2, 0), None), [[thing()], []])[0][1]
    assert green - energy == pytest.approx(2 * math.log(0.587 / 0.299), rel=1e-3)
    assert blue - energy == pytest.approx(2 * math.log(0.114 / 0.299), rel=1e-3)


def test_a_box_is_as_large_as_its_thing_and_a_fifth():
    """An edge counts if it lies in the box, whose half is 0.6 of the thing's width."""
    half = EDGE * 0.25 * 64 / 2
    for distance, seen in ((half - 2, True), (half + 2, False)):
        frames = torch.zeros(3, 1, 64, 64)
        frames[:, :, :, round(32 + distance) :] = 1.0
        ((_, energy),) = gradient_energy(Clip(frames, None), [[thing()]])
        assert (energy > math.log(1e-6) + 1) == seen


def test_sharpness_is_relative_to_true_things_of_a_kind():
    typical = {"ball": math.log(0.01), "cube": math.log(0.04)}
    energies = [("ball", math.log(0.02)), ("cube", math.log(0.02)), ("a ghost", 0.0)]
    assert log_sharpness(energies, typical) == pytest.approx((math.log(2) + math.log(0.5)) / 2, abs=1e-9)
    assert log_sharpness([("ball", math.log(0.02))], typical) == pytest.approx(math.log(2))
    assert math.isnan(log_sharpness([("a ghost", 0.0)], typical))


def test_clips_count_as_clean_from_nine_frames_of_ten_on():
    scorer = VisibleFaults()
    for clean, logit, sharp in ((0.95, -2.0, math.log(2.0)), (0.9, 0.0, math.nan), (0.5, 2.0, 0.0)):
        faults = torch.full((20,), 0.1)
        faults[round(20 * clean) :] = 0.9
        kinds = torch.zeros(1)
        scorer.update(Faults(faults, torch.zeros(20, 1, 1), kinds, logit, threshold=0.5), sharp)
    found = {name: float(value) for name, value in scorer.compute().items()}
    assert found["frames without visible faults"] == pytest.approx((0.95 + 0.9 + 0.5) / 3)
    assert found["clips with at least 90 % of frames without"] == pytest.approx(2 / 3)
    assert found["gradient energy of things over true ones' of their kinds"] == pytest.approx(2**0.5)
    rows = torch.tensor([[0.95, 0.25, 0.0]])
    assert scorer.each(rows).tolist() == [0.75]


def test_half_a_frame_is_half_of_a_frame():
    """At 10 fps 0.06 s are within a frame, not within half of one; missed things are two of each."""
    scorer = EventSynchrony()
    scorer.update([0.56, 1.24], [0.5, 1.2], 10.0, 2.0)
    found = {name: float(value) for name, value in scorer.compute().items()}
    assert found["F1 within 1 frame"] == 1.0 and found["F1 within 1/2 frame"] == 0.5
    assert found["audio after video, median, ms"] == pytest.approx(50, abs=11)
    scorer.update([0.5], [], 10.0, 2.0, expected=2)
    found = {name: float(value) for name, value in scorer.compute().items()}
    assert found["F1 within 1 frame"] == pytest.approx(2 * 2 / (2 + 2 + 2 + 2))
    assert found["recall within 1 frame"] == pytest.approx(2 / 4)
    assert found["precision within 1 frame"] == pytest.approx(2 / 4)


def test_a_shift_fades_on_both_sides_of_the_seam_alone():
    wave = torch.ones(1, 16000)
    late = shifted(Clip(None, wave, 16.0, 16000), 250.0).wave[0]
    soft = (late < 1).nonzero()[:, 0]
    assert late[4000] == 0 and late[3999] == 0  # the clip's beginning and end meet there
    assert (
        soft.min() > 3500 and soft.max() < 4500 and len(soft) == pytest.approx(2 * (4000 - soft.min()), abs=2)
    )


@pytest.mark.parametrize("lacks", ["frames", "wave"])
def test_a_swap_needs_the_video_of_one_and_the_audio_of_the_other(lacks):
    whole = Clip(torch.zeros(3, 16, 4, 4), torch.zeros(1, 16000))
    one, other = (Clip(None, whole.wave), whole) if lacks == "frames" else (whole, Clip(whole.frames, None))
    with pytest.raises(InputError, match="needs video, and the other one audio"):
        with_sound_of(one, other)
    silent = Clip(None, whole.wave)
    for pair in ((silent, whole), (whole, silent), (silent, silent)):
        with pytest.raises(InputError, match="spliced needs video"):
            spliced(*pair)


def test_another_material_and_place_are_two_places_further_in_the_list():
    scene = Scene(
        place=PLACES[0], bodies=(Body("ball", MATERIALS[1], x=-0.5), Body("cube", MATERIALS[-1], x=0.5))
    )
    assert wrong_place(scene).place == PLACES[2]
    assert [body.material for body in wrong_material(scene).bodies] == [MATERIALS[3], MATERIALS[1]]


def features(*events: float, caption: str = "", clip: Clip | None = None) -> Features:
    found = Features(clip or Clip(torch.zeros(3, 32, 4, 4), torch.zeros(2, 32000)), NONE, caption)
    things = tuple((thing(x=k / 32),) for k in range(32))
    found.view = VideoDetections(
        tuple(Event(at, 0.25, 0.5, "ball", "metal", 1.0, 0.9) for at in events), things, {PLACES[0]: 1.0}
    )
    found.onsets = [Onset(at, -10.0, "ball", "metal", 0.9) for at in events]
    found.heard = AudioDetections({"ball": 1.0}, {"metal": 1.0}, {PLACES[0]: 1.0}, 0.3)
    found.offset = 0.01
    return found


def corrupted(found: Features, clip: Clip, corruption: str, other: Features | None = None) -> Features:
    return with_corruption(found, clip, corruption, None, other)


def test_what_a_corruption_does_to_what_is_seen_and_heard():
    found, other = features(0.5, 1.75, caption="a"), features(0.7, 1.0, 3.0, caption="b")
    late = corrupted(found, found.clip, "shifted by 500 ms")
    assert [onset.seconds for onset in late.onsets] == [0.25, 1.0] and late.offset == pytest.approx(0.51)
    mirrored = corrupted(found, found.clip, "mirrored").view
    assert {event.x for event in mirrored.events} == {0.75} and mirrored.things[8][0].x == 0.75
    silent = corrupted(found, found.clip, "silenced")
    assert not silent.onsets and set(silent.heard.kinds.values()) == {0.0}
    assert sum(silent.heard.places.values()) == pytest.approx(1.0)
    shuffled = corrupted(found, found.clip, "shuffled", other=other)
    assert [onset.seconds for onset in shuffled.onsets] == [0.7, 1.0]  # 3 s lie beyond the clip
    assert "offset" not in vars(shuffled) and shuffled.view is found.view
    cut = corrupted(
        found, found.clip, "spliced", other=other
    ).view  # frames 10 to 20 of 32, 0.625 to 1.3125 s
    assert [event.seconds for event in cut.events] == [0.5, 0.7, 1.0, 1.75] and len(cut.things) == 32
    named = corrupted(found, found.clip, "another's caption", other=other)
    assert named.caption == "b" and named.view is found.view and named.onsets == found.onsets
    same = corrupted(found, found.clip, "swapped channels", other=other)
    assert same.caption == "a" and same.view is found.view and same.offset == 0.01
