"""Text files that others may have written: lists, listings, indexes, settings. Nothing in them is trusted."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

from avsim.errors import InputError

MOST_BYTES = 64 << 20  # of such a file
MALFORMED = (  # what readers of their content raise
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    csv.Error,
)


def read_text(path: str | Path, most: int = MOST_BYTES) -> str:
    """The text of a file, in UTF-8 with or without its mark.

    Raises:
        InputError: no such file, no regular one, one of more than `most` bytes, or one that is no text.
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise InputError(f"{path}: {'is no regular file' if path.exists() else 'no such file'}")
        if (size := path.stat().st_size) > most:
            raise InputError(f"{path}: is {size:,} bytes; at most {most:,} are read of such a file")
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: cannot be read as UTF-8 ({error.reason}, byte {error.start})") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error


def read_json(path: str | Path, kind: type | None = None, most: int = MOST_BYTES) -> Any:
    """The plain data of a json file; of type `kind`, list or dict, where that is given.

    Raises:
        InputError: as `read_text`, text that is no json, or another type.
    """
    text = read_text(path, most)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read as json ({error})") from error
    if kind is not None and not isinstance(found, kind):
        expected = "an object" if kind is dict else "a list" if kind is list else kind.__name__
        raise InputError(f"{path}: holds {found!r:.60}; expected {expected}")
    return found


def inside(folder: Path, name: Any, where: str | Path) -> Path:
    """The file in `folder` that a listing names.

    Raises:
        InputError: no name, or that of a file outside the folder; `where` is the listing.
    """
    if not isinstance(name, str) or not name or "\0" in name:
        raise InputError(f"{where}: names {name!r:.60}; expected the name of a file")
    try:
        if any(len(os.fsencode(part)) > 255 for part in Path(name).parts):
            raise InputError(f"{where}: names {name!r:.60}…, which is longer than any file's name")
        within = (folder / name).resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, UnicodeError) as error:  # a loop of links, or a name that no disk takes
        raise InputError(f"{where}: names {name!r:.60}, which cannot be ({error})") from error
    if not within:
        raise InputError(f"{where}: names {name!r:.60}, which lies outside its folder")
    return folder / name
