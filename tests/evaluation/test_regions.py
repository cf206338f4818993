import pytest
import torch

from avsim.evaluation.regions import MARGIN, sounding_regions
from avsim.perception.detections import DetectedThing, Event, VideoDetections


def seen(x: float, y: float, kind: str = "ball", material: str = "metal", size: float = 0.2) -> DetectedThing:
    return DetectedThing(0.0, x, y, kind, material, "gold", size, 1.0)


def event(kind: str = "ball", material: str = "metal", x: float = 0.5, y: float = 0.5) -> Event:
    return Event(0.5, x, y, kind, material, 1.0, 1.0)


def test_boxes_follow_the_thing_and_are_square_in_any_picture():
    frames = tuple((seen(0.25 + 0.1 * k, 0.5), seen(0.9, 0.9, "bell")) for k in range(4))
    (region,) = sounding_regions(VideoDetections((event(), event()), frames, {}), (100, 200), 4.0)
    assert region.name == "gold metal ball" and region.mask.shape == (4, 100, 200)
    high, wide = region.mask[0].any(1).sum(), region.mask[0].any(0).sum()
    assert abs(high - MARGIN * 20) <= 1 and abs(wide - MARGIN * 20) <= 1
    centres = [(mask.sum(0) * torch.arange(200)).sum() / mask.sum() / 200 for mask in region.mask]
    assert torch.stack(centres).tolist() == pytest.approx([0.25, 0.35, 0.45, 0.55], abs=0.01)


def test_a_region_for_each_thing_that_sounds_and_is_seen():
    frames = ((seen(0.2, 0.5), seen(0.8, 0.5), seen(0.5, 0.2, "cello", "")),)
    balls, cello = (event(x=0.22), event(x=0.8)), event("cello", "", y=0.2)
    regions = sounding_regions(VideoDetections((*balls, cello), frames, {}), (32, 32), 1.0)
    assert [region.name for region in regions] == ["gold metal ball", "gold metal ball", "cello"]
    assert regions[0].mask[0, 16].nonzero().amax() < 16 < regions[1].mask[0, 16].nonzero().amin()
    assert (
        sounding_regions(VideoDetections((event(x=0.5, y=0.9),), frames, {}), (32, 32), 1.0) == []
    )  # nothing is there
    assert sounding_regions(VideoDetections((), frames, {}), (32, 32), 1.0) == []


def test_what_is_taken_for_something_else_or_overlooked_for_a_moment_is_not_lost():
    named = (
        ("ball", "metal"),
        ("ring", "glass"),
        None,
        ("ball", "metal"),
        ("ball", "metal"),
        ("bar", "wood"),
    )
    frames = tuple(() if name is None else (seen(0.5, 0.5, *name),) for name in named)
    (region,) = sounding_regions(VideoDetections((event("bar", "wood"),), frames, {}), (32, 32), 8.0)
    assert region.name == "gold metal ball" and region.mask.amax((1, 2)).tolist() == [1.0] * 6


def test_of_two_that_are_as_near_the_one_of_the_events_kind_sounds():
    frames = ((seen(0.35, 0.5, "ring"), seen(0.65, 0.5)),)
    (region,) = sounding_regions(VideoDetections((event(),), frames, {}), (32, 32), 1.0)
    assert region.name == "gold metal ball"


def test_a_thing_whose_kind_says_what_it_is_made_of_is_not_called_so_twice():
    look = DetectedThing(0.0, 0.5, 0.5, "wooden block", "wood", "tan", 0.2, 1.0)
    (region,) = sounding_regions(
        VideoDetections((event("wooden block", "wood"),), ((look,),), {}), (32, 32), 1.0
    )
    assert region.name == "tan wooden block"
