"""A folder of videos -> NAME.captions.json beside each: captions by style of consecutive spans."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from avsim import media
from avsim.captioning.captioners import Captioner
from avsim.captioning.report import Captioned, captions_of, log
from avsim.clip import Clip
from avsim.data.captions import STYLED
from avsim.data.resuming import kept_result
from avsim.data.shards import write_json
from avsim.data.videos import find_videos
from avsim.data.workers import bar
from avsim.errors import InputError
from avsim.seeds import derive

SHORT_SIDE = 256  # pixels, that frames are scaled down to
FASTEST = 30.0  # frames per second


def caption_folder(
    folder: str | Path, captioner: Captioner, name: str, seconds: float = 2.0, seed: int = 0
) -> Captioned:
    """Caption spans of `seconds` of each video; a video that has captions of the captioner `name` keeps them.

    A video of which no span can be captioned is passed over; so is one that can't be read, and one that
    differs from another in its suffix alone: both would have the same file of captions.

    Raises:
        InputError: no videos there, or none that could be captioned.
    """
    made = Captioned()
    owners: dict[Path, Path] = {}  # by their files of captions
    settings = {"captioner": name, "seconds": seconds, "seed": seed}
    with bar() as progress:
        for path in progress.track(find_videos([folder]), description="videos"):
            owner = owners.setdefault(path.with_suffix(STYLED), path)
            if owner != path:
                made.passed_over[str(path)] = f"{owner.name} has a file of captions of this name; rename one"
                continue
            kept = kept_result(path.with_suffix(STYLED))
            if isinstance(kept, dict) and all(kept.get(key) == value for key, value in settings.items()):
                made.kept += 1
                continue
            try:
                spans = _spans(path, captioner, seconds, seed)
            except InputError as error:
                made.passed_over[str(path)] = str(error).removeprefix(f"{path}: ")
                continue
            except Exception as error:  # one video, whatever is wrong with it, never ends the job
                made.passed_over[str(path)] = f"unreadable ({type(error).__name__}: {error})"
                continue
            write_json(path.with_suffix(STYLED), {**settings, "captions": spans})
            made.written += 1
    return made.check()


def _spans(path: Path, captioner: Captioner, seconds: float, seed: int) -> list[dict[str, Any]]:
    """The captions of a video's spans; what is left at its end belongs to the last one if it is short.

    Raises:
        InputError: no span of it could be captioned.
    """
    info = media.probe(path)
    if not info.has_frames:
        raise InputError("has no video")
    if info.frames_per_second is not None and seconds * info.frames_per_second < 1:
        raise InputError(f"spans of {seconds:g} s are shorter than a frame")
    count = max(1, round(info.seconds / seconds))
    edges = [min(index * seconds, info.seconds) for index in range(count)] + [info.seconds]
    spans: list[dict[str, Any]] = []
    failures: list[str] = []
    for index in range(count):
        start, end = edges[index : index + 2]
        try:
            clip = _read(path, info, start, end - start)
            styles = captions_of(captioner, clip, derive(seed, path.name, index))
        except InputError as error:
            failures.append(str(error))
            continue
        spans.append({"start": start, "end": end, "styles": styles})
    if not spans:
        raise InputError(failures[0])
    if failures:
        log.warning("%s: %d of %d spans have no captions (%s)", path, len(failures), count, failures[0])
    return spans


def _read(path: Path, info: media.Info, start: float, seconds: float) -> Clip:
    """A span, scaled down."""
    assert info.size is not None and info.frames_per_second is not None
    scale = min(1.0, SHORT_SIDE / min(info.size))
    size = math.ceil(info.size[0] * scale), math.ceil(info.size[1] * scale)
    return media.read(path, start, seconds, size, min(info.frames_per_second, FASTEST))
