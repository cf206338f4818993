"""A world -> files: shards to train on, or videos with their captions; with their stems and truth if wished.

    OUT/index.json, OUT/shards/     as `avsim prepare` writes them
    OUT/clips/000000.mp4, .json     or videos, each with its captions (`caption` is the short one)
    OUT/truth/000000/               everything that is known of a clip: see `avsim.world.Truth.save`
    OUT/stems/000000/NAME.wav       each thing's own sound, "ambience" and "off screen"

Parts of a few clips each are made in a few processes; a run that was killed goes on where it stopped, and one
that asks for more clips adds them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from avsim import media
from avsim.clip import Clip, ClipSpec
from avsim.data.resuming import PARTS, check_settings, holds, kept_result
from avsim.data.shards import SHARDS, SPLITS, to_int16, to_uint8, write_index, write_json, write_shard
from avsim.data.workers import Crashed, run_all
from avsim.errors import InputError
from avsim.files import atomic, claimed
from avsim.world import Scene, Truth, render
from avsim.world.flat.scene_files import said

LISTING, FILMS, TRUTH, STEMS = "clips.json", "clips", "truth", "stems"
PART_BYTES, PART_CLIPS = 48 << 20, 32  # of a shard, at most, and so the most that a kill can lose
PART_FILMS = 4


class Clips(Protocol):
    """A map from i to a clip and its truth: a `WorldDataset`, or `SceneVariants` of a scene."""

    def __getitem__(self, index: int) -> tuple[Clip, Truth]:
        """Clip `index`."""
        ...


@dataclass(frozen=True)
class SceneVariants:
    """One scene again and again: variant i differs from the first in what the scene's seed varies.

    Raises:
        InputError: as a clip is made: it is louder than full scale, or a sentence that no scene fits.
    """

    scene: Scene | str  # or a sentence that says what there is
    spec: ClipSpec
    seed: int = 0

    def __getitem__(self, index: int) -> tuple[Clip, Truth]:
        number = self.seed + index
        if isinstance(self.scene, str):
            scene = said(self.scene, self.spec, number)
        else:
            scene = replace(self.scene, seed=self.scene.seed + number)
        clip, truth = render(scene, self.spec)
        assert clip.wave is not None
        if (peak := float(clip.wave.abs().max())) > 1:
            raise InputError(f"the scene is {peak:.2f} times as loud as full scale; let less happen at once")
        return clip, truth


@dataclass(frozen=True)
class Form:
    """What is written of each clip."""

    shards: bool = False
    stems: bool = False
    truth: bool = False


@dataclass(frozen=True)
class _Part:
    """Clips that are made by one task."""

    clips: Clips
    first: int
    last: int
    split: str
    folder: Path
    form: Form

    @property
    def kept(self) -> Path:
        """Where its items are written as soon as all of it is there."""
        return self.folder / PARTS / f"{self.first:08d}.json"

    @property
    def shard(self) -> str:
        """The name of its shard."""
        return f"world-{self.first:08d}.safetensors"


def write_clips(
    clips: Clips,
    count: int,
    out: str | Path,
    spec: ClipSpec,
    about: Mapping[str, Any],
    *,
    split: str = "train",
    form: Form = Form(),
    jobs: int = 1,
) -> None:
    """Make the first `count` clips and write them to `out`.

    Args:
        clips: the world.
        count: how many.
        out: a folder, which is made.
        spec: of the clips.
        about: what the clips are made from, plain data: a folder holds clips of one kind.
        split: of all of them; shards know "train", "validation" and "test", any other counts as test.
        form: what is written of each clip.
        jobs: processes.

    Raises:
        InputError: fewer than one clip or process, or `out` holds other clips or can't be written.
    """
    for name, value in (("the number of clips", count), ("jobs", jobs)):
        if value < 1:
            raise InputError(f"{name} is {value}; it must be at least 1")
    split = split if split in SPLITS else "test"
    clip_bytes = 3 * spec.frames * spec.height * spec.width + 2 * spec.channels * spec.samples
    size = max(1, min(PART_CLIPS, PART_BYTES // clip_bytes)) if form.shards else PART_FILMS
    with claimed(out) as folder:
        settings = {**about, "spec": asdict(spec), **asdict(form)}
        check_settings(folder, json.loads(json.dumps(settings)))
        parts = [
            _Part(clips, first, min(first + size, count), split, folder, form)
            for first in range(0, count, size)
        ]
        found = {part.first: _kept(part) for part in parts}
        waiting = [part for part in parts if found[part.first] is None]
        for part, items in run_all(_make, waiting, jobs, f"parts of {size} clips"):
            if isinstance(items, Crashed):
                raise InputError(
                    f"clips {part.first} to {part.last - 1}: the process that made them died; if memory ran "
                    "out, fewer jobs need less"
                )
            found[part.first] = items
        items = [item for part in parts for item in found[part.first] or ()]
        if form.shards:
            write_index(folder, "clips", settings, items)
        else:
            write_json(folder / LISTING, items)


def _kept(part: _Part) -> list[dict[str, Any]] | None:
    """The items of a part that an earlier run has made, if it made as many."""
    items = kept_result(part.kept)
    if not isinstance(items, list) or not all(holds(item, {"name": str}) for item in items):
        return None
    if not part.form.shards and not all(holds(item, {"file": str}) for item in items):
        return None
    files = [part.folder / SHARDS / part.shard] if part.form.shards else [
        part.folder / item["file"] for item in items
    ]  # fmt: skip
    return items if len(items) == part.last - part.first and all(map(Path.exists, files)) else None


def _make(part: _Part) -> list[dict[str, Any]]:
    """Make a part's clips and write them; its items."""
    items, frames, waves = [], [], []
    for index in range(part.first, part.last):
        clip, truth = part.clips[index]
        name = f"{index:06d}"
        item: dict[str, Any] = {"name": name, "split": part.split, "group": name, "caption": truth.caption}
        item |= {"full": truth.captions.full, "things": list(truth.captions.things)}
        if part.form.shards:
            assert clip.frames is not None and clip.wave is not None
            item |= {"shard": part.shard, "row": index - part.first}
            frames.append(to_uint8(clip.frames))
            waves.append(to_int16(clip.wave))
        else:
            item["file"] = f"{FILMS}/{name}.mp4"
            media.write(clip, part.folder / item["file"])
            write_json(part.folder / FILMS / f"{name}.json", item)
        if part.form.truth:
            truth.save(part.folder / TRUTH / name)
        if part.form.stems:
            _write_stems(truth.stems, clip, part.folder / STEMS / name)
        items.append(item)
    if part.form.shards:
        write_shard(
            part.folder / SHARDS / part.shard, {"frames": torch.stack(frames), "wave": torch.stack(waves)}
        )
    write_json(part.kept, items)
    return items


def _write_stems(stems: Mapping[str, Tensor], clip: Clip, folder: Path) -> None:
    """Each stem as a file of its name, all or none."""
    with atomic(folder) as temporary:
        temporary.mkdir()
        for name, wave in stems.items():
            media.write(replace(clip, frames=None, wave=wave), temporary / f"{name}.wav")
