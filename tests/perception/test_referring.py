"""Words find the thing that they mean among what is seen, in the world's own words, or say what is seen."""

from dataclasses import replace

import pytest
import torch

from avsim.clip import Clip
from avsim.errors import InputError
from avsim.perception import Grid, VideoDetector
from avsim.perception import ground_truth as truths
from avsim.perception.detections import DetectedThing
from avsim.perception.referred_region import Overview, find_region, outline, overview, video_spans
from avsim.perception.referring import parse_expression, select
from avsim.perception.tracks import tracks
from avsim.world import WorldConfig, WorldDataset
from avsim.world.captions.facts import Noun

VIOLIN = DetectedThing(0.0, 0.2, 0.5, "violin", "", "", 0.3, 0.9)
OTHER = replace(VIOLIN, x=0.8, size=0.4)
BELL = DetectedThing(0.0, 0.5, 0.7, "bell", "metal", "gold", 0.2, 0.8)


def seen(*things: DetectedThing, looks: int = 16) -> list:
    return tracks([[*things] for _ in range(looks)])


@pytest.mark.parametrize(
    ("text", "noun"),
    [
        ("the violin on the left", Noun("violin", side="left")),
        ("The left fiddle.", Noun("violin", side="left")),
        ("a golden metal bell in the middle", Noun("bell", "metal", "gold", side="middle")),
        ("wooden block", Noun("block", "wood")),
        ("the acoustic guitar to the right", Noun("acoustic guitar", side="right")),
        ("drum skin", Noun("drum")),
    ],
)
def test_words_say_what_is_meant(text, noun):
    assert parse_expression(text).noun == noun


def test_the_thing_that_is_meant():
    both = seen(VIOLIN, OTHER, BELL)
    assert select("the violin on the left", both).x == pytest.approx(0.2)
    assert select("the bigger violin", both).x == pytest.approx(0.8)
    assert select("the rightmost instrument", both).x == pytest.approx(0.8)
    assert select("the metal thing", both).kind == "bell"
    assert select("the one in the middle", both).kind == "bell"
    assert [each.name for each in seen(VIOLIN, BELL)] == [
        "the violin on the left",
        "the gold metal bell in the middle",
    ]


def test_material_and_colour_are_one_fact_that_the_kind_allows():
    unsure = [replace(BELL, kind="cube", material=material, colour="tan") for material in ("metal", "wood")]
    (cube,) = tracks([[look] for look in unsure * 8])
    assert (cube.material, cube.colour) == ("wood", "tan")  # no metal is tan
    (block,) = seen(replace(BELL, kind="wooden block", material="metal", colour="gold"))
    assert block.material == "wood"
    (ball,) = seen(replace(BELL, kind="ball", material="skin", colour="white"))
    assert (ball.material, ball.colour) == ("ceramic", "white")
    (violin,) = seen(replace(VIOLIN, material="metal", colour="gold"))
    assert violin.name == "the violin on the left"


def test_one_error_of_a_detector_is_forgiven_and_said(caplog):
    things = seen(BELL, VIOLIN)
    assert select("the silver metal bell in the middle", things).kind == "bell"
    assert "no such thing is seen; taken to mean the gold metal bell in the middle" in caplog.text
    with pytest.raises(InputError, match="no such thing"):
        select("the tuba on the left", things)  # too little else that fits


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("the violyn", "unknown word 'violyn' (did you mean 'violin'?)"),
        ("the first", "unknown word 'first'; ask such as"),  # of captions, but of no thing
        ("", "says nothing of a thing"),
        ("the thing", "says nothing of a thing"),
        ("the tuba", "no such thing is seen; seen: the violin on the left, the violin on the right"),
        ("the violin", "2 things are so: the violin on the left, the violin on the right"),
    ],
)
def test_what_words_cannot_mean_is_said(text, message):
    with pytest.raises(InputError) as caught:
        select(text, seen(VIOLIN, OTHER))
    assert message in str(caught.value)


def test_a_thing_is_followed_and_a_glimpse_is_none():
    looks = [[replace(VIOLIN, x=0.1 + 0.05 * k)] for k in range(16)]
    looks[3] = []
    looks[7].append(BELL)
    (only,) = tracks(looks)
    assert only.kind == "violin" and len(only.looks) == 15 and only.side == "left"


def test_captions_of_the_world_find_their_things():
    """With a perfect detector's findings, and the cells that show something, each caption finds its mask."""
    dataset = WorldDataset(
        WorldConfig(spec=replace(WorldConfig().spec, seconds=1.0), things=(2, 3)), split="test"
    )
    grid, right, all_, shares = Grid(), 0, 0, []
    for index in range(12):
        clip, truth = dataset[index]
        looks = truths.things(truth, clip.spec)
        shown = (
            torch.nn.functional.adaptive_max_pool2d(truth.masks.amax(0), grid.cells(*clip.spec.size)) > 0.35
        )
        view = Overview(tuple(map(tuple, looks)), shown, 16.0)
        for number, (thing, words) in enumerate(zip(truth.things, truth.captions.things, strict=True)):
            if not truth.masks[number].flatten(1).any(1)[:8].all():
                continue  # it comes or goes: what is seen at first is another question
            all_ += 1
            try:
                region = find_region(view, words, clip.spec.size, *clip.frames.shape[1:2], 16.0)
            except InputError:
                continue
            truly = select(words, view.things).kind == thing.kind
            inside = float((region.mask.float() * truth.masks[number]).sum() / truth.masks[number].sum())
            right += truly and inside > 0.5
            shares.append(inside)
    assert all_ >= 15 and right >= 0.85 * all_, (right, all_, shares)


def test_a_region_moves_with_its_thing():
    looks = tuple((replace(BELL, x=0.2 + 0.03 * k),) for k in range(16))
    view = Overview(looks, torch.zeros(16, 16, 24, dtype=torch.bool), 16.0)
    masks = outline(view.things[0], view, 1.5)
    columns = (masks.float().mean(1) * torch.arange(24)).sum(1) / masks.float().mean(1).sum(1)
    assert torch.allclose((columns + 0.5) / 24, 0.2 + 0.03 * torch.arange(16), atol=0.04)
    region = find_region(view, "the bell", (240, 360), 8, 8.0)
    assert region.mask.shape == (8, 128, 192) and region.name == "the bell"


def test_a_film_is_looked_at_piece_by_piece(tmp_path):
    film = Clip(torch.rand(3, 152, 32, 48), None, 16.0).write(tmp_path / "film.mp4")
    torch.manual_seed(0)
    detector = VideoDetector(fine=8, coarse=8, blocks=1).eval()
    spans = list(video_spans(film, detector))
    assert [span.frames.shape[1] for span in spans] == [128, 24]
    view = overview(detector, spans)
    assert len(view.looks) == 152 and view.shown.shape == (152, 16, 24)
