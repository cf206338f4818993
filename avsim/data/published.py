"""Lists of videos as they are published, and splits of them that don't leak.

A split is a small json file: which source videos train, which validate, which test, the files of each and
what is said of them, and a hash of each part. What comes from one source video stays in one part; a split in
which it doesn't is refused, wherever one is read.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avsim.data.shards import SPLITS, write_json
from avsim.data.splits import assign
from avsim.errors import InputError
from avsim.untrusted import MALFORMED, read_json, read_text

KIND, VERSION = "split", 1
NAMED = 5  # source videos that a refusal names
# YouTube's id, and a clip's start. An id is 64 bits in 11 characters, so the last is one of 16. What could be
# a word (solo_sounds_1) is an id only with a start of six digits, as VGGSound names its clips.
VIDEO = re.compile(
    r"(?P<video>(?:(?![a-z_]{11})|(?=.{11}_\d{6}))[A-Za-z0-9_-]{10}[AEIMQUYcgkosw048])"
    r"(?:_(?P<start>\d+))?(?:_\d+)?"
)
PARTS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "validation": "validation",
    "test": "test",
}


@dataclass(frozen=True)
class Entry:
    """A line of a list: a video, or a clip of one."""

    video: str  # the source
    name: str  # of its file, without the suffix
    label: str  # its caption
    span: tuple[float, float] | None = None  # s, of which that is said; None: of all
    split: str | None = None  # where the list says so


def read_list(path: str | Path) -> list[Entry]:
    """The entries of a published list.

    MUSIC and MUSIC-21: json, {"videos": {"acoustic_guitar violin": [ids]}}. The Sound of Pixels: csv,
    audio path, path of frames, count. VGGSound: csv, id, start in seconds, label, train or test; or, as its
    code has it, ID_000030.mp4, label. AVE: text, category&id&quality&start&end, with or without a header;
    its trainSet.txt, valSet.txt and testSet.txt say their part by their name.

    Raises:
        InputError: a file that is missing or says something else.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such list")
    readers = {".json": _music, ".csv": _csv, ".txt": _ave}
    if path.suffix.lower() not in readers:
        raise InputError(f"{path}: a list ends in {', '.join(readers)}")
    text = read_text(path)
    try:
        entries = readers[path.suffix.lower()](text)
    except MALFORMED as error:
        raise InputError(f"{path}: not a list as MUSIC, AVE or VGGSound publish theirs ({error})") from error
    if not entries:
        raise InputError(f"{path}: an empty list")
    assigned = next((part for word, part in PARTS.items() if path.stem.lower() == f"{word}set"), None)
    return [Entry(e.video, e.name, e.label, e.span, e.split or assigned) for e in entries]


def _music(text: str) -> list[Entry]:
    try:
        videos = dict(json.loads(text)["videos"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f'expected {{"videos": {{"label": [names]}}}}: {error!r}') from error
    return [Entry(str(name), str(name), spoken(label)) for label, group in videos.items() for name in group]


def _csv(text: str) -> list[Entry]:
    entries = []
    for number, row in enumerate(csv.reader(io.StringIO(text)), 1):
        if not row:
            continue
        row = [cell.strip() for cell in row]
        if len(row) == 3 and row[2].isdigit():  # The Sound of Pixels
            name = Path(row[0]).stem
            entries.append(Entry(source_of(name), name, spoken(Path(row[1]).parent.name)))
        elif len(row) == 4 and row[1].isdigit() and row[3] in PARTS:  # VGGSound
            entries.append(Entry(row[0], f"{row[0]}_{int(row[1]):06d}", row[2], split=PARTS[row[3]]))
        elif len(row) == 2 and VIDEO.fullmatch(Path(row[0]).stem):  # VGGSound, as its code has it
            name = Path(row[0]).stem
            entries.append(Entry(source_of(name), name, row[1]))
        else:
            raise ValueError(f"line {number} is {','.join(row)!r}")
    return entries


def _ave(text: str) -> list[Entry]:
    entries = []
    for number, line in enumerate(text.splitlines(), 1):
        cells = line.strip().split("&")
        if not line.strip() or (number == 1 and cells[:2] == ["Category", "VideoID"]):
            continue
        if len(cells) != 5:
            raise ValueError(f"line {number} is {line!r}")
        span = float(cells[3]), float(cells[4])
        entries.append(Entry(cells[1], cells[1], cells[0].lower(), span if span[0] < span[1] else None))
    return entries


def spoken(label: str) -> str:
    """Labels as a caption: "acoustic_guitar violin" -> "acoustic guitar and violin"."""
    return " and ".join(part.replace("_", " ") for part in label.split())


def source_of(name: str) -> str:
    """The source video of a file's name: YouTube's id where it begins with one, else the name itself."""
    found = VIDEO.fullmatch(name)
    return found["video"] if found else name


@dataclass(frozen=True)
class Split:
    """Which source videos are in which part, and the entries of each: {part: {video: entries}}."""

    parts: Mapping[str, Mapping[str, tuple[Entry, ...]]]
    lists: tuple[dict[str, str], ...] = ()  # the files it was made from, and their hashes
    seed: int = 0

    @property
    def hashes(self) -> dict[str, str]:
        """Of each part: sha256 of its source videos' ids, sorted, a line each."""
        return {name: _digest(videos) for name, videos in self.parts.items()}

    def find(self, name: str) -> tuple[str, tuple[Entry, ...]] | None:
        """The part of a file, by its name without suffix, and its caption; None: it is in none."""
        video, found = source_of(name), VIDEO.fullmatch(name)
        for part, videos in self.parts.items():
            entries = videos.get(name) or videos.get(video)
            if entries:
                own = tuple(entry for entry in entries if entry.name == name)
                if not own and found and found["start"]:  # another downloader's name: in s or ms
                    starts = {int(found["start"]), int(found["start"]) / 1000}
                    own = tuple(entry for entry in entries if _start(entry) in starts)
                return part, own or entries
        return None

    def write(self, path: str | Path) -> Path:
        """Write it as json."""
        parts = {
            part: {
                video: [[e.name, e.label, *(e.span or ())] for e in entries]
                for video, entries in sorted(videos.items())
            }
            for part, videos in self.parts.items()
        }
        about = {"kind": KIND, "version": VERSION, "seed": self.seed, "lists": list(self.lists)}
        write_json(Path(path), {**about, "sha256": self.hashes, "parts": parts})
        return Path(path)

    @classmethod
    def read(cls, path: str | Path) -> Split:
        """Read what `write` wrote.

        Raises:
            InputError: no such file, another kind of file, a part that isn't what its hash says, or a source
                video in two parts.
        """
        path = Path(path)
        try:
            found = read_json(path, dict)
            if found["kind"] != KIND or found["version"] != VERSION:
                raise ValueError(f"kind {found['kind']}, version {found['version']}")
            parts = {
                str(part): {
                    video: tuple(_entry(video, row) for row in rows) for video, rows in videos.items()
                }
                for part, videos in found["parts"].items()
            }
            split = cls(parts, tuple(found["lists"]), int(found["seed"]))
            stored = dict(found["sha256"])
        except InputError:
            raise
        except MALFORMED as error:
            raise InputError(f"{path}: no split that avsim split wrote ({error})") from error
        check_leaks(parts, str(path))
        for part, digest in split.hashes.items():
            if stored.get(part) != digest:
                raise InputError(
                    f"{path}: its part {part} was changed: its {len(parts[part])} source videos have another "
                    "hash than the file says; make the split anew"
                )
        return split


def make_split(
    lists: Iterable[str | Path],
    seed: int = 0,
    validation: float = 0.1,
    test: float = 0.1,
    given: Mapping[str, Iterable[str | Path]] | None = None,
    drop_leaks: bool = False,
) -> Split:
    """A split of published lists, each source video once.

    Where entries say their part (VGGSound's csv, AVE's sets, or lists `given` as a part) they keep it, and
    validation gets its share of what trains where no list has one; all others are dealt out by their hash.

    Args:
        lists: files that `read_list` reads.
        seed: of what is dealt out.
        validation: share of the source videos.
        test: share of them, where no part is given.
        given: lists by the part that they are.
        drop_leaks: take what is tested or validated out of training, instead of refusing the lists.

    Raises:
        InputError: a list that can't be read, shares that are impossible, or a source video in two parts.
    """
    entries: list[Entry] = []
    files: list[Path] = []
    for part, paths in [(None, lists), *(given or {}).items()]:
        for path in map(Path, paths):
            files.append(path)
            for e in read_list(path):
                entries.append(Entry(e.video, e.name, e.label, e.span, part or e.split))
    if not entries:
        raise InputError("no list is given to make a split of")
    by_part: dict[str, dict[str, list[Entry]]] = {part: {} for part in SPLITS}
    free: dict[str, list[Entry]] = {}
    for entry in dict.fromkeys(entries):
        into = free if entry.split is None else by_part[entry.split]
        into.setdefault(entry.video, []).append(entry)
    if drop_leaks:
        for later, earlier in (("train", "validation"), ("train", "test"), ("validation", "test")):
            for video in by_part[later].keys() & by_part[earlier].keys():
                del by_part[later][video]
    check_leaks(by_part, ", ".join(path.name for path in files))
    assigned = {video: part for part, videos in by_part.items() for video in videos}
    for video in free.keys() & assigned.keys():
        by_part[assigned[video]][video] += free.pop(video)
    shares = {"validation": validation, "test": test if not assigned else 0.0}
    if assigned and not free and not by_part["validation"]:
        free = by_part["train"]
        by_part["train"] = {}
    if free and by_part["validation"]:
        shares["validation"] = 0.0
    for video, part in assign(dict.fromkeys(free, 1), seed, **shares).items():
        by_part[part].setdefault(video, []).extend(free[video])
    parts = {part: {video: tuple(own) for video, own in videos.items()} for part, videos in by_part.items()}
    hashed = [{"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()} for path in files]
    return Split({part: videos for part, videos in parts.items() if videos}, tuple(hashed), seed)


def check_leaks(parts: Mapping[str, Iterable[str]], where: str) -> None:
    """Refuse parts that share a source video.

    Raises:
        InputError: they do; it names the first of them.
    """
    of = {part: set(videos) for part, videos in parts.items()}
    names = [part for part in SPLITS if part in of]
    for k, one in enumerate(names):
        for other in names[k + 1 :]:
            if both := sorted(of[one] & of[other]):
                more = f" and {len(both) - NAMED} more" if len(both) > NAMED else ""
                raise InputError(
                    f"{where}: leaks: {len(both)} of {len(of[other])} source videos of {other} are also in "
                    f"{one}: {', '.join(both[:NAMED])}{more}"
                )


def check_sources(sources: Mapping[str, object]) -> None:
    """Refuse sources (by part) that take clips of the same source video, as far as they know theirs.

    A source knows its `videos()`; one that is made of others, as a mixture or a blend is, has them as
    `source` or `sources`.

    Raises:
        InputError: two of them do.
    """
    check_leaks({part: _known(source) for part, source in sources.items()}, "the data's sources")


def _known(source: object) -> set[str]:
    """The source videos of a source, or of those that it is made of, as far as they know theirs."""
    if hasattr(source, "videos"):
        return set(source.videos())
    parts = [*getattr(source, "sources", ()), getattr(source, "source", None)]
    return {video for part in parts if part is not None for video in _known(part)}


def _entry(video: str, row: list[Any]) -> Entry:
    name, label, *span = row
    return Entry(video, str(name), str(label), (float(span[0]), float(span[1])) if span else None)


def _start(entry: Entry) -> float | None:
    found = VIDEO.fullmatch(entry.name)
    return float(found["start"]) if found and found["start"] else None


def _digest(videos: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(videos)).encode()).hexdigest()
