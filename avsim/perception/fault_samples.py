"""Clips of the world with faults of graded strength, made when they are requested: frames alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from avsim.clip import ClipSpec
from avsim.data.batch import ClipBatch
from avsim.data.datamodule import ClipData
from avsim.errors import InputError
from avsim.perception.grid import Grid
from avsim.perception.samples import Assemble, LabeledWorld
from avsim.world import WorldConfig, WorldDataset
from avsim.world.flat.faults import FAULTS, spoilt
from avsim.world.flat.layers import Layers

WEAKEST = 0.15  # strength; weaker ones no one sees
# How late in the order of a scene's faults are those of few scenes, those of all scenes, and those hard to see.
RARE, COMMON, HARD = 0.3, 1.5, 0.5
HARDEST = ("loses its edge", "replaced by the backdrop", "smears")


@dataclass(frozen=True, eq=False)
class FaultyClips:
    """One scene with and without faults, V clips of it, the first as it is.

    Shapes: frames (V, 3, T, H, W); change (V, T, h, w), how much each cell differs from what it should show,
    in [0, 1]; kind (V,), the number of the fault, -1 where there is none.
    """

    frames: Tensor
    change: Tensor
    kind: Tensor
    name: str


@dataclass(frozen=True, eq=False)
class FaultBatch(ClipBatch):
    """Clips with what is wrong with them; `change` and `kind` as in `FaultyClips`, B for V."""

    change: Tensor | None = None
    kind: Tensor | None = None


class FaultyWorld(LabeledWorld):
    """Scenes of the world, of several in turns, each with faults.

    Args:
        config: of the world, or several.
        seed: of the world.
        split: of the world.
        count: scenes.
        variants: clips of each scene; all but the first have a fault.
        grid: of the detector.

    Raises:
        InputError: no world, less than two variants.
    """

    def __init__(
        self,
        config: str | WorldConfig | list[str | WorldConfig] = "medium",
        seed: int = 0,
        split: str = "train",
        count: int = 1 << 30,
        variants: int = 3,
        grid: Grid = Grid(),  # noqa: B008 (frozen)
    ) -> None:
        super().__init__(config, seed, split, count, grid)
        if variants < 2:
            raise InputError("faulty clips need a world and at least two variants of each scene")
        self.variants = variants

    def sample(  # type: ignore[override]
        self, index: int, spec: ClipSpec, generator: Generator
    ) -> FaultyClips:
        """Scene `index` at `spec`; the generator draws the faults."""
        config = self.configs[index % len(self.configs)]
        scene = WorldDataset(replace(config, spec=spec), self.seed, self.split).scene(index)
        layers, rate = Layers(scene, spec), spec.frames_per_second
        frames, kinds = [layers.frames], [-1]
        late = torch.rand(len(FAULTS), generator=generator) * torch.tensor(
            [
                RARE
                if fault.stick or fault.moving
                else COMMON
                if fault.whole
                else HARD
                if name in HARDEST
                else 1.0
                for name, fault in FAULTS.items()
            ]
        )
        order = late.argsort().tolist()
        for number in order:
            if len(frames) == self.variants:
                break
            strength = WEAKEST + (1 - WEAKEST) * float(torch.rand((), generator=generator)) ** 1.5
            fault = list(FAULTS.values())[number]
            made = spoilt(layers, rate, fault, strength, generator)
            if made is not None:
                frames.append(made)
                kinds.append(number)
        stacked = torch.stack(frames)
        if torch.rand((), generator=generator) < 0.5:
            stacked = stacked.flip(-1)
        change = cell_change(stacked, stacked[:1], rate, self.grid)
        return FaultyClips(stacked, change, torch.tensor(kinds), f"world/{self.split}/{index}")


def cell_change(frames: Tensor, true: Tensor, rate: float, grid: Grid) -> Tensor:
    """How much each cell differs from the truth: (B, 3, T', H', W') each -> (B, T, h, w) of the grid."""
    away = grid.resample_video(frames, rate) - grid.resample_video(true, rate)
    return F.avg_pool2d(away.abs().amax(1), grid.cell)


class FaultData(ClipData):
    """Faulty clips by split; batches and resuming as in `ClipData`, `batch_size` in scenes."""

    def __init__(
        self,
        spec: ClipSpec = ClipSpec(),  # noqa: B008 (frozen)
        train: FaultyWorld | None = None,
        validation: FaultyWorld | None = None,
        test: FaultyWorld | None = None,
        batch_size: int = 3,
        workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(spec, train, validation, test, batch_size, workers, seed)  # type: ignore[arg-type]

    def _assemble(self, source: Any, trained: bool) -> Any:
        return Assemble(source, self.spec, faults_of)


def faults_of(each: Sequence[FaultyClips], spec: ClipSpec, rows: Sequence[int]) -> FaultBatch:
    """Scenes as a batch of all their clips, whose rows count on within a scene."""
    most = max(len(one.kind) for one in each)
    return FaultBatch(
        spec,
        torch.cat([one.frames for one in each]),
        None,
        [""] * sum(len(one.kind) for one in each),
        [one.name for one in each for _ in one.kind],
        torch.tensor(
            [row * most + k for row, one in zip(rows, each, strict=True) for k in range(len(one.kind))]
        ),
        change=torch.cat([one.change for one in each]),
        kind=torch.cat([one.kind for one in each]),
    )
