"""Files of prompts and of shots, as `avsim generate` reads them."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avsim.errors import InputError

if TYPE_CHECKING:
    from avsim.simulator import Shot

FIELDS = ("prompt", "negative_prompt", "seed", "seconds")
ALIASES = 100  # of YAML: each may stand for many values
SUFFIXES = (".txt", ".csv", ".jsonl")


@dataclass(frozen=True)
class Request:
    """A line of a file of prompts; None: as the command line says."""

    prompt: str | None
    negative_prompt: str | None = None
    seed: int | None = None
    seconds: float | None = None


def read_prompts(path: Path) -> list[Request]:
    """The prompts of a file: .txt, one a line; .csv or .jsonl with the fields of `FIELDS`, `prompt` always.

    Raises:
        InputError: another suffix, a file that can't be read, a line that is not a prompt, or no prompt.
    """
    from avsim.untrusted import read_text

    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: a file of prompts ends in {', '.join(SUFFIXES)}")
    text = read_text(path)
    if path.suffix.lower() == ".txt":
        found = [Request(line.strip()) for line in text.splitlines() if line.strip()]
    elif path.suffix.lower() == ".csv":
        try:
            rows = list(csv.DictReader(io.StringIO(text, newline="")))
        except csv.Error as error:
            raise InputError(f"{path}: cannot be read as csv ({error})") from error
        found = [_request(row, f"{path}, line {number}") for number, row in enumerate(rows, 2)]
    else:
        found = []
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise InputError(f"{path}, line {number}: cannot be read as json ({error})") from error
                found.append(_request(row, f"{path}, line {number}"))
    if not found:
        raise InputError(f"{path}: holds no prompt")
    return found


def _request(row: Any, where: str) -> Request:
    """A line's fields.

    Raises:
        InputError: no prompt, an unknown field, or a value of another kind.
    """
    if not isinstance(row, dict):
        raise InputError(f"{where}: holds {row!r:.60}; expected an object with a prompt")
    given = {key: value for key, value in row.items() if value not in (None, "", [])}
    if unknown := [key for key in given if key not in FIELDS]:
        raise InputError(f"{where}: unknown field {unknown[0]!r:.60}; known are {', '.join(FIELDS)}")
    if not isinstance(given.get("prompt"), str):
        raise InputError(f"{where}: has no prompt")
    if not isinstance(given.get("negative_prompt", ""), str):
        raise InputError(f"{where}: its negative_prompt is {given['negative_prompt']!r:.60}; expected a text")
    seed, seconds = given.get("seed"), given.get("seconds")
    return Request(
        given["prompt"],
        given.get("negative_prompt"),
        None if seed is None else _whole(seed, f"{where}: its seed"),
        None if seconds is None else _seconds(seconds, f"{where}: its seconds"),
    )


def _whole(value: Any, where: str) -> int:
    try:
        return int(value) if isinstance(value, int | str) and not isinstance(value, bool) else int("")
    except ValueError:
        raise InputError(f"{where} is {value!r:.40}; expected a whole number") from None


def _seconds(value: Any, where: str) -> float:
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = math.nan
    if not 0 < found <= 86400:
        raise InputError(f"{where} is {value!r:.40}; expected a frame or more, at most 86400 seconds")
    return found


def read_shots(path: Path) -> tuple[list[Shot], str | None]:
    """The shots of a storyboard, and its transition where it names one.

    YAML: a list of `{prompt: TEXT, seconds: NUMBER}`, or `{transition: NAME, shots: LIST}`.

    Raises:
        InputError: a file that can't be read, is not YAML, or holds something else.
    """
    import yaml

    from avsim.simulator import Shot
    from avsim.untrusted import read_text

    text = read_text(path)
    try:
        aliases = sum(isinstance(token, yaml.AliasToken) for token in yaml.scan(text, yaml.SafeLoader))
        if aliases > ALIASES:
            raise InputError(f"{path}: has {aliases} aliases; a storyboard may have {ALIASES}")
        found = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InputError(f"{path}: is not YAML ({' '.join(str(error).split())})") from error
    transition = None
    if isinstance(found, dict):
        if unknown := [key for key in found if key not in ("shots", "transition")]:
            raise InputError(f"{path}: unknown field {unknown[0]!r:.60}; known are shots and transition")
        transition, found = found.get("transition"), found.get("shots")
    if not isinstance(found, list) or not found:
        raise InputError(f"{path}: holds no list of shots; expected lines such as "
                         "'- {prompt: a ball falls, seconds: 2}'")  # fmt: skip
    shots = []
    for number, shot in enumerate(found, 1):
        where = f"{path}, shot {number}"
        if not isinstance(shot, dict) or not isinstance(shot.get("prompt"), str):
            raise InputError(f"{where}: has no prompt")
        if unknown := [key for key in shot if key not in ("prompt", "seconds")]:
            raise InputError(f"{where}: unknown field {unknown[0]!r:.60}; known are prompt and seconds")
        shots.append(Shot(shot["prompt"], _seconds(shot.get("seconds", 2.0), f"{where}: its seconds")))
    if transition is not None and not isinstance(transition, str):
        raise InputError(f"{path}: its transition is {transition!r:.40}; expected cut or continuous")
    return shots, transition
