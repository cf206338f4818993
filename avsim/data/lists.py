"""Videos of lists that others publish: MUSIC, AVE, VGGSound, The Sound of Pixels."""

from __future__ import annotations

import csv
import io
import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Generator, Tensor

from avsim import media
from avsim.clip import ClipSpec
from avsim.data.published import Entry, Split, read_list, source_of, spoken
from avsim.data.shards import SPLITS
from avsim.data.sources import Sample, VideoFile, all_probed, in_split, probed
from avsim.data.videos import SUFFIXES
from avsim.errors import InputError
from avsim.untrusted import inside, read_text

IMAGES = frozenset((".jpg", ".jpeg", ".png"))
log = logging.getLogger("avsim")


class ListSource:
    """The videos that a list names, as far as they lie under `root`; the others are counted in `missing`.

    MUSIC's, AVE's and VGGSound's lists are read as `published.read_list` says: a video is any file under
    `root` called by a name of the list, and its caption is the label ("acoustic guitar and violin"). The
    Sound of Pixels' `.csv` has lines of audio_path,frames_path,count, where frames_path is a folder of images
    (`frames_per_second` of them a second, the first at time 0) or a video; the caption is the name of the
    folder it lies in.

    `split` is a part: of `split_file` (`avsim split` writes one), else of the videos by the hash of their
    content.

    Raises:
        InputError: a list or split that is missing, says something else or leaks; no video of it under
            `root`; nothing in the split.
    """

    def __init__(
        self,
        path: str | Path,
        root: str | Path,
        split: str | None = None,
        seed: int = 0,
        frames_per_second: float = 8.0,
        split_file: str | Path | None = None,
    ) -> None:
        path, root = Path(path), Path(root)
        if not path.is_file():
            raise InputError(f"{path}: no such list")
        if not root.is_dir():
            raise InputError(f"{root}: no such folder of videos (root of the list {path})")
        self.missing: list[str] = []
        self.entries: list[VideoFile | FrameFolder]
        if split_file is not None and split is None:
            raise InputError(f"{split_file}: which part of it? set split to one of {', '.join(SPLITS)}")
        part = None if split_file is None else Split.read(split_file).parts.get(split or "")
        if split_file is not None and part is None:
            raise InputError(f"{split_file}: has no part {split!r}")
        if path.suffix.lower() == ".csv" and _is_strips(path):
            if split is not None:
                raise InputError(f"{path}: a CSV list is one split already; leave out split={split!r}")
            self.entries = self._strips(path, root, frames_per_second)
        elif path.suffix.lower() in (".json", ".csv", ".txt"):
            videos = self._videos(path, root, part)
            self.entries = list(videos if part is not None else in_split(videos, split, seed, str(path)))
        else:
            raise InputError(f"{path}: a list ends in .json (MUSIC), .csv (VGGSound) or .txt (AVE)")
        if self.missing:
            log.warning(
                "%s: %d of %d videos are missing, the first: %s",
                path,
                len(self.missing),
                len(self.missing) + len(self.entries),
                self.missing[0],
            )

    def __len__(self) -> int:
        return len(self.entries)

    def group(self, index: int) -> str:
        """Its video."""
        return self.entries[index].id

    def videos(self) -> set[str]:
        """The source videos of its videos, by the names that lists give them and by content."""
        files = [entry.path if isinstance(entry, VideoFile) else entry.sound for entry in self.entries]
        return {source_of(file.stem) for file in files} | {entry.id for entry in self.entries}

    def sample(self, index: int, spec: ClipSpec, generator: Generator) -> Sample:
        """A clip of video `index` that starts anywhere within it."""
        return self.entries[index].sample(spec, generator)

    def _videos(self, path: Path, root: Path, part: Mapping[str, object] | None) -> list[VideoFile]:
        entries: dict[str, list[Entry]] = {}
        for entry in read_list(path):
            if part is None or entry.video in part:
                entries.setdefault(entry.name, []).append(entry)
        if not entries:
            raise InputError(f"{path}: nothing of it is in this part of the split")
        lying: dict[str, Path] = {}
        for folder, _, files in os.walk(root):
            for file in sorted(files):
                found = Path(folder, file)
                if found.suffix.lower() in SUFFIXES:
                    lying.setdefault(found.stem, found)
        labels = {lying[name]: own[0].label for name, own in entries.items() if name in lying}
        self.missing += [name for name in entries if name not in lying]
        if not labels:
            raise InputError(f"{path}: none of its {len(entries)} videos lies under {root}")
        videos, unreadable = all_probed(labels)
        self.missing += unreadable
        return [_captioned(video, entries[video.path.stem]) for video in videos]

    def _strips(self, path: Path, root: Path, frames_per_second: float) -> list[VideoFile | FrameFolder]:
        entries: list[VideoFile | FrameFolder] = []
        rows = _rows(path)
        for line, row in enumerate(rows, 1):
            if len(row) != 3 or not re.fullmatch(r"\s*[0-9]{1,9}\s*", row[2]):
                raise InputError(
                    f"{path}: line {line} is {','.join(row)!r}; expected audio_path,frames_path,count"
                )
            sound, picture = (inside(root, cell.strip(), f"{path}: line {line}") for cell in row[:2])
            count = int(row[2])
            label = spoken(picture.parent.name)
            if not (sound.is_file() and picture.exists()):
                self.missing.append(str(picture if sound.is_file() else sound))
            elif picture.is_dir():
                images = sorted(p for p in picture.iterdir() if p.suffix.lower() in IMAGES)[:count]
                if images:
                    entries.append(FrameFolder(sound, tuple(images), frames_per_second, label))
                else:
                    self.missing.append(str(picture))
            else:
                try:
                    entries.append(probed(picture, label))
                except InputError as error:
                    self.missing.append(str(error))
        if not entries:
            raise InputError(f"{path}: none of its {len(rows)} videos lies under {root}")
        return entries


def _captioned(video: VideoFile, entries: Sequence[Entry]) -> VideoFile:
    """A video with what its entries say of spans of it, where no sidecar says anything."""
    spans = tuple((*entry.span, entry.label) for entry in entries if entry.span is not None)
    return (
        video
        if video.captions.spans or not spans
        else replace(video, captions=replace(video.captions, spans=spans), label="")
    )


def _is_strips(path: Path) -> bool:
    """Whether a CSV is The Sound of Pixels': three columns, the last a number."""
    first = next(iter(_rows(path)), [])
    return len(first) == 3 and first[2].strip().isdigit()


def _rows(path: Path) -> list[list[str]]:
    try:
        return [row for row in csv.reader(io.StringIO(read_text(path), newline="")) if row]
    except csv.Error as error:
        raise InputError(f"{path}: no CSV ({error})") from error


@dataclass(frozen=True)
class FrameFolder:
    """A video in pieces: a sound file, and the images of its frames in order."""

    sound: Path
    images: tuple[Path, ...]
    frames_per_second: float
    label: str

    @property
    def id(self) -> str:
        """Its sound's path."""
        return str(self.sound)

    def sample(self, spec: ClipSpec, generator: Generator) -> Sample:
        """A clip that starts anywhere within the video; one that is shorter ends in stillness and silence."""
        seconds = len(self.images) / self.frames_per_second
        last = max(0, int((seconds - spec.seconds) * spec.frames_per_second))
        start = int(torch.randint(last + 1, (), generator=generator)) / spec.frames_per_second
        shown = [int((start + float(t)) * self.frames_per_second) for t in spec.frame_seconds()]
        shown = [min(index, len(self.images) - 1) for index in shown]
        read = {index: self._image(index, spec) for index in sorted(set(shown))}
        clip = media.read(
            self.sound,
            start,
            spec.samples / spec.sample_rate,
            sample_rate=spec.sample_rate,
            channels=spec.channels,
            want="wave",
        )
        assert clip.wave is not None
        wave = torch.nn.functional.pad(clip.wave, (0, spec.samples - clip.wave.shape[1]))
        frames = torch.stack([read[index] for index in shown], 1)
        return Sample(frames, wave, self.label, f"{self.sound.stem}@{start:.3f}")

    def _image(self, index: int, spec: ClipSpec) -> Tensor:
        frames = media.read(self.images[index], size=spec.size, want="frames").frames
        assert frames is not None
        return frames[:, 0]
