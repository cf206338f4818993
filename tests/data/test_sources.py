"""Sources give clips of the spec that is requested, whatever they are made of."""

import dataclasses

import pytest
import torch

from avsim.clip import ClipSpec
from avsim.data.sources import FolderSource, ShardSource, WorldSource
from avsim.errors import InputError
from avsim.seeds import generator
from tests.data.conftest import film, shot


def same(a, b):
    return torch.equal(a.frames, b.frames) and torch.equal(a.wave, b.wave) and a.name == b.name


def shaped(sample, spec):
    return sample.frames.shape == (3, spec.frames, *spec.size) and sample.wave.shape == (
        spec.channels,
        spec.samples,
    )


def test_shards_whole_and_cropped(shards, spec):
    source = ShardSource(shards)
    whole = source.sample(1, spec, generator(1))
    assert shaped(whole, spec) and same(whole, source.sample(1, spec, generator(2)))
    small = dataclasses.replace(spec, seconds=0.5, height=8, width=12, channels=1)
    crops = [source.sample(1, small, generator(k)) for k in range(8)]
    assert all(shaped(crop, small) for crop in crops)
    assert same(crops[3], source.sample(1, small, generator(3)))
    assert len({crop.frames.sum().item() for crop in crops}) > 4


def test_a_crop_keeps_picture_and_sound_together(shards, spec):
    """Where frame f begins, so does sample f rate / fps."""
    source, mono = ShardSource(shards), dataclasses.replace(spec, seconds=0.375)
    whole = source.sample(0, spec, generator(0))
    for k in range(10):
        crop = source.sample(0, mono, generator(k))
        first = next(f for f in range(6) if torch.equal(crop.frames, whole.frames[:, f : f + 3]))
        assert torch.equal(crop.wave, whole.wave[:, first * 1000 : first * 1000 + 3000])


def test_shards_of_one_modality(shards, spec):
    assert ShardSource(shards, frames=False).sample(0, spec, generator(0)).frames is None
    assert ShardSource(shards, wave=False).sample(0, spec, generator(0)).wave is None
    with pytest.raises(InputError, match="frames or wave"):
        ShardSource(shards, frames=False, wave=False)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"sample_rate": 16000}, "sample_rate of its clips is 8000; the spec asks for 16000"),
        ({"frames_per_second": 4.0}, "frames_per_second of its clips is 8"),
        ({"seconds": 2.0}, "frames of its clips is at most 8; the spec asks for 16"),
        ({"width": 32}, "width of its clips is at most 16"),
    ],
)
def test_shards_of_another_spec(shards, spec, change, message):
    with pytest.raises(InputError, match=message):
        ShardSource(shards).sample(0, dataclasses.replace(spec, **change), generator(0))


def test_a_folder_of_films(tmp_path, spec):
    film(tmp_path / "long.mp4", shot(3.0, 0.5))
    film(tmp_path / "short.mp4", shot(0.5, 0.3))
    (tmp_path / "long.txt").write_text("stripes")
    (tmp_path / "text.mp4").write_text("not a video")
    source = FolderSource(tmp_path)
    assert len(source) == 2 and len(source.missing) == 1 and "text.mp4" in source.missing[0]
    samples = [source.sample(0, spec, generator(k)) for k in range(3)]
    assert all(shaped(t, spec) and t.caption == "stripes" for t in samples)
    assert len({t.name for t in samples}) > 1 and same(samples[2], source.sample(0, spec, generator(2)))
    short = source.sample(1, spec, generator(0))  # its last frame is held, its sound ends
    assert shaped(short, spec) and torch.equal(
        short.frames[:, 4:], short.frames[:, 3:4].expand(-1, 4, -1, -1)
    )
    assert short.wave[:, :3900].abs().mean() > 0.01 and not short.wave[:, 4100:].any()


def test_folders_that_give_nothing(tmp_path):
    (tmp_path / "a.mp4").write_text("not a video")
    with pytest.raises(InputError, match="none of 1 videos can be used"):
        FolderSource(tmp_path)
    film(tmp_path / "a.mp4", shot(0.5, 0.5))
    assert len(FolderSource(tmp_path, "train")) == 1
    with pytest.raises(InputError, match="none of its 1 videos falls into split test"):
        FolderSource(tmp_path, "test")
    with pytest.raises(InputError, match="unknown split"):
        FolderSource(tmp_path, "tset")


def test_the_world():
    spec = ClipSpec(0.5, 32, 48, 16.0, 16000, 2)
    source = WorldSource("easy", seed=3, count=5)
    sample = source.sample(2, spec, generator(0))
    assert len(source) == 5 and shaped(sample, spec) and same(sample, source.sample(2, spec, generator(9)))
    regions = sample.stems.shape[0]
    assert sample.stems.shape == (regions, 2, spec.samples)
    assert sample.masks.shape == (regions, spec.frames, 32, 48)
    rest = sample.wave - sample.stems.sum(0)  # ambience and what is off screen
    assert rest.abs().max() < 0.05
    assert not same(sample, WorldSource("easy", 3, "test").sample(2, spec, generator(0)))
    with pytest.raises(InputError, match="split"):
        WorldSource("easy", split="tset")
    with pytest.raises(InputError, match="count is 0"):
        WorldSource("easy", count=0)
