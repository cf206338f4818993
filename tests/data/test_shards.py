"""A row comes back as it was written, from a disk or from an object store."""

import json
from dataclasses import asdict

import fsspec
import pytest
import torch

from avsim.clip import ClipSpec
from avsim.data.latent_shards import LatentSource
from avsim.data.shards import ShardFolder, write_index, write_shard
from avsim.errors import InputError

NAMED = {"name": "a", "group": "b", "caption": ""}


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    rows = {
        "frames": torch.randint(256, (5, 3, 2, 4, 4), dtype=torch.uint8),
        "wave": torch.randint(-(2**15), 2**15, (5, 2, 8), dtype=torch.int16),
        "latent": torch.randn(5, 3).half(),
    }
    items = []
    for part in range(2):
        write_shard(tmp_path / "shards" / f"{part}.safetensors", {k: v + part for k, v in rows.items()})
        items += [
            {"shard": f"{part}.safetensors", "row": row, "split": ("train", "test")[row % 2], **NAMED}
            for row in range(5)
        ]
    write_index(tmp_path, "clips", {"spec": asdict(ClipSpec(1.0, 4, 4, 2.0, 8, 2))}, items)
    return tmp_path, rows


def check(opened, rows):
    for item in opened.items():
        found = opened.read(item, tuple(rows))
        for name, values in rows.items():
            assert torch.equal(found[name], (values + int(item["shard"][0]))[item["row"]])


def test_rows(folder):
    path, rows = folder
    opened = ShardFolder.open(path, "clips")
    check(opened, rows)
    assert len(opened.items("train")) == 6 and len(opened.items("test")) == 4


def test_rows_of_an_object_store(folder):
    path, rows = folder
    fsspec.filesystem("memory").put(str(path), "/store", recursive=True)
    check(ShardFolder.open("memory://store", "clips"), rows)


def test_refusals(folder, tmp_path):
    path, _ = folder
    with pytest.raises(InputError, match="no index.json"):
        ShardFolder.open(tmp_path / "none", "clips")
    with pytest.raises(InputError, match="holds clips; expected latents"):
        ShardFolder.open(path, "latents")
    opened = ShardFolder.open(path, "clips")
    with pytest.raises(InputError, match="no clips in split validation"):
        opened.items("validation")
    with pytest.raises(InputError, match="unknown split 'vaildation'"):
        opened.items("vaildation")
    shard = path / "shards" / "1.safetensors"
    shard.write_bytes(shard.read_bytes()[:-20])
    with pytest.raises(InputError, match="shorter than its index"):
        opened.read(opened.items()[9], ("frames",))
    shard.unlink()
    with pytest.raises(InputError, match="1.safetensors: cannot be read"):
        opened.read(opened.items()[9], ("frames",))
    (path / "index.json").write_text(json.dumps([]))
    with pytest.raises(InputError, match="holds list"):
        ShardFolder.open(path, "clips")
    (path / "index.json").write_text("{")
    with pytest.raises(InputError, match="index.json: cannot be read"):
        ShardFolder.open(path, "clips")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("items", 0, "row"), -1),
        (("items", 0, "row"), "1"),
        (("items", 0, "shard"), "../../secret"),
        (("items", 0, "caption"), 3),
        (("shards", "0.safetensors", "frames", "shape"), [2**40, 2, 4, 4]),
        (("shards", "0.safetensors", "frames", "shape"), "wide"),
        (("shards", "0.safetensors", "frames", "dtype"), "F99"),
        (("shards", "0.safetensors", "frames", "start"), -8),
        (("shards",), {"../secret": {}}),
        (("shards", "0.safetensors", "frames", "shape"), [3, 2, 8, 2]),
        (("shards", "0.safetensors", "wave"), None),
        (("shards", "0.safetensors", "wave", "dtype"), "F16"),
        (("items",), 3),
        (("items", 0), 3),
        (("items", 0, "split"), ["train"]),
        (("items", 0), {"shard": "0.safetensors", "row": 0}),
        (("spec",), {}),
        (("spec",), None),
        (("spec", "height"), "4"),
        (("spec", "height"), -4),
        (("spec", "height"), 10**9),
        (("spec", "seconds"), 1e308),
        (("spec", "volume"), 11),
        (("videos",), ["a.mp4"]),
    ],
)
def test_an_index_is_not_trusted(folder, place, value):
    path, _ = folder
    index = json.loads((path / "index.json").read_text())
    held = index
    for name in place[:-1]:
        held = held[name]
    held[place[-1]] = value
    (path / "index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match="not an index of clips"):
        ShardFolder.open(path, "clips")


@pytest.mark.parametrize("text", ["[" * 100_000, "\xff", "{}", '{"kind": "clips", "version": 1}', "null"])
def test_an_index_of_garbage_is_refused(folder, text):
    path, _ = folder
    (path / "index.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=str(path)):
        ShardFolder.open(path, "clips")


def test_an_index_of_latents_is_that_of_its_codecs(tmp_path):
    spec = ClipSpec(1.0, 4, 4, 2.0, 8, 2)
    rows = {"video": torch.zeros(2, 5, 2, 1, 1).half(), "audio": torch.zeros(2, 6, 4).half()}
    write_shard(tmp_path / "shards" / "0.safetensors", rows)
    about = {"time_stride": 4, "space_stride": 8, "hop": 2, "video_channels": 5, "audio_channels": 6}
    codecs = {name: {"folder": "small", "sha256": "0"} for name in ("video", "audio")}
    items = [{"shard": "0.safetensors", "row": row, "split": "train", **NAMED} for row in range(2)]
    whole = {"spec": asdict(spec), "latents": about, "codecs": codecs}
    write_index(tmp_path, "latents", whole, items)
    assert LatentSource(tmp_path).latents(1)[0].shape == (5, 2, 1, 1)
    for change in (
        {"latents": {**about, "hop": 0}},
        {"latents": {**about, "video_channels": 4}},
        {"latents": {"hop": 2}},
        {"latents": 3},
        {"codecs": {"video": codecs["video"]}},
        {"codecs": {name: {"folder": 3, "sha256": 0} for name in codecs}},
        {"spec": {**asdict(spec), "sample_rate": 80}},
    ):
        write_index(tmp_path, "latents", {**whole, **change}, items)
        with pytest.raises(InputError, match="not an index of latents"):
            LatentSource(tmp_path)
