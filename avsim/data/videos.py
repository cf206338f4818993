"""Videos on disk: which there are, who they are, and what their sidecar files say of them."""

from __future__ import annotations

import csv
import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from avsim.errors import InputError
from avsim.untrusted import MALFORMED, read_text

SUFFIXES = frozenset((".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".gif"))
_EDGE = 1 << 20  # bytes at either end of a file that tell videos apart


def find_videos(paths: Iterable[str | Path]) -> list[Path]:
    """The files named, and the videos within the folders named, each once, in order.

    Raises:
        InputError: a path that does not exist, or no video at all.
    """
    found: dict[Path, None] = {}
    given = [Path(path) for path in paths]
    for path in given:
        if path.is_dir():
            inside = (p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
            found.update(dict.fromkeys(sorted(p for p in inside if not p.name.startswith("."))))
        elif path.exists():
            found[path] = None
        else:
            raise InputError(f"{path}: no such file or folder")
    if not found:
        names = ", ".join(map(str, given)) or "nothing given"
        raise InputError(f"no videos in {names}; expected files ending in {', '.join(sorted(SUFFIXES))}")
    return list(found)


def identity(path: Path) -> str:
    """A name for the content of a file: the same wherever it lies and whatever it is called."""
    digest = hashlib.blake2b(digest_size=8)
    with open(path, "rb") as file:
        size = path.stat().st_size
        digest.update(str(size).encode())
        digest.update(file.read(_EDGE))
        file.seek(max(0, size - _EDGE))
        digest.update(file.read(_EDGE))
    return digest.hexdigest()


@dataclass(frozen=True)
class Captions:
    """What is said of a video: (start, end, caption), in seconds."""

    spans: tuple[tuple[float, float, str], ...] = ()

    def at(self, start: float, seconds: float) -> str:
        """The caption that covers most of a span; of equals, the one that says it most closely; else ""."""

        def fit(span: tuple[float, float, str]) -> tuple[float, float]:
            return min(span[1], start + seconds) - max(span[0], start), span[0] - span[1]

        best = max(self.spans, key=fit, default=None)
        return best[2] if best is not None and fit(best)[0] > 0 else ""

    @classmethod
    def beside(cls, video: Path) -> Captions:
        """Captions from the files beside a video that bear its name, those there are of:

        NAME.txt: one caption of the whole video. NAME.json: {"caption": ...}, a list of {"start", "end",
        "caption"}, or both as {"caption": ..., "captions": [...]}. NAME.csv: columns start, end, caption.

        Raises:
            InputError: a sidecar that says something else.
        """
        spans: list[tuple[float, float, str]] = []
        for suffix, reader in ((".txt", _text), (".json", _json), (".csv", _csv)):
            path = video.with_suffix(suffix)
            if path.is_file():
                try:
                    spans += reader(read_text(path))
                except InputError:
                    raise
                except MALFORMED as error:
                    raise InputError(f"{path}: not captions as avsim reads them ({error!r})") from error
        return cls(tuple(spans))


def uncaptioned(missing: int, total: int) -> str | None:
    """A line of warning where clips have no caption; None where all have one."""
    if not missing:
        return None
    return (
        f"{missing} of {total} clips have no caption and teach no prompt: put NAME.txt, "
        "NAME.json or NAME.csv beside NAME.mp4 (avsim prepare --help)"
    )


def _text(text: str) -> list[tuple[float, float, str]]:
    return [(0.0, math.inf, " ".join(text.split()))]


def _json(text: str) -> list[tuple[float, float, str]]:
    value = json.loads(text)
    whole = [(0.0, math.inf, str(value["caption"]))] if isinstance(value, dict) and "caption" in value else []
    rows = value.get("captions", []) if isinstance(value, dict) else value
    if not whole and not rows:
        raise ValueError("neither caption nor captions in it")
    return whole + [_span(row) for row in rows]


def _csv(text: str) -> list[tuple[float, float, str]]:
    return [_span(row) for row in csv.DictReader(text.splitlines())]


def _span(row: dict) -> tuple[float, float, str]:
    start, end = float(row["start"]), float(row["end"])
    if not start < end:
        raise ValueError(f"a caption from {start:g} to {end:g} s")
    return start, end, str(row["caption"])
