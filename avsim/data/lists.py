"""Lists of films as others publish them: The Sound of Pixels' CSV and MUSIC's JSON."""

from __future__ import annotations

import csv
import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Generator, Tensor

from avsim import media
from avsim.clip import ClipSpec
from avsim.data.films import SUFFIXES
from avsim.data.sources import Film, Sample, in_split, probed
from avsim.errors import InputError

IMAGES = frozenset((".jpg", ".jpeg", ".png"))
log = logging.getLogger("avsim")


class ListSource:
    """The films that a list names, as far as they lie under `root`; the others are counted in `missing`.

    A `.json` is MUSIC's: {"videos": {"acoustic_guitar violin": [names]}}; a film is any file under `root`
    called by such a name, and its caption is "acoustic guitar and violin". A `.csv` is The Sound of Pixels':
    lines of audio_path,frames_path,count, where frames_path is a folder of images (`frames_per_second` of
    them a second, the first at time 0) or a film; the caption is the name of the folder it lies in.

    Raises:
        InputError: a list that is missing or says something else; no film of it under `root`; nothing in
            the split.
    """

    def __init__(
        self,
        path: str | Path,
        root: str | Path,
        split: str | None = None,
        seed: int = 0,
        frames_per_second: float = 8.0,
    ) -> None:
        path, root = Path(path), Path(root)
        if not path.is_file():
            raise InputError(f"{path}: no such list")
        if not root.is_dir():
            raise InputError(f"{root}: no such folder of films (root of the list {path})")
        self.missing: list[str] = []
        self.entries: list[Film | Filmstrip]
        if path.suffix.lower() == ".json":
            self.entries = list(in_split(self._films(path, root), split, seed, str(path)))
        elif path.suffix.lower() == ".csv":
            if split is not None:
                raise InputError(f"{path}: a CSV list is one split already; leave out split={split!r}")
            self.entries = self._strips(path, root, frames_per_second)
        else:
            raise InputError(f"{path}: a list ends in .json (MUSIC) or .csv (The Sound of Pixels)")
        if self.missing:
            log.warning(
                "%s: %d of %d films are missing, the first: %s",
                path,
                len(self.missing),
                len(self.missing) + len(self.entries),
                self.missing[0],
            )

    def __len__(self) -> int:
        return len(self.entries)

    def group(self, index: int) -> str:
        """Its film."""
        return self.entries[index].id

    def take(self, index: int, spec: ClipSpec, generator: Generator) -> Sample:
        """A clip of film `index` that starts anywhere within it."""
        return self.entries[index].take(spec, generator)

    def _films(self, path: Path, root: Path) -> list[Film]:
        try:
            videos = json.loads(path.read_text())["videos"]
            names = [(str(name), str(label)) for label, group in videos.items() for name in group]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f'{path}: expected {{"videos": {{"label": [names]}}}} ({error!r})') from error
        lying: dict[str, Path] = {}
        for folder, _, files in os.walk(root):
            for file in sorted(files):
                found = Path(folder, file)
                if found.suffix.lower() in SUFFIXES:
                    lying.setdefault(found.stem, found)
        labels = {lying[name]: spoken(label) for name, label in names if name in lying}
        self.missing += [name for name, _ in names if name not in lying]
        if not labels:
            raise InputError(f"{path}: none of its {len(names)} films lies under {root}")
        films, unreadable = probed(labels)
        self.missing += unreadable
        return films

    def _strips(self, path: Path, root: Path, frames_per_second: float) -> list[Film | Filmstrip]:
        entries: list[Film | Filmstrip] = []
        with open(path, newline="") as file:
            rows = [row for row in csv.reader(file) if row]
        for line, row in enumerate(rows, 1):
            if len(row) != 3 or not row[2].strip().isdigit():
                raise InputError(
                    f"{path}: line {line} is {','.join(row)!r}; expected audio_path,frames_path,count"
                )
            sound, picture, count = root / row[0].strip(), root / row[1].strip(), int(row[2])
            label = spoken(picture.parent.name)
            if not (sound.is_file() and picture.exists()):
                self.missing.append(str(picture if sound.is_file() else sound))
            elif picture.is_dir():
                images = sorted(p for p in picture.iterdir() if p.suffix.lower() in IMAGES)[:count]
                if images:
                    entries.append(Filmstrip(sound, tuple(images), frames_per_second, label))
                else:
                    self.missing.append(str(picture))
            else:
                films, unreadable = probed({picture: label})
                entries += films
                self.missing += unreadable
        if not entries:
            raise InputError(f"{path}: none of its {len(rows)} films lies under {root}")
        return entries


def spoken(label: str) -> str:
    """Labels as a caption: "acoustic_guitar violin" -> "acoustic guitar and violin"."""
    return " and ".join(part.replace("_", " ") for part in label.split())


@dataclass(frozen=True)
class Filmstrip:
    """A film in pieces: a sound file, and the images of its frames in order."""

    sound: Path
    images: tuple[Path, ...]
    frames_per_second: float
    label: str

    @property
    def id(self) -> str:
        """Its sound's path."""
        return str(self.sound)

    def take(self, spec: ClipSpec, generator: Generator) -> Sample:
        """A clip that starts anywhere within the film; one that is shorter ends in stillness and silence."""
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
