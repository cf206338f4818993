"""Files on disk -> features, one clip at a time; a file that can't be read is counted, and stops nothing."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from avsim import media
from avsim.clip import Clip, ClipSpec
from avsim.data.resuming import SETTINGS
from avsim.data.videos import find_videos
from avsim.errors import InputError
from avsim.evaluation.features import Detectors, Features
from avsim.untrusted import MALFORMED, inside, read_json, read_text
from avsim.weights import TENSORS, hash_of, part_folder

LISTING = "samples.json"  # in a folder of clips that a model drew
LONGEST = 10.0  # s of a clip that are judged
HIGHEST = 256  # pixels: what is higher is scaled down


@dataclass
class Clips:
    """The clips of some files and folders.

    Args:
        paths: their files, in order.
        captions: of files, by path, as far as they have any.
        seconds: of a clip that are judged, from its beginning.

    `specs` and `unreadable` fill while it is gone through; going through it again begins anew.
    """

    paths: Sequence[Path]
    captions: Mapping[Path, str] = field(default_factory=dict)
    seconds: float = LONGEST
    specs: list[ClipSpec] = field(default_factory=list)
    unreadable: dict[Path, str] = field(default_factory=dict)

    @classmethod
    def of(cls, given: Sequence[str | Path], prompts: str | Path | None = None) -> Clips:
        """The given videos and those in the given folders; a folder with a samples.json lists its own.

        Args:
            given: files and folders.
            prompts: a text file with a line for each clip in their order, or JSON: {file name: prompt}.

        Raises:
            InputError: a path that isn't there, no video in them, prompts that don't fit.
        """
        paths: list[Path] = []
        captions: dict[Path, str] = {}
        for each in map(Path, given):
            if (each / LISTING).is_file():
                listed = _listed(each / LISTING)
                paths += listed
                captions |= listed
            else:
                paths += find_videos([each])
        if prompts is not None:
            captions |= _prompts(Path(prompts), paths)
        return cls(paths, captions)

    def features(self, detectors: Detectors) -> Iterator[Features]:
        """Read clip after clip."""
        self.specs.clear()
        self.unreadable.clear()
        for path in self.paths:
            try:
                clip = read(path, self.seconds)
            except InputError as error:
                self.unreadable[path] = str(error)
                continue
            self.specs.append(clip.spec)
            caption = self.captions.get(path, "")
            yield Features(clip, detectors, caption, path.name, guiding_model(path.parent))

    @property
    def kinds(self) -> list[str]:
        """What the clips that were read are, such as "64 x 64 pixels"; several where they differ."""
        found: dict[str, list[float]] = {}
        for spec in self.specs:
            for unit, value in (
                ("pixels high", spec.height), ("fps", spec.frames_per_second), ("Hz", spec.sample_rate),
                ("s", spec.seconds), ("channels", spec.channels),
            ):  # fmt: skip
                found.setdefault(unit, []).append(value)
        return [
            f"{min(values):g} {unit}"
            if min(values) == max(values)
            else f"{min(values):g} to {max(values):g} {unit}"
            for unit, values in found.items()
        ]


def read(path: Path, seconds: float = LONGEST) -> Clip:
    """The beginning of a file, in a size that detectors need.

    Raises:
        InputError: it can't be read.
    """
    size = media.probe(path).size
    if size is not None and size[0] > HIGHEST:
        size = HIGHEST, max(1, round(size[1] * HIGHEST / size[0]))
    return media.read(path, seconds=seconds, size=size)


@cache
def guiding_model(folder: Path) -> str:
    """sha256 of the sync model that guided the clips of a folder of `avsim generate`; "" if none is known.

    It guides video that is generated with its audio, not audio for a given video.
    """
    try:
        settings = read_json(folder / SETTINGS, dict)
        if settings.get("video") is not None:
            return ""
        return hash_of(part_folder(str(settings["checkpoint"]), "sync_model") / TENSORS)
    except (InputError, KeyError, OSError):
        return ""


def _composed(name: str | Path) -> tuple[str, ...]:
    """The parts of a path in composed Unicode: disks and files write one name in two ways (NFC, NFD)."""
    return Path(unicodedata.normalize("NFC", str(name))).parts


def _on_disk(folder: Path, name: str) -> Path:
    """The file of a listing's name, which may be composed (NFC) or not (NFD) on disk."""
    forms = [folder / unicodedata.normalize(form, name) for form in ("NFC", "NFD")]
    return next((path for path in (folder / name, *forms) if path.exists()), folder / name)


def _listed(path: Path) -> dict[Path, str]:
    """The clips of a samples.json with their prompts."""
    entries = read_json(path, list)
    try:
        named = [(entry["file"], entry.get("prompt", "")) for entry in entries]
    except MALFORMED as error:
        raise InputError(f"{path}: not a list of samples with their files ({error!r})") from error
    for file, prompt in named:
        inside(path.parent, file, path)
        if not isinstance(prompt, str):
            raise InputError(f"{path}: the prompt of {file} is {prompt!r:.60}; expected a text")
    found = {_on_disk(path.parent, file): prompt for file, prompt in named}
    if not found:
        raise InputError(f"{path}: lists no clip")
    return found


def _prompts(path: Path, clips: Sequence[Path]) -> dict[Path, str]:
    if path.suffix == ".json":
        named = read_json(path)
        if not (isinstance(named, dict) and all(isinstance(prompt, str) for prompt in named.values())):
            raise InputError(f"{path}: holds {named!r:.60}; expected {{file name: prompt}}")
        found: dict[Path, str] = {}
        for name, prompt in named.items():
            parts = _composed(name)
            meant = [clip for clip in clips if parts and _composed(clip)[-len(parts) :] == parts]
            if len(meant) != 1:
                which = f"fits {len(meant)}: say its folder too" if meant else "fits none"
                raise InputError(f"{path}: has a prompt for {name!r}; of {len(clips)} clips it {which}")
            found[meant[0]] = prompt
        return found
    text = read_text(path)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) != len(clips):
        raise InputError(f"{path}: has {len(lines)} lines and there are {len(clips)} clips; expected as many")
    return dict(zip(clips, lines, strict=True))
