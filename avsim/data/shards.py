"""Shards: rows of tensors in safetensors files, and one json index that says where each row's bytes lie.

    FOLDER/index.json            what the rows are, and for each item its shard, row, split, name and caption
    FOLDER/shards/*.safetensors  named tensors, stacked along rows

A row of a stacked tensor is one run of bytes, and the index keeps where it starts: an item is read by one
range request per tensor, from a disk or through fsspec from an object store, in any order.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import torch
from safetensors.torch import save_file
from torch import Tensor

from avsim.clip import ClipSpec, LatentSpec
from avsim.data.captions import check_styles
from avsim.errors import InputError
from avsim.files import atomic
from avsim.untrusted import MALFORMED

INDEX, SHARDS = "index.json", "shards"
SPLITS = ("train", "validation", "test")
VERSION = 1
INDEX_BYTES, ROW_BYTES = 2**30, 2**31  # of an index, and of a row of a tensor, at most
_TYPES = {"U8": torch.uint8, "I16": torch.int16, "F16": torch.float16, "F32": torch.float32}


def write_shard(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write tensors (rows, ...) to one file, whole or not at all."""
    with atomic(path) as temporary:
        save_file({name: value.contiguous() for name, value in tensors.items()}, temporary)


def to_uint8(values: Tensor) -> Tensor:
    """Values in [0, 1] (frames, masks) -> uint8."""
    return (values * 255).round().to(torch.uint8)


def to_int16(wave: Tensor) -> Tensor:
    """Samples -> int16; what lies outside [-1, 1] is clipped."""
    return (wave.clamp(-1, 1) * 32767).round().to(torch.int16)


def from_uint8(stored: Tensor) -> Tensor:
    """What `to_uint8` made, in [0, 1]."""
    return stored.float().div_(255.0)


def from_int16(stored: Tensor) -> Tensor:
    """What `to_int16` made, in [-1, 1]."""
    return stored.float().div_(32767.0)


def write_json(path: Path, value: Any) -> None:
    """Write plain data to one file, whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1))


def write_index(folder: Path, kind: str, about: dict[str, Any], items: list[dict[str, Any]]) -> None:
    """Write the index of `items`, each with at least shard, row, split, name, group and caption.

    Captions of other styles are in its `styles`, by their names.
    """
    shards = {shard: _layout(folder / SHARDS / shard) for shard in sorted({item["shard"] for item in items})}
    index = {"version": VERSION, "kind": kind, **about, "shards": shards, "items": items}
    write_json(folder / INDEX, index)


def _layout(path: Path) -> dict[str, Any]:
    """Where the rows of each tensor of a file lie: {name: {dtype, row's shape, first byte, row's bytes}}."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    layout = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        rows, *shape = entry["shape"]
        layout[name] = {
            "dtype": entry["dtype"],
            "shape": shape,
            "start": 8 + length + begin,
            "bytes": (end - begin) // rows,
        }
    return layout


def _check_index(index: dict[str, Any], kind: str) -> None:
    """Make sure that an index stays within its folder, and that its shapes are those of its bytes and spec.

    Raises:
        Any of `MALFORMED`: it doesn't.
    """
    expected = _expected(index, kind)
    for shard, layout in index["shards"].items():
        if shard in ("", ".", "..") or "/" in shard or "\\" in shard or "\0" in shard:
            raise ValueError(f"a shard outside the folder: {shard!r}")
        for name, entry in layout.items():
            dtype, shape = _TYPES[entry["dtype"]], entry["shape"]
            if not all(_is_count(value) for value in (*shape, entry["start"], entry["bytes"])):
                raise ValueError(f"{shard}: {name}: shape {shape}, {entry['bytes']} bytes")
            if math.prod(shape) * dtype.itemsize != entry["bytes"]:
                raise ValueError(f"{shard}: {name}: shape {shape} of {dtype} in {entry['bytes']} bytes")
            if entry["bytes"] > ROW_BYTES:
                raise ValueError(f"{shard}: {name}: a row of {entry['bytes']:,} bytes")
        for name, (stored, shape) in expected.items():
            if [layout[name]["dtype"], *layout[name]["shape"]] != [stored, *shape]:
                raise ValueError(f"{shard}: {name}: {layout[name]['shape']}; its spec says {shape}")
    for item in index["items"]:
        if item["shard"] not in index["shards"] or not _is_count(item["row"]):
            raise ValueError(f"row {item['row']!r} of {item['shard']!r}")
        if not all(isinstance(item[name], str) for name in ("name", "caption", "group", "split")):
            raise ValueError(f"row {item['row']} of {item['shard']}: a name or caption that is no text")
        check_styles(item.get("styles", {}))
        if not isinstance(index.get("videos", {}).get(item.get("video"), ""), str):
            raise ValueError(f"row {item['row']} of {item['shard']}: a video whose name is no text")


def _expected(index: dict[str, Any], kind: str) -> dict[str, tuple[str, list[int]]]:
    """The type and shape of a row of each tensor that an index's spec describes."""
    spec = ClipSpec(**index["spec"])
    if not all(
        isinstance(value, int) for value in (spec.height, spec.width, spec.sample_rate, spec.channels)
    ):
        raise TypeError(f"the spec {index['spec']}: sizes, rates and channels are whole numbers")
    if kind != "latents":
        return {
            "frames": ("U8", [3, spec.frames, spec.height, spec.width]),
            "wave": ("I16", [spec.channels, spec.samples]),
        }
    about = index["latents"]
    latent = LatentSpec(spec, about["time_stride"], about["space_stride"], about["hop"])
    for name in ("video", "audio"):
        if not all(isinstance(index["codecs"][name][field], str) for field in ("folder", "sha256")):
            raise TypeError(f"the {name} codec is {index['codecs'][name]}")
    return {
        "video": ("F16", [about["video_channels"], *latent.video]),
        "audio": ("F16", [about["audio_channels"], latent.audio]),
    }


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**62


@dataclass(frozen=True, eq=False)
class ShardFolder:
    """A folder of shards, on a disk or behind any url that fsspec opens.

    Raises:
        InputError: no index there, an index of another kind or version, or a shard that is missing or short.
    """

    folder: str
    kind: str  # "clips" or "latents"
    index: dict[str, Any]

    @classmethod
    def open(cls, folder: str | Path, kind: str) -> ShardFolder:
        """Read the index of `folder`."""
        folder = str(folder)
        filesystem, root = fsspec.core.url_to_fs(folder)
        try:
            if (size := filesystem.size(f"{root}/{INDEX}") or 0) > INDEX_BYTES:
                raise InputError(f"{folder}/{INDEX}: is {size:,} bytes; at most {INDEX_BYTES:,} are read")
            index = json.loads(filesystem.cat_file(f"{root}/{INDEX}"))
        except InputError:
            raise
        except (FileNotFoundError, NotADirectoryError) as error:
            raise InputError(f"{folder}: no {INDEX} here; expected a folder of finished {kind}") from error
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(f"{folder}/{INDEX}: cannot be read ({error})") from error
        if not isinstance(index, dict) or index.get("kind") != kind or index.get("version") != VERSION:
            found = index.get("kind") if isinstance(index, dict) else type(index).__name__
            raise InputError(f"{folder}: holds {found}; expected {kind} of version {VERSION}")
        try:
            _check_index(index, kind)
        except MALFORMED as error:
            raise InputError(f"{folder}/{INDEX}: not an index of {kind} ({error!r})") from error
        return cls(folder, kind, index)

    def items(self, split: str | None = None) -> list[dict[str, Any]]:
        """The items of a split, or of all; in the order of the index.

        Raises:
            InputError: an unknown split, or one without items.
        """
        if split is not None and split not in SPLITS:
            raise InputError(f"{self.folder}: unknown split {split!r}; there are {', '.join(SPLITS)}")
        items = [item for item in self.index["items"] if split in (None, item["split"])]
        if not items:
            where = "it" if split is None else f"split {split}; avsim prepare fills each from three shots on"
            raise InputError(f"{self.folder}: no {self.kind} in {where}")
        return items

    def read(self, item: dict[str, Any], names: tuple[str, ...]) -> dict[str, Tensor]:
        """The tensors of one item, as they were stored."""
        # The file system is looked up anew (fsspec caches it), as its objects don't survive a fork.
        filesystem, root = fsspec.core.url_to_fs(self.folder)
        path, layout = f"{root}/{SHARDS}/{item['shard']}", self.index["shards"][item["shard"]]
        entries = [layout[name] for name in names]
        starts = [entry["start"] + item["row"] * entry["bytes"] for entry in entries]
        ends = [start + entry["bytes"] for start, entry in zip(starts, entries, strict=True)]
        try:
            found = filesystem.cat_ranges([path] * len(names), starts, ends, on_error="raise")
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error})") from error
        tensors = {}
        for name, entry, data in zip(names, entries, found, strict=True):
            if len(data) != entry["bytes"]:
                raise InputError(f"{path}: is shorter than its index says; prepare it again")
            tensors[name] = torch.frombuffer(bytearray(data), dtype=_TYPES[entry["dtype"]]).view(
                entry["shape"]
            )
        return tensors


class SavedClips:
    """The clips of one spec that a folder of shards holds; subclasses turn a row into a sample.

    Raises:
        InputError: none there; in `stored`, another spec than theirs.
    """

    kind: str  # of the folder

    def __init__(self, folder: str | Path, split: str = "train") -> None:
        self.shards = ShardFolder.open(folder, self.kind)
        self.items = self.shards.items(split)
        self.spec = ClipSpec(**self.shards.index["spec"])

    def __len__(self) -> int:
        return len(self.items)

    def group(self, index: int) -> str:
        """The video that the clip is of; every clip of the world is its own."""
        return self.items[index]["group"]

    def stored(self, index: int, spec: ClipSpec, *names: str) -> dict[str, Tensor]:
        """The named tensors of clip `index`, as they were stored."""
        if spec != self.spec:
            raise InputError(f"{self.shards.folder}: its clips are {self.spec}; {spec} was requested")
        return self.shards.read(self.items[index], names)
