"""The clips of `avsim prepare` -> the same shards, with captions by style in their index."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from avsim.captioning.captioners import Captioner
from avsim.captioning.report import Captioned, captions_of
from avsim.clip import Clip, ClipSpec
from avsim.data.captions import check_styles
from avsim.data.resuming import PARTS, kept_result
from avsim.data.shards import INDEX, ShardFolder, from_int16, from_uint8, write_json
from avsim.data.workers import bar
from avsim.errors import InputError
from avsim.files import claimed
from avsim.seeds import derive

CHUNK = 64  # clips between two writes: the most that a kill can lose


def caption_shards(folder: str | Path, captioner: Captioner, name: str, seed: int = 0) -> Captioned:
    """Caption each clip of a folder of shards; clips with captions of the captioner `name` keep them.

    What is found is kept in FOLDER/parts every `CHUNK` clips, and all of it enters the index at the end. A
    clip without a caption of its own gets the first style's. Clips that can't be read or captioned are passed
    over, and keep the captions that they have.

    Raises:
        InputError: no shards of clips there, another process writes there, or none could be captioned.
    """
    shards = ShardFolder.open(folder, "clips")
    spec, made = ClipSpec(**shards.index["spec"]), Captioned()
    items: list[dict[str, Any]] = shards.index["items"]
    settings = {"captioner": name, "seed": seed}
    with claimed(folder), bar() as progress:
        for first in progress.track(range(0, len(items), CHUNK), description="clips"):
            some = items[first : first + CHUNK]
            kept = Path(folder) / PARTS / f"captions-{first:08d}.json"
            found = _kept(kept, settings, some)
            before = len(found)
            for item in some:
                if item["name"] in found:
                    continue
                try:
                    clip = _read(shards, item, spec)
                    found[item["name"]] = captions_of(captioner, clip, derive(seed, item["name"]))
                except InputError as error:
                    made.passed_over[item["name"]] = str(error)
            made.kept += before
            made.written += len(found) - before
            if len(found) > before:
                write_json(kept, {**settings, "captions": found})
            for item in some:
                if item["name"] in found:
                    item["styles"] = found[item["name"]]
                    item["caption"] = item["caption"] or next(iter(item["styles"].values()))
        made.check()
        write_json(Path(folder) / INDEX, shards.index)
    return made


def _kept(path: Path, settings: dict[str, Any], items: list[dict[str, Any]]) -> dict[str, dict[str, str]]:
    """The captions of an earlier run with the same settings, by the names of clips."""
    found = kept_result(path)
    if not isinstance(found, dict) or any(found.get(name) != value for name, value in settings.items()):
        return {}
    names, captions = {item["name"] for item in items}, found.get("captions")
    try:
        return {name: check_styles(each) for name, each in dict(captions).items() if name in names}  # type: ignore
    except (TypeError, ValueError):
        return {}


def _read(shards: ShardFolder, item: dict[str, Any], spec: ClipSpec) -> Clip:
    """A clip as it is stored."""
    stored = shards.read(item, ("frames", "wave"))
    frames, wave = from_uint8(stored["frames"]), from_int16(stored["wave"])
    return Clip(frames, wave, spec.frames_per_second, spec.sample_rate)
