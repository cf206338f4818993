"""Folders that a killed run left: what goes on there, and what must not be mixed into it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from avsim.data.shards import INDEX, write_json
from avsim.errors import InputError
from avsim.untrusted import read_json

SETTINGS, PARTS = "settings.json", "parts"


def check_own(folder: Path, what: str) -> None:
    """Refuse a folder that holds other things than what such a verb left there.

    Raises:
        InputError: it does.
    """
    if folder.is_dir() and not (folder / SETTINGS).is_file():
        if found := sorted(path.name for path in folder.iterdir() if not path.name.startswith(".")):
            raise InputError(f"{folder}: holds {found[0]!r}, no {what}; choose another folder")


def check_settings(folder: Path, settings: dict[str, Any], made: str = "clips prepared") -> None:
    """Keep the settings that a folder's clips are `made` with, or refuse to mix others into it."""
    path = folder / SETTINGS
    if path.exists():
        before = read_json(path, dict)
        if before != settings:
            changed = [name for name in {**before, **settings} if before.get(name) != settings.get(name)]
            found = "; ".join(
                f"{name} {before.get(name)!r:.80}, now {settings.get(name)!r:.80}" for name in changed
            )
            raise InputError(f"{folder}: holds {made} with other settings ({found}); choose another folder")
    elif (folder / INDEX).exists():
        raise InputError(f"{folder}: holds other shards; choose another folder")
    else:
        write_json(path, settings)


def holds(found: Any, fields: Mapping[str, type]) -> bool:
    """Whether an object of json has these fields, each of its type."""
    return isinstance(found, dict) and all(isinstance(found.get(name), kind) for name, kind in fields.items())


def kept_result(path: Path) -> Any:
    """What a task kept in a folder's `parts`; None where there is nothing, or nothing that can be read."""
    try:
        return read_json(path)
    except InputError:
        return None
