"""Scenes of the world for separation: number of sounding things, similar or not, in view or not, with stems.

`Scenes` renders them when they are requested; `save_scenes` renders them once and for all, for trainings that
take less time than the rendering of what they see.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from avsim.clip import Clip, ClipSpec
from avsim.data.resuming import check_settings
from avsim.data.shards import (
    INDEX,
    SHARDS,
    SavedClips,
    from_int16,
    from_uint8,
    to_int16,
    to_uint8,
    write_index,
    write_json,
    write_shard,
)
from avsim.data.sources import Sample, made
from avsim.data.workers import Crashed, run_all
from avsim.errors import InputError
from avsim.seeds import derive, generator
from avsim.world import Truth, WorldConfig, world_config
from avsim.world.flat.config import KINDS
from avsim.world.flat.dataset import LOUDEST
from avsim.world.flat.random_scenes import draw_scene
from avsim.world.flat.render import render
from avsim.world.flat.scene import MOST, Scene

TRIES = 4000  # scenes sampled before a constraint counts as impossible
REGIONS = MOST + 1  # things that are seen in one clip, at most: what falls beside the video may roll in
PER_SHARD = 25  # clips


@dataclass(frozen=True)
class Constraints:
    """What a scene must have."""

    things: tuple[int, int]  # fewest and most that are there to be seen, silent ones too
    sounding: tuple[int, int]  # of which so many sound
    alike: bool | None = None  # whether two sounding things are of one kind; None: random
    off_screen: bool = False  # whether something falls beside the video


CONSTRAINTS = {
    "one": Constraints((1, 2), (1, 1)),
    "two": Constraints((2, 2), (2, 2), alike=False),
    "alike": Constraints((2, 2), (2, 2), alike=True),
    "three": Constraints((3, 3), (3, 3)),
    "four": Constraints((4, 4), (3, 4)),
    "silent": Constraints((2, 4), (1, 3)),  # at least one is silent, see `satisfies`
    "off screen": Constraints((1, 1), (1, 1), off_screen=True),
    "crowd": Constraints((2, 3), (1, 3), off_screen=True),
}
TRAINING_SHARES = {  # weight in training
    "one": 0.05, "two": 0.2, "alike": 0.2, "three": 0.15, "four": 0.05, "silent": 0.1,
    "off screen": 0.18, "crowd": 0.07,
}  # fmt: skip


def sounding(scene: Scene, seconds: float) -> list[tuple[str, str] | None]:
    """What each thing is that sounds, (material, shape or name), in order; None if it is silent."""
    struck = {hit.target for hit in scene.stick.hits if not hit.miss and hit.seconds < seconds}
    bodies = [(b.material, b.shape) if b.release < seconds and b.height > 0 else None for b in scene.bodies]
    targets = [(t.material, t.kind) if k in struck else None for k, t in enumerate(scene.targets)]
    return [*bodies, *targets, *(("", p.instrument) if p.notes else None for p in scene.players)]


def satisfies(constraint: Constraints, scene: Scene, seconds: float, silent: bool = False) -> bool:
    """Whether a scene satisfies constraints, as far as is known before it is rendered."""
    found = sounding(scene, seconds)
    if constraint.off_screen:  # what falls beside the video is the last body
        found.pop(len(scene.bodies) - 1)
    kinds = [kind for kind in found if kind is not None]
    if not constraint.sounding[0] <= len(kinds) <= constraint.sounding[1] or (
        silent and len(kinds) == len(found)
    ):
        return False
    return constraint.alike is None or constraint.alike == (len(set(kinds)) < len(kinds))


class Scenes:
    """Clips of the world that grant constraints, with a region for each thing that is seen; clip i depends on
    (seed, split, i) alone.

    Raises:
        InputError: an unknown constraint or family, or one that this world can't grant.
    """

    def __init__(
        self,
        config: str | WorldConfig = "medium",
        seed: int = 0,
        split: str = "train",
        count: int = 1 << 30,
        constraints: Mapping[str, float] | None = None,  # how often each is made; None: `TRAINING_SHARES`
        families: Mapping[str, float] | None = None,  # of scenes, likewise; None: players as often as others
    ) -> None:
        self.config, self.seed, self.split, self.count = world_config(config), seed, split, count
        self.constraints = dict(TRAINING_SHARES if constraints is None else constraints)
        self.families = dict({"drop": 0.3, "strike": 0.2, "ensemble": 0.5} if families is None else families)
        for name, given, known in (
            ("constraint", self.constraints, CONSTRAINTS),
            ("family", self.families, KINDS),
        ):
            if unknown := set(given) - set(known):
                raise InputError(f"scenes: unknown {name} {min(unknown)!r}; there are {', '.join(known)}")

    def __len__(self) -> int:
        return self.count

    @property
    def settings(self) -> dict[str, Any]:
        """All that a clip depends on beside its number, as plain data; not how many there are."""
        return {
            "config": asdict(self.config),
            "seed": self.seed,
            "constraints": self.constraints,
            "families": self.families,
        }

    def group(self, index: int) -> str:
        """Every clip is its own."""
        return str(index)

    def scene(self, index: int, spec: ClipSpec, attempt: int = 0) -> Scene:
        """The scene of clip `index`."""
        random = np.random.default_rng(derive(self.seed, "scenes", self.split, index, attempt))
        name, family = (_chosen(each, random) for each in (self.constraints, self.families))
        constraint = CONSTRAINTS[name]
        world = replace(
            self.config,
            spec=spec,
            scenes=(family,),
            things=constraint.things,
            silent=0.4
            if name == "silent"
            else 0.0
            if constraint.sounding[0] == constraint.things[1]
            else 0.2,
            off_screen=1.0 if constraint.off_screen else 0.0,
            walls=0.0 if constraint.off_screen else self.config.walls,
        )
        for _ in range(TRIES):
            scene = draw_scene(world, random, held_out=self.split == "held out")
            if constraint.sounding[0] > 2 and scene.stick.hits:
                scene = _in_turn(scene, random)
            if satisfies(constraint, scene, spec.seconds, silent=name == "silent"):
                return scene
        raise InputError(
            f"scenes: of {TRIES} scenes of the family {family!r} none meets the constraints {name!r}"
        )

    def clip(self, index: int, spec: ClipSpec) -> tuple[Clip, Truth]:
        """Clip `index` and all that is known of it."""
        for attempt in range(100):
            clip, truth = render(self.scene(index, spec, attempt), spec)
            assert clip.wave is not None
            if clip.wave.abs().max() <= LOUDEST:
                break
        return clip, truth

    def sample(self, index: int, spec: ClipSpec, generator: Generator) -> Sample:
        """Clip `index` with the stem and the mask of each thing that is seen."""
        sample = made(*self.clip(index, spec), f"scenes/{self.split}/{index}")
        if sample.stems is not None:
            return sample
        nothing = torch.zeros(1, spec.channels, spec.samples), torch.zeros(1, spec.frames, *spec.size)
        return replace(sample, stems=nothing[0], masks=nothing[1])


def _in_turn(scene: Scene, random: np.random.Generator) -> Scene:
    """The scene with its strokes on one target after the other, as far apart as the stick needs."""
    order = random.permutation(len(scene.targets)).tolist()
    gaps = np.diff([hit.seconds for hit in scene.stick.hits], append=math.inf)
    every = math.ceil(0.4 / min(0.4, *gaps))
    hits = [replace(hit, target=order[k % len(order)]) for k, hit in enumerate(scene.stick.hits[::every])]
    return replace(scene, stick=replace(scene.stick, hits=tuple(hits)))


def _chosen(weights: Mapping[str, float], random: np.random.Generator) -> str:
    """One of the names, sampled by weight."""
    share = np.array(list(weights.values())) / sum(weights.values())
    return list(weights)[int(random.choice(len(share), p=share))]


class SavedScenes(SavedClips):
    """Clips that `save_scenes` rendered.

    Raises:
        InputError: none there; in `sample`, another spec than theirs.
    """

    kind = "scenes"

    def sample(self, index: int, spec: ClipSpec, generator: Generator) -> Sample:
        """Clip `index`."""
        stored, item = self.stored(index, spec, "frames", "wave", "stems", "masks"), self.items[index]
        count = item["regions"]
        return Sample(
            from_uint8(stored["frames"]),
            from_int16(stored["wave"]),
            item["caption"],
            item["name"],
            from_int16(stored["stems"][:count]),
            from_uint8(stored["masks"][:count]),
        )


@dataclass(frozen=True)
class _Part:
    """Clips that are rendered by one task."""

    scenes: Scenes
    first: int
    last: int
    folder: Path
    spec: ClipSpec

    @property
    def shard(self) -> str:
        return f"{self.scenes.split}-{self.first:06d}-{self.last:06d}.safetensors"


def save_scenes(folder: str | Path, sources: list[Scenes], spec: ClipSpec, jobs: int = 1) -> Path:
    """Render all clips of each source, one source a split, into shards: bytes, and samples of 16 bits.

    Shards that are there already are kept, so that more clips may be added to what was rendered before (a
    last part that was short is rendered anew). All else about the sources must be as it was.

    Raises:
        InputError: the folder holds scenes of other settings, or a process died.
    """
    folder = Path(folder)
    settings = {"spec": asdict(spec), **{scenes.split: scenes.settings for scenes in sources}}
    check_settings(folder, json.loads(json.dumps(settings)), "scenes rendered")
    parts = [
        _Part(scenes, first, min(first + PER_SHARD, len(scenes)), folder, spec)
        for scenes in sources
        for first in range(0, len(scenes), PER_SHARD)
    ]
    missing = [part for part in parts if not (folder / SHARDS / f"{part.shard}.json").exists()]
    for part, done in run_all(_render, missing, jobs, f"parts of {PER_SHARD} scenes"):
        if isinstance(done, Crashed):
            raise InputError(f"{part.shard}: the process that rendered it died; fewer jobs need less memory")
    items = [item for part in parts for item in _listed(part)]
    write_index(folder, "scenes", {"spec": asdict(spec)}, items)
    return folder / INDEX


def _render(part: _Part) -> None:
    """Render a part's clips and write them, the list of them last."""
    taken = [
        part.scenes.sample(index, part.spec, generator(part.scenes.seed))
        for index in range(part.first, part.last)
    ]
    path = part.folder / SHARDS / part.shard
    write_shard(path, _stored(taken))
    listed = [
        {"name": each.name, "caption": each.caption, "regions": len(each.stems)}  # type: ignore[arg-type]
        for each in taken
    ]
    write_json(path.with_name(f"{part.shard}.json"), listed)


def _listed(part: _Part) -> list[dict[str, Any]]:
    """The index's items of a part that was rendered."""
    listed = json.loads((part.folder / SHARDS / f"{part.shard}.json").read_text())
    return [
        {**item, "shard": part.shard, "row": row, "split": part.scenes.split, "group": item["name"]}
        for row, item in enumerate(listed)
    ]


def _stored(samples: list[Sample]) -> dict[str, Tensor]:
    whole: dict[str, list[Tensor]] = {"frames": [], "wave": [], "stems": [], "masks": []}
    for each in samples:
        assert each.frames is not None and each.wave is not None
        assert each.stems is not None and each.masks is not None
        whole["frames"].append(to_uint8(each.frames))
        whole["wave"].append(to_int16(each.wave))
        whole["stems"].append(to_int16(_filled(each.stems)))
        whole["masks"].append(to_uint8(_filled(each.masks)))
    return {name: torch.stack(values) for name, values in whole.items()}


def _filled(regions: Tensor) -> Tensor:
    """(R, ...) -> (`REGIONS`, ...), the last of them empty."""
    return torch.cat([regions, regions.new_zeros(REGIONS - len(regions), *regions.shape[1:])])
