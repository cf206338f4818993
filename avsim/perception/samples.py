"""Clips of the world with their labels: rendered on the spot, or once and for all into shards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from avsim.clip import ClipSpec
from avsim.data.batch import ClipBatch
from avsim.data.datamodule import ClipData
from avsim.data.shards import (
    SHARDS,
    SPLITS,
    SavedClips,
    from_int16,
    from_uint8,
    to_int16,
    to_uint8,
    write_index,
    write_shard,
)
from avsim.errors import InputError
from avsim.perception.grid import Grid
from avsim.perception.labels import Labels, labels
from avsim.world import WorldConfig, WorldDataset, world_config

PER_SHARD = 50  # clips


@dataclass(frozen=True, eq=False)
class LabeledClip:
    """One clip and what is to be found in it. Shapes: frames (3, T, H, W), wave (A, N)."""

    frames: Tensor
    wave: Tensor
    labels: Labels
    name: str


@dataclass(frozen=True, eq=False)
class LabeledBatch(ClipBatch):
    """Clips with what is to be found in them."""

    labels: Labels | None = None

    def to(self, device: torch.device | str, non_blocking: bool = False) -> LabeledBatch:
        """All tensors on `device`."""
        moved = super().to(device, non_blocking)
        return moved if moved.labels is None else replace(moved, labels=moved.labels.to(device, non_blocking))


class LabeledWorld:
    """The world's clips, rendered when they are requested; of several worlds, in turns.

    Raises:
        InputError: no world, or one that `WorldDataset` refuses.
    """

    def __init__(
        self,
        config: str | WorldConfig | list[str | WorldConfig] = "medium",
        seed: int = 0,
        split: str = "train",
        count: int = 1 << 30,
        grid: Grid = Grid(),  # noqa: B008 (frozen)
    ) -> None:
        self.configs = [world_config(each) for each in (config if isinstance(config, list) else [config])]
        if not self.configs:
            raise InputError("samples of no world; name at least one")
        for each in self.configs:
            WorldDataset(each, seed, split)  # checks
        self.seed, self.split = seed, split
        self.count, self.grid = count, grid

    def __len__(self) -> int:
        return self.count

    def group(self, index: int) -> str:
        """Every clip is its own."""
        return str(index)

    def sample(self, index: int, spec: ClipSpec, generator: Generator | None = None) -> LabeledClip:
        """Clip `index` at `spec`."""
        config = self.configs[index % len(self.configs)]
        clip, truth = WorldDataset(replace(config, spec=spec), self.seed, self.split)[index]
        assert clip.frames is not None and clip.wave is not None
        found = labels(truth, spec, self.grid)
        return LabeledClip(clip.frames, clip.wave, found, f"world/{self.split}/{index}")


class SavedLabeledClips(SavedClips):
    """Clips that `save_labeled_clips` rendered.

    Raises:
        InputError: none there; in `sample`, another spec than theirs.
    """

    kind = "samples"

    def sample(self, index: int, spec: ClipSpec, generator: Generator | None = None) -> LabeledClip:
        """Clip `index`."""
        names = [each.name for each in fields(Labels)]
        stored = self.stored(index, spec, "frames", "wave", *names)
        found = Labels(**{name: _whole(stored[name]) for name in names})
        return LabeledClip(
            from_uint8(stored["frames"]), from_int16(stored["wave"]), found, self.items[index]["name"]
        )


LabeledSource = LabeledWorld | SavedLabeledClips


def save_labeled_clips(
    folder: str | Path, counts: dict[str, int], config: str | WorldConfig, spec: ClipSpec, seed: int = 0
) -> Path:
    """Render so many clips of each split of a world into shards, frames as bytes, samples as 16 bits.

    Raises:
        InputError: an unknown split.
    """
    folder, items = Path(folder), []
    for split, count in counts.items():
        if split not in SPLITS:
            raise InputError(f"unknown split {split!r}; there are {', '.join(SPLITS)}")
        source = LabeledWorld(config, seed, split)
        for first in range(0, count, PER_SHARD):
            taken = [source.sample(index, spec) for index in range(first, min(first + PER_SHARD, count))]
            shard = f"{split}-{first // PER_SHARD:04d}.safetensors"
            write_shard(folder / SHARDS / shard, _stored(taken))
            items += [
                {
                    "shard": shard,
                    "row": row,
                    "split": split,
                    "name": each.name,
                    "group": each.name,
                    "caption": "",
                }
                for row, each in enumerate(taken)
            ]
    write_index(folder, "samples", {"spec": asdict(spec)}, items)
    return folder


def _stored(samples: Sequence[LabeledClip]) -> dict[str, Tensor]:
    found = Labels.stack([each.labels for each in samples])
    return {
        "frames": torch.stack([to_uint8(each.frames) for each in samples]),
        "wave": torch.stack([to_int16(each.wave) for each in samples]),
        **{name: value.half() if value.is_floating_point() else value for name, value in vars(found).items()},
    }


def _whole(stored: Tensor) -> Tensor:
    return stored.float() if stored.is_floating_point() else stored


class LabeledData(ClipData):
    """Lessons, by split; batches and resuming as in `ClipData`."""

    def __init__(
        self,
        spec: ClipSpec = ClipSpec(),  # noqa: B008 (frozen)
        train: LabeledSource | None = None,
        validation: LabeledSource | None = None,
        test: LabeledSource | None = None,
        batch_size: int = 8,
        workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(spec, train, validation, test, batch_size, workers, seed)  # type: ignore[arg-type]

    def _assemble(self, source: Any, trained: bool) -> Any:
        return Assemble(source, self.spec, stacked)


class Assemble:
    """Rows of a data module -> a batch, which `together` makes of samples, their spec and their rows."""

    def __init__(self, source: Any, spec: ClipSpec, together: Callable[..., ClipBatch]) -> None:
        self.source, self.spec, self.together = source, spec, together

    def __call__(self, rows: list[tuple[int, int, Generator]]) -> ClipBatch:
        """A batch of (index, row, generator)."""
        samples = [self.source.sample(index, self.spec, draws) for index, _, draws in rows]
        return self.together(samples, self.spec, [row for _, row, _ in rows])


def stacked(samples: Sequence[LabeledClip], spec: ClipSpec, rows: Sequence[int]) -> LabeledBatch:
    """Lessons of one spec as a batch."""
    return LabeledBatch(
        spec,
        torch.stack([each.frames for each in samples]),
        torch.stack([each.wave for each in samples]),
        [""] * len(samples),
        [each.name for each in samples],
        torch.tensor(list(rows)),
        labels=Labels.stack([each.labels for each in samples]),
    )
