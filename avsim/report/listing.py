"""A folder of clips -> its files with what is stated of them: prompts, seeds, tasks, settings."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from avsim.data.captions import Captions
from avsim.data.resuming import SETTINGS
from avsim.data.videos import find_videos
from avsim.diffusion.generate import STEPS
from avsim.errors import InputError
from avsim.simulator.samples import LISTING
from avsim.untrusted import inside, read_json, read_text

PROMPTS = "prompts.jsonl"  # a line {"file", "prompt"} for each clip
FIELDS = {"file": str, "prompt": str, "seed": int, "task": str}  # of samples.json


@dataclass(frozen=True)
class Entry:
    """A file of a folder, as its listing has it."""

    path: Path
    name: str  # relative to the folder
    prompt: str = ""
    seed: int | None = None
    task: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)  # settings of the generation

    @property
    def stated(self) -> dict[str, Any]:
        """What a card shows beside the prompt."""
        return {"file": self.name, "task": self.task, "seed": self.seed, **self.about}


def entries(folder: Path) -> list[Entry]:
    """The clips of a folder, by its samples.json, its prompts.jsonl or else all videos and their sidecars.

    Raises:
        InputError: no such folder, no clip in it, a listing that can't be used.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: {'is no folder' if folder.exists() else 'no such folder'}")
    if (folder / LISTING).is_file():
        return read_samples(folder)
    if (folder / PROMPTS).is_file():
        return _read_prompts(folder)
    return [
        Entry(path, path.relative_to(folder).as_posix(), _caption_beside(path))
        for path in find_videos([folder])
    ]


def read_samples(folder: Path) -> list[Entry]:
    """The clips of a samples.json.

    Raises:
        InputError: it isn't one, or names a file outside its folder.
    """
    listing = folder / LISTING
    listed = read_json(listing, list)
    if not all(isinstance(e, dict) and all(type(e.get(n)) is k for n, k in FIELDS.items()) for e in listed):
        raise InputError(f"{listing}: expected a list of objects with {', '.join(FIELDS)} (seed whole)")
    if not listed:
        raise InputError(f"{listing}: lists no clip")
    shared = _settings(folder)
    return [
        Entry(
            inside(folder, each["file"], listing), each["file"], each["prompt"], each["seed"], each["task"],
            {"model's prompt": str(each.get("rewritten") or ""), **shared, **_sampled_with(each)},
        )
        for each in listed
    ]  # fmt: skip


def _read_prompts(folder: Path) -> list[Entry]:
    path = folder / PROMPTS
    found = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        try:
            each = json.loads(line)
            file, prompt, seed = each["file"], each["prompt"], each.get("seed")
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            file = prompt = seed = None
        if not (isinstance(file, str) and isinstance(prompt, str) and (seed is None or type(seed) is int)):
            raise InputError(f'{path}, line {number}: expected {{"file": ..., "prompt": ...}} in json')
        found.append(Entry(inside(folder, file, path), file, prompt, seed))
    if not found:
        raise InputError(f"{path}: lists no clip")
    return found


def _settings(folder: Path) -> dict[str, Any]:
    """What a folder of `avsim generate` was generated with, in words; nothing of other folders."""
    path = folder / SETTINGS
    if not path.is_file():
        return {}
    settings = read_json(path, dict)
    if "checkpoint" not in settings:
        return {}
    return {
        "checkpoint": settings["checkpoint"],
        "steps": settings.get("steps") or f"{STEPS} (default)",
        "guidance": _scales(settings) or "defaults of the task",
        "negative prompt": settings.get("negative_prompt"),
    }


def _sampled_with(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What a clip was sampled with: the student, the scales that are on, where they start; {}: not said."""
    used = entry.get("sampled_with")
    if not isinstance(used, dict):
        return {}
    on = {
        name: value
        for name, value in used.items()
        if name.endswith("_scale") and value not in (None, 0 if name == "sync_scale" else 1)
    }
    for kind in ("guidance", "modality", "sync"):
        if used.get(f"{kind}_start") and {f"{kind}_scale", f"audio_{kind}_scale"} & on.keys():
            on[f"{kind}_start"] = used[f"{kind}_start"]
    student = "student" if used.get("student") is True else ""
    guidance = ", ".join(filter(None, (student, _scales(on)))) or "off"
    return {"guidance": guidance, "negative prompt": used.get("negative_prompt")}


def _scales(settings: Mapping[str, Any]) -> str:
    """Guidance scales and where they start, of those that are given, in words."""
    scales = {n: v for n, v in settings.items() if n.endswith(("_scale", "_start")) and v is not None}
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in scales.items())


def _caption_beside(path: Path) -> str:
    """The caption of a video's first second, from a file beside it; "" where none can be read."""
    try:
        return Captions.beside(path).at(0.0, 1.0)
    except InputError:
        return ""


def titles(folders: Sequence[Path]) -> list[str]:
    """Names that tell folders apart: their own, else whole paths."""
    names = [folder.resolve().name for folder in folders]
    return names if len(set(names)) == len(names) else [str(folder) for folder in folders]
