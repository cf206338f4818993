"""Where clips come from: shards, a folder of videos, the world. A source gives any
clip at any spec that it can.

All that is random about a clip (where in the video it starts, what is cropped) is drawn from the generator
that is handed in, so that it depends on the step and the row alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Generator, Tensor

from avsim.clip import Clip, ClipSpec, samples_of
from avsim.data.captions import Captions
from avsim.data.published import VIDEO, source_of
from avsim.data.shards import SPLITS, ShardFolder, from_int16, from_uint8
from avsim.data.splits import assign
from avsim.data.videos import find_videos, identity
from avsim.data.vocabulary import captions_of, vocabulary_of
from avsim.errors import InputError

if TYPE_CHECKING:
    from avsim.world import Truth, WorldConfig


@dataclass(frozen=True, eq=False)
class Sample:
    """One clip of a source and what is known of it.

    Shapes: frames (3, T, H, W) in [0, 1] or None; wave (A, N) or None; where the truth is known, stems
    (R, A, N) of the R regions and their masks (R, T, H, W), else None. What no region made is the wave minus
    the stems' sum.
    """

    frames: Tensor | None
    wave: Tensor | None
    caption: str
    name: str
    stems: Tensor | None = None
    masks: Tensor | None = None
    styles: Mapping[str, str] = field(default_factory=dict)  # captions of other styles


class Source(Protocol):
    """A map from 0 <= index < len to clips."""

    def __len__(self) -> int:
        """How many clips (or videos to take clips from) there are."""
        ...

    def sample(self, index: int, spec: ClipSpec, generator: Generator) -> Sample:
        """Clip `index` at `spec`."""
        ...

    def group(self, index: int) -> str:
        """What clip `index` is a part of (a shot, a video): clips of one group may share video and audio."""
        ...


class ShardSource:
    """Clips that `avsim prepare` made, of one split, whole or cropped at random in time and place.

    Raises:
        InputError: no shards there, nothing in the split; in `sample`, another rate or a larger spec.
    """

    def __init__(
        self, folder: str | Path, split: str = "train", frames: bool = True, wave: bool = True
    ) -> None:
        if not (frames or wave):
            raise InputError("a ShardSource needs frames or wave; both are false")
        self.shards = ShardFolder.open(folder, "clips")
        self.items = self.shards.items(split)
        self.spec = ClipSpec(**self.shards.index["spec"])
        self.frames, self.wave = frames, wave  # which modalities are read

    @property
    def vocabulary(self) -> frozenset[str]:
        """The words of its captions."""
        return vocabulary_of(captions_of(self.items))

    def __len__(self) -> int:
        return len(self.items)

    def group(self, index: int) -> str:
        """Its shot."""
        return self.items[index]["group"]

    def videos(self) -> set[str]:
        """The source videos of its clips: videos by content, and by YouTube's id where they are called by it.

        A video that was split by its shots is in every split, so its shots stand for it. None are known where
        the clips are of no video.
        """
        if self.shards.index.get("split_by") == "shot":
            return {item["group"] for item in self.items}
        videos = {item["video"] for item in self.items if "video" in item}
        return videos | _named(Path(self.shards.index["videos"][video]) for video in videos)

    def sample(self, index: int, spec: ClipSpec, generator: Generator) -> Sample:
        """Clip `index`, cropped to `spec`; a mono spec hears the mean of both channels."""
        self._check(spec)
        item = self.items[index]
        names = tuple(name for name in ("frames", "wave") if getattr(self, name))
        stored = self.shards.read(item, names)
        first = _draw(self.spec.frames - spec.frames, generator)
        top = _draw(self.spec.height - spec.height, generator)
        left = _draw(self.spec.width - spec.width, generator)
        frames = wave = None
        if self.frames:
            box = stored["frames"][
                :, first : first + spec.frames, top : top + spec.height, left : left + spec.width
            ]
            frames = from_uint8(box)
        if self.wave:
            start = samples_of(first, spec.frames_per_second, spec.sample_rate)
            start = min(start, self.spec.samples - spec.samples)  # rounding may ask for one sample too many
            wave = from_int16(stored["wave"][:, start : start + spec.samples])
            wave = wave.mean(0, keepdim=True) if spec.channels < wave.shape[0] else wave
        return Sample(frames, wave, item["caption"], item["name"], styles=item.get("styles", {}))

    def _check(self, spec: ClipSpec) -> None:
        for name in ("frames_per_second", "sample_rate"):
            if getattr(spec, name) != getattr(self.spec, name):
                raise InputError(_mismatch(self.shards.folder, name, self.spec, spec, "is"))
        for name in ("frames", "height", "width", "channels"):
            if getattr(spec, name) > getattr(self.spec, name):
                raise InputError(_mismatch(self.shards.folder, name, self.spec, spec, "is at most"))


def _mismatch(folder: str, name: str, stored: ClipSpec, wanted: ClipSpec, relation: str) -> str:
    return (
        f"{folder}: {name} of its clips {relation} {getattr(stored, name):g}; the spec asks for "
        f"{getattr(wanted, name):g} (prepare the videos again with that, or change the spec)"
    )


def _named(videos: Iterable[Path]) -> set[str]:
    """YouTube's ids. Other names say nothing: videos of two folders may share theirs."""
    return {source_of(video.stem) for video in videos if VIDEO.fullmatch(video.stem)}


def _draw(most: int, generator: Generator) -> int:
    """A whole number from 0 to `most`."""
    return int(torch.randint(most + 1, (), generator=generator))


class FolderSource:
    """Videos as they lie in a folder: each time another clip of each, decoded on the spot.

    Captions come from sidecar files, else from the name of the folder that a video lies in. Videos that can't
    be read are left out and listed in `missing`.

    Raises:
        InputError: no videos there, none that can be read, nothing in the split.
    """

    def __init__(self, folder: str | Path, split: str | None = None, seed: int = 0) -> None:
        videos, self.missing = all_probed({path: "" for path in find_videos([folder])})
        self.files = in_split(videos, split, seed, str(folder))

    def __len__(self) -> int:
        return len(self.files)

    def group(self, index: int) -> str:
        """Its video."""
        return self.files[index].id

    def videos(self) -> set[str]:
        """Its videos, by content, and by YouTube's id where they are called by it."""
        return {video.id for video in self.files} | _named(video.path for video in self.files)

    def sample(self, index: int, spec: ClipSpec, generator: Generator) -> Sample:
        """A clip of video `index` that starts anywhere within it."""
        return self.files[index].sample(spec, generator)


@dataclass(frozen=True)
class VideoFile:
    """A video to take clips from."""

    path: Path
    id: str
    seconds: float
    captions: Captions
    label: str  # the caption where there is no sidecar

    def sample(self, spec: ClipSpec, generator: Generator) -> Sample:
        """A clip that starts anywhere within the video; one that is shorter than a clip ends in stillness."""
        from avsim import media

        last = max(0, int((self.seconds - spec.seconds) * spec.frames_per_second))
        start = _draw(last, generator) / spec.frames_per_second
        clip = media.read(
            self.path,
            start,
            spec.end,
            spec.size,
            spec.frames_per_second,
            spec.sample_rate,
            spec.channels,
            "both",
        )
        frames, wave = filled(clip, spec)
        caption = self.captions.at(start, spec.seconds) or self.label
        styles = self.captions.styles_at(start, spec.seconds)
        return Sample(frames, wave, caption, f"{self.path.stem}@{start:.3f}", styles=styles)


def filled(clip: Clip, spec: ClipSpec) -> tuple[Tensor, Tensor]:
    """Frames and wave of a clip, held at the last frame and silent from its end to that of `spec`."""
    assert clip.frames is not None and clip.wave is not None
    frames, wave = clip.frames[:, : spec.frames], clip.wave[:, : spec.samples]
    held = frames[:, -1:].expand(-1, spec.frames - frames.shape[1], -1, -1)
    return torch.cat([frames, held], 1), torch.nn.functional.pad(wave, (0, spec.samples - wave.shape[1]))


def probed(path: Path, label: str) -> VideoFile:
    """A video, if it has video and audio.

    Raises:
        InputError: it has not, or can't be read.
    """
    from avsim import media

    info = media.probe(path)
    if not (info.has_frames and info.has_wave):
        raise InputError(f"{path}: has no {'audio' if info.has_frames else 'video'}")
    return VideoFile(path, identity(path), info.seconds, Captions.beside(path), label)


def all_probed(labels: dict[Path, str]) -> tuple[list[VideoFile], list[str]]:
    """The videos that have video and audio, with their labels; and why the others can't be used.

    Raises:
        InputError: none can be used.
    """
    videos, missing = [], []
    for path, label in labels.items():
        try:
            videos.append(probed(path, label))
        except InputError as error:
            missing.append(str(error))
    if not videos:
        raise InputError(f"none of {len(labels)} videos can be used; the first: {missing[0]}")
    return videos, missing


def in_split(videos: list[VideoFile], split: str | None, seed: int, where: str) -> list[VideoFile]:
    """The videos of a split (80 : 10 : 10, by the hash of their content), or all."""
    if split is None:
        return videos
    if split not in SPLITS:
        raise InputError(f"{where}: unknown split {split!r}; there are {', '.join(SPLITS)}")
    of = assign(dict.fromkeys((video.id for video in videos), 1), seed)
    chosen = [video for video in videos if of[video.id] == split]
    if not chosen:
        raise InputError(f"{where}: none of its {len(videos)} videos falls into split {split}")
    return chosen


def made(clip: Clip, truth: Truth, name: str) -> Sample:
    """A clip of the world, with a region for each thing that is seen."""
    stems = [truth.stems[thing.name] for thing in truth.things]
    return Sample(
        clip.frames,
        clip.wave,
        truth.caption,
        name,
        torch.stack(stems) if stems else None,
        truth.masks if stems else None,
    )


class WorldSource:
    """The world: endless clips with the truth, drawn at the spec that is wanted for.

    `split` and `index` say which clip; nothing else about it is drawn.
    """

    def __init__(
        self,
        config: str | WorldConfig = "easy",
        seed: int = 0,
        split: str = "train",
        count: int | None = None,
    ) -> None:
        from avsim.world import WorldDataset, world_config

        self.config = world_config(config)
        self.seed, self.split = seed, split
        self.count = len(WorldDataset(self.config, seed, split)) if count is None else count  # also checks
        if self.count < 1:
            raise InputError(f"count is {count}; a world has at least one clip")

    @property
    def vocabulary(self) -> frozenset[str]:
        """The words that its captions may have."""
        from avsim.world.captions.parsing import VOCABULARY

        return VOCABULARY

    def __len__(self) -> int:
        return self.count

    def group(self, index: int) -> str:
        """Every clip is its own."""
        return str(index)

    def sample(self, index: int, spec: ClipSpec, generator: Generator) -> Sample:
        """Clip `index` of the world: a region for each thing that is seen."""
        from avsim.world import WorldDataset

        clip, truth = WorldDataset(replace(self.config, spec=spec), self.seed, self.split)[index]
        return made(clip, truth, f"world/{self.split}/{index}")
