import pytest
import torch

from avsim.evaluation.regions import MARGIN, sounding_regions
from avsim.perception.found import Event, Seen, View


def seen(x: float, y: float, kind: str = "ball", material: str = "metal", size: float = 0.2) -> Seen:
    return Seen(0.0, x, y, kind, material, "gold", size, 1.0)


def event(kind: str = "ball", material: str = "metal") -> Event:
    return Event(0.5, 0.5, 0.5, kind, material, 1.0, 1.0)


def test_boxes_follow_the_thing_and_are_square_in_any_picture():
    frames = tuple((seen(0.25 + 0.1 * k, 0.5), seen(0.9, 0.9, "bell")) for k in range(4))
    (region,) = sounding_regions(View((event(), event()), frames, {}), (100, 200))
    assert region.name == "metal ball" and region.mask.shape == (4, 100, 200)
    high, wide = region.mask[0].any(1).sum(), region.mask[0].any(0).sum()
    assert abs(high - MARGIN * 20) <= 1 and abs(wide - MARGIN * 20) <= 1
    centres = [(mask.sum(0) * torch.arange(200)).sum() / mask.sum() / 200 for mask in region.mask]
    assert torch.stack(centres).tolist() == pytest.approx([0.25, 0.35, 0.45, 0.55], abs=0.01)


def test_a_region_for_each_kind_that_sounds_and_is_seen():
    frames = ((seen(0.2, 0.5), seen(0.8, 0.5), seen(0.5, 0.5, "cello", "")),)
    events = (event(), event("cello", ""), event("bell"))
    regions = sounding_regions(View(events, frames, {}), (32, 32))
    assert [region.name for region in regions] == ["metal ball", "cello"]
    assert regions[0].mask[0, 16].diff().abs().sum() == 4  # two balls, one region
    assert sounding_regions(View((), frames, {}), (32, 32)) == []
