import math

import pytest
import torch

from avsim.clip import Clip
from avsim.evaluation.physics import PhysicsProbes, brightness
from avsim.perception.detections import AudioDetections, DetectedThing, Event, Onset, VideoDetections
from avsim.seeds import generator

SILENCE = Clip(torch.zeros(3, 32, 8, 8), torch.zeros(1, 32000))
HEARD = AudioDetections(
    {"ball": 0.9, "cello": 0.7, "bell": 0.2}, {"metal": 0.9}, {"cave": 0.8, "restaurant": 0.2}, 2.0
)


def event(seconds: float, kind: str = "ball", material: str = "metal", speed: float = math.nan) -> Event:
    return Event(seconds, 0.5, 0.5, kind, material, 1.0, speed)


def onset(seconds: float, kind: str = "ball", material: str = "metal", level: float = -20.0) -> Onset:
    return Onset(seconds, level, kind, material, 1.0)


def view(*events: Event, place: str = "cave", things=()) -> VideoDetections:
    return VideoDetections(
        events, things, {place: 0.9, "restaurant" if place != "restaurant" else "cave": 0.1}
    )


def judged(*clips) -> dict[str, float]:
    scorer = PhysicsProbes()
    for clip in clips:
        scorer.update(*clip)
    return {name: value.item() for name, value in scorer.compute().items()}


def test_identity_and_material_by_hand():
    onsets = [onset(0.5), onset(1.0, material="wood"), onset(1.5, kind="bell")]
    found = judged((SILENCE, onsets, HEARD, view(event(0.51), event(1.01), event(1.49))))
    assert found["kind heard is kind seen"] == pytest.approx(2 / 3)
    assert found["material heard is material seen"] == pytest.approx(2 / 3)
    assert found["1 identity and material"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("sign", [1, -1])
def test_harder_is_louder_within_each_thing(sign):
    speeds = (1.0, 2.0, 4.0)
    # A thing that is louder whatever happens to it changes nothing.
    metal = [(0.3 * k, "metal", v, -20 + sign * 6 * math.log2(v)) for k, v in enumerate(speeds, 1)]
    wood = [(1.0 + 0.3 * k, "wood", v, -60 + sign * 6 * math.log2(v)) for k, v in enumerate(speeds, 1)]
    events = [event(t, material=m, speed=v) for t, m, v, _ in metal + wood]
    onsets = [onset(t, material=m, level=level) for t, m, _, level in metal + wood]
    found = judged((SILENCE, onsets, HEARD, view(*events)))
    assert found["2 speed and loudness"] == pytest.approx(sign)


def test_place_and_decay():
    clips = []
    for seen, heard, decay in (
        ("cave", "cave", 2.0),
        ("restaurant", "restaurant", 0.5),
        ("dry studio", "cave", 0.2),
    ):
        hears = AudioDetections(HEARD.kinds, HEARD.materials, {heard: 1.0}, decay)
        clips.append((SILENCE, [onset(0.5)], hears, view(event(0.5), place=seen)))
    found = judged(*clips)
    assert found["place heard is place seen"] == pytest.approx(2 / 3)
    assert found["decay, rank correlation"] == pytest.approx(1)
    assert found["3 place and decay"] == pytest.approx((2 / 3 + 1) / 2)


def test_timbre_and_superposition():
    found = judged((SILENCE, [], HEARD, view(event(0.5, "cello", ""), event(0.9, "bell"))))
    assert found["4 timbre"] == pytest.approx(0.7)
    assert found["6 superposition"] == 0.5  # the bell isn't heard
    assert math.isnan(found["1 identity and material"])
    assert found["physics, mean of six rows"] == pytest.approx((1 + 0.7 + 0.5) / 3)


def test_bounces_come_sooner_and_sooner():
    falling = [event(t) for t in (0.2, 0.8, 1.2, 1.5)]
    assert judged((SILENCE, [], HEARD, view(*falling)))["bounces that come sooner"] == 1
    rising = [event(t) for t in (0.2, 0.5, 0.9, 1.5)]
    assert judged((SILENCE, [], HEARD, view(*rising)))["bounces that come sooner"] == 0
    struck = [event(t, "bell") for t in (0.2, 0.5, 0.9)]
    assert math.isnan(judged((SILENCE, [], HEARD, view(*struck)))["bounces that come sooner"])


def tone(pitch: float) -> Clip:
    return Clip(None, 0.5 * torch.sin(2 * math.pi * pitch * torch.arange(16000) / 16000)[None])


def test_larger_is_darker_within_a_material():
    assert brightness(tone(880), 0.3) == pytest.approx(880, rel=0.01)
    assert brightness(SILENCE, 0.3) == 0
    random = generator(0, "sizes")
    clips = []
    for material, offset in (("metal", 4.0), ("wood", 1.0)):  # wood is darker at any size
        for size in (0.1 + 0.4 * torch.rand(5, generator=random)).tolist():
            clip = Clip(torch.zeros(3, 16, 8, 8), tone(offset * 100 / size).wave)
            things = ((DetectedThing(0.0, 0.5, 0.5, "ball", material, "gold", size, 1.0),),) * 16
            clips.append((clip, [onset(0.5)], HEARD, view(event(0.5, material=material), things=things)))
    found = judged(*clips)
    assert found["larger is darker, correlation"] == pytest.approx(1, abs=0.01)


def test_a_clip_in_which_nothing_happens_is_skipped():
    scorer = PhysicsProbes()
    scorer.update(SILENCE, [], HEARD, view())
    score = scorer.scores()["physics, mean of six rows"]
    assert score.clips == 0 and score.skipped == {"nothing happens in it": 1}
    scorer.update(SILENCE, [onset(0.5)], HEARD, view(event(0.5)))
    shades = (1 + 0.9) / 2, 0.9 * 0.8 + 0.1 * 0.2, 0.9  # identity and material, place, superposition
    assert scorer.each(scorer.rows)[0] == pytest.approx(sum(shades) / 3)


def test_a_row_alone_and_a_wrong_material_that_a_right_kind_does_not_hide():
    heard = {
        material: AudioDetections({"ball": 1.0, "cello": 1.0}, {material: 1.0}, {"cave": 1.0}, 2.0)
        for material in ("metal", "wood")
    }
    scorer = PhysicsProbes("1 identity and material")
    for material, other in heard.items():
        scorer.update(SILENCE, [onset(0.5, material=material), onset(1.0, "cello", "")], other,
                     view(event(0.5), event(1.0, "cello", "")))  # fmt: skip
    found = scorer.compute()
    assert list(found) == [
        "1 identity and material", "kind heard is kind seen", "material heard is material seen",
    ]  # fmt: skip
    assert found["material heard is material seen"] == 0.5  # a player's missing material is no match
    assert sorted(scorer.each(scorer.rows).tolist()) == pytest.approx([0.0, 1.0])
    assert scorer.measured(scorer.rows[0]).shape == (6,)
