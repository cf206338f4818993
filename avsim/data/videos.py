"""Videos on disk: which there are, and who they are."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from avsim.errors import InputError

SUFFIXES = frozenset(
    ".mp4 .m4v .mov .qt .mkv .webm .avi .gif .mpg .mpeg .vob .ts .mts .m2ts .wmv .asf .flv .f4v .3gp .3g2 "
    ".ogv .mxf .dv".split()
)
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


def uncaptioned(missing: int, total: int) -> str | None:
    """A line of warning where clips have no caption; None where all have one."""
    if not missing:
        return None
    return (
        f"{missing} of {total} clips have no caption; a generator learns no prompts from them: put NAME.txt, "
        "NAME.json or NAME.csv beside NAME.mp4 (avsim prepare --help)"
    )
