"""The benchmark's clips on disk: silent videos, for which models generate audio, and the true audio.

FOLDER/bench.json       the spec, and for each clip its file, pair, change, caption and the times of its hits
FOLDER/videos/NAME.mp4  without audio
FOLDER/truth/NAME.wav   the true audio
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from avsim import media
from avsim.benchmark.pairs import CHANGES, HITS, SHORTEST, pair
from avsim.clip import Clip, ClipSpec
from avsim.data.resuming import check_own, check_settings, holds
from avsim.data.workers import Crashed, run_all
from avsim.errors import InputError
from avsim.files import atomic, claimed
from avsim.untrusted import inside, read_json
from avsim.world.flat.render import render

INDEX = "bench.json"
VERSION = 1  # of the scenes: scores of different versions can't be compared
FIELDS = {"name": str, "change": str, "pair": int, "side": int, "caption": str, "hits": list}


@dataclass(frozen=True)
class BenchClip:
    """A clip of the benchmark. `side` is 0 or 1 within its pair; `hits`: when each is audible, s."""

    name: str
    change: str
    pair: int
    side: int
    caption: str
    hits: tuple[float, ...]


@dataclass(frozen=True)
class Bench:
    """The content of a benchmark's folder."""

    folder: Path
    spec: ClipSpec
    clips: tuple[BenchClip, ...]

    def video(self, clip: BenchClip) -> Clip:
        """A clip without audio."""
        return media.read(self.folder / "videos" / f"{clip.name}.mp4", want="frames")

    def truth(self, clip: BenchClip) -> Clip:
        """Its true audio, without video."""
        return media.read(self.folder / "truth" / f"{clip.name}.wav", want="wave")

    def pairs(self) -> list[tuple[BenchClip, BenchClip]]:
        """The two clips of each pair."""
        return [(one, other) for one, other in _groups(self.clips)]

    @classmethod
    def read(cls, folder: str | Path) -> Bench:
        """Read a folder that `make` wrote.

        Raises:
            InputError: there is no benchmark, it isn't finished, or its index is malformed.
        """
        folder = Path(folder)
        if not (folder / INDEX).is_file():
            raise InputError(f"{folder}: no {INDEX} here; avsim bench make --out {folder} writes a benchmark")
        index = read_json(folder / INDEX, dict)
        items = index.get("clips")
        if index.get("version") != VERSION or not isinstance(items, list):
            raise InputError(f"{folder / INDEX}: is of another version; expected {VERSION}")
        if not items or not all(holds(item, FIELDS) for item in items):
            raise InputError(f"{folder / INDEX}: has no clip, or one without {', '.join(FIELDS)}")
        try:
            spec = ClipSpec(**index["spec"])
            clips = tuple(BenchClip(**{**item, "hits": tuple(map(float, item["hits"]))}) for item in items)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{folder / INDEX}: is malformed ({error})") from error
        for clip in clips:
            if not all(map(math.isfinite, clip.hits)):
                raise InputError(f"{folder / INDEX}: {clip.name}: has a hit at no time")
            inside(folder, f"videos/{clip.name}.mp4", str(folder / INDEX))
        bench = cls(folder, spec, clips)
        if any(len(group) != 2 for group in _groups(clips)):
            raise InputError(f"{folder / INDEX}: has a pair that is not of two clips")
        return bench


def _groups(clips: Sequence[BenchClip]) -> list[list[BenchClip]]:
    groups: dict[tuple[str, int], list[BenchClip]] = {}
    for clip in clips:
        groups.setdefault((clip.change, clip.pair), []).append(clip)
    return list(groups.values())


def make(
    folder: str | Path,
    spec: ClipSpec,
    count: int = 16,
    seed: int = 0,
    changes: Sequence[str] = tuple(CHANGES),
    jobs: int = 1,
) -> Bench:
    """Write `count` pairs of each change; clips that an interrupted call has written are kept.

    Raises:
        InputError: an unknown change, clips too short for two hits, or a folder that holds something else.
    """
    if spec.seconds < SHORTEST:
        raise InputError(
            f"clips of {spec.seconds:g} s are too short for {HITS[0]} hits; expected {SHORTEST:g} s"
        )
    if unknown := [change for change in changes if change not in CHANGES]:
        raise InputError(f"change {unknown[0]!r}: expected some of {', '.join(CHANGES)}")
    folder, changes = Path(folder), list(dict.fromkeys(changes))
    check_own(folder, "benchmark")
    settings = {"version": VERSION, "spec": asdict(spec), "count": count, "seed": seed, "changes": changes}
    tasks = [(change, number, side) for change in changes for number in range(count) for side in (0, 1)]
    with claimed(folder):
        check_settings(folder, settings, "a benchmark")
        for name in ("videos", "truth"):
            (folder / name).mkdir(exist_ok=True)
        function = partial(_write, folder, spec, seed)
        found: dict[tuple[str, int, int], dict[str, Any]] = {}
        for task, result in run_all(function, tasks, jobs, "clips"):
            if isinstance(result, Crashed):
                raise InputError(f"{folder}: the process that rendered {_name(*task)} died; run it again")
            found[task] = result
        index = {**settings, "clips": [found[task] for task in tasks]}
        with atomic(folder / INDEX) as temporary:
            temporary.write_text(json.dumps(index, indent=1))
    return Bench.read(folder)


def _name(change: str, number: int, side: int) -> str:
    return f"{change}-{number:03d}-{'ab'[side]}"


def _write(folder: Path, spec: ClipSpec, seed: int, task: tuple[str, int, int]) -> dict[str, Any]:
    """Render one clip, unless its files are there; returns its entry of the index."""
    change, number, side = task
    name = _name(*task)
    clip, truth = render(pair(change, number, spec, seed).scenes[side], spec)
    video, audio = folder / "videos" / f"{name}.mp4", folder / "truth" / f"{name}.wav"
    if not video.is_file():
        media.write(clip.without_audio(), video)
    if not audio.is_file():
        media.write(replace(clip, frames=None), audio)
    hits = [round(contact.arrival, 4) for contact in truth.contacts]
    return {
        "name": name, "change": change, "pair": number, "side": side, "caption": truth.caption, "hits": hits,
    }  # fmt: skip
