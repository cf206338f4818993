"""Folders that a killed run left: what goes on there, and what must not be mixed into it."""

import json
from pathlib import Path
from typing import Any

from avsim.data.shards import INDEX, write_json
from avsim.errors import InputError

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
        try:
            before = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: cannot be read ({error}); choose another folder") from error
        if not isinstance(before, dict):
            raise InputError(f"{path}: holds a {type(before).__name__}, no settings; choose another folder")
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
