"""Videos -> shards of clips, none of which straddles a cut.

Three rounds of tasks in a few processes: who each video is, where it cuts, and its clips. What a task found
is kept in FOLDER/parts as soon as it is known, so that a run that was killed goes on where it stopped.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from avsim import media
from avsim.clip import Clip, ClipSpec, samples_of
from avsim.data import filters, shots
from avsim.data.captions import Captions
from avsim.data.published import Split
from avsim.data.resuming import PARTS, check_settings, holds, kept_result
from avsim.data.shards import SHARDS, to_int16, to_uint8, write_index, write_json, write_shard
from avsim.data.splits import assign
from avsim.data.videos import find_videos, identity
from avsim.data.workers import Crashed, run_all
from avsim.errors import InputError
from avsim.files import claimed

log = logging.getLogger("avsim")
PART_SECONDS, PART_BYTES = 10.0, 96 << 20  # most that a task reads at once, and so most that a kill can lose


@dataclass(frozen=True)
class Prepared:
    """What `prepare` made."""

    clips: dict[str, int]  # in each split
    dropped: dict[str, int]  # clips (and shots that are too short for one) by reason
    passed_over: dict[str, str]  # videos without a clip that can be used, and why
    videos: int  # with clips
    shots: int
    uncaptioned: int = 0  # clips


@dataclass(frozen=True)
class _Video:
    """A video in hand: `end` is the last moment at which both its video and its frames' spans are there."""

    path: Path
    id: str
    end: float
    margin: float  # seconds kept away from a cut: one of the video's own frames
    captions: Captions


@dataclass(frozen=True)
class _Segment:
    video: _Video
    start: float
    end: float
    kept: Path  # where its cuts are written


@dataclass(frozen=True)
class _Part:
    """Clips of one video that are read at once: (shot, first frame on the video's grid)."""

    video: _Video
    places: tuple[tuple[int, int], ...]
    spec: ClipSpec
    shard: Path
    kept: Path


def prepare(
    videos: Iterable[str | Path],
    out: str | Path,
    spec: ClipSpec,
    *,
    stride: float | None = None,
    jobs: int = 1,
    seed: int = 0,
    validation: float = 0.1,
    test: float = 0.1,
    split_file: str | Path | None = None,
) -> Prepared:
    """Cut videos into clips of `spec`, one every `stride` seconds of a shot; write shards of them to `out`.

    Clips are dropped where they are black, frozen, silent or unreadable; videos without video or audio, and
    videos that can't be read at all, are passed over. Splits go by video, or by shot where there are fewer
    videos than splits; or as a `split_file` of `avsim split` says, which also has captions, and videos that
    it lacks are passed over.

    Raises:
        InputError: no videos, `out` holds clips of other settings or can't be written, nothing left over.
    """
    stride = spec.seconds if stride is None else stride
    if not (math.isfinite(stride) and stride > 0):
        raise InputError(f"stride is {stride}; it must be a positive number of seconds")
    if jobs < 1:
        raise InputError(f"jobs is {jobs}; it must be at least 1")
    assign({}, seed, validation, test)  # refuses impossible shares before any work
    listed = None if split_file is None else Split.read(split_file)
    paths = find_videos(videos)
    with claimed(out) as folder:
        usable, passed_over = _survey(paths, jobs)
        if listed is not None:
            usable, left_out = _listed(usable, listed, str(split_file))
            passed_over |= left_out
        if not usable:
            raise InputError(f"no video to prepare: {'; '.join(passed_over.values())}")
        check_settings(folder, {"spec": asdict(spec), "stride": stride})
        cuts, failed = _find_cuts(folder, usable, jobs)
        passed_over |= failed
        usable = [video for video in usable if video.id in cuts]
        dropped_of: dict[str, Counter[str]] = {}  # by video
        parts, shot_count = [], 0
        for video in usable:
            places, short, count = _places(video, cuts[video.id], spec, stride)
            dropped_of[video.id] = Counter({filters.SHORT: short})
            shot_count += count
            parts += _parts(folder, video, places, spec)
        found = _cut_clips(parts, jobs)
        for part, kept in zip(parts, found, strict=True):
            dropped_of[part.video.id].update(kept["dropped"])
        dropped = sum(dropped_of.values(), Counter())
        items = sorted(
            (item for kept in found for item in kept["items"]),
            key=lambda item: (item["video"], item["start"]),
        )
        yielding = {item["video"] for item in items}
        for video in usable:
            if video.id not in yielding:
                why = _counts(dropped_of[video.id])
                passed_over[str(video.path)] = f"{video.path}: no clip is left ({why})"
        wanted = 1 + (validation > 0) + (test > 0)  # splits
        by_video = len(yielding) >= max(2, wanted)
        video_of = {video.id: video for video in usable}
        for item in items:
            video = video_of[item["video"]]
            item["name"] = f"{video.path.stem}@{item['start']:.3f}"
            item["group"] = f"{video.id}/{item['shot']}"
            item["caption"] = video.captions.at(item["start"], spec.seconds)
            if styles := video.captions.styles_at(item["start"], spec.seconds):
                item["styles"] = styles
        sizes = Counter(item["video" if by_video else "group"] for item in items)
        split = assign(sizes, seed, validation, test)
        for item in items:
            assigned = None if listed is None else listed.find(video_of[item["video"]].path.stem)
            item["split"] = assigned[0] if assigned else split[item["video" if by_video else "group"]]
        counts = Counter(item["split"] for item in items)
        about: dict[str, Any] = {
            "spec": asdict(spec),
            "stride": stride,
            "seed": seed,
            "split_by": str(split_file) if listed is not None else "video" if by_video else "shot",
            "split_sha256": None if listed is None else listed.hashes,
            "videos": {video.id: video.path.name for video in usable},
            "dropped": dict(dropped),
            "passed_over": passed_over,
        }
        if not items:
            why = "; ".join(passed_over.values())
            raise InputError(f"no clip of {spec.seconds:g} s is left of {len(paths)} videos: {why}")
        write_index(folder, "clips", about, items)
    missing = sum(not item["caption"] for item in items)
    return Prepared(dict(counts), about["dropped"], passed_over, len(yielding), shot_count, missing)


def _counts(dropped: Counter[str]) -> str:
    return ", ".join(f"{reason}: {count}" for reason, count in dropped.items() if count) or "too short"


# Round 1: who is who -----------------------------------------------------------------------------------


def _survey(paths: list[Path], jobs: int) -> tuple[list[_Video], dict[str, str]]:
    usable: dict[str, _Video] = {}
    passed_over: dict[str, str] = {}
    found = dict(run_all(_examine, paths, jobs, "videos"))
    for path in paths:  # in the order given, so that of two copies the first is taken
        video = found[path]
        if isinstance(video, Crashed):
            passed_over[str(path)] = f"{path}: {filters.UNREADABLE} (the decoder crashed)"
        elif isinstance(video, str):
            passed_over[str(path)] = video
        elif video.id in usable:
            passed_over[str(path)] = f"{path}: is a copy of {usable[video.id].path}"
        else:
            usable[video.id] = video
    return list(usable.values()), passed_over


def _listed(videos: list[_Video], split: Split, where: str) -> tuple[list[_Video], dict[str, str]]:
    """The videos that are in a split, with its captions where they have none; and why not the others."""
    chosen, left_out = [], {}
    for video in videos:
        found = split.find(video.path.stem)
        if found is None:
            left_out[str(video.path)] = f"{video.path}: is not in the split {where}"
            continue
        spans = tuple((*(entry.span or (0.0, math.inf)), entry.label) for entry in found[1])
        chosen.append(
            video if video.captions.spans else replace(video, captions=replace(video.captions, spans=spans))
        )
    return chosen, left_out


def _examine(path: Path) -> _Video | str:
    try:
        info = media.probe(path)
        if not info.has_frames:
            return f"{path}: {filters.NO_VIDEO}"
        if not info.has_wave:
            return f"{path}: {filters.NO_AUDIO}"
        ends = [end for end in (info.video_seconds, info.audio_seconds) if end is not None]
        margin = 1 / info.frames_per_second if info.frames_per_second else 0.0
        return _Video(path, identity(path), min(ends), margin, Captions.beside(path))
    except InputError as error:
        return str(error)
    except OSError as error:
        return f"{path}: {filters.UNREADABLE} ({error.strerror})"
    except Exception as error:  # one video, whatever is wrong with it, never ends the job
        return _unforeseen(path, error)


def _unforeseen(path: Path, error: Exception) -> str:
    return f"{path}: {filters.UNREADABLE} ({type(error).__name__}: {error})"


# Round 2: where it cuts --------------------------------------------------------------------------------


def _find_cuts(
    folder: Path, videos: list[_Video], jobs: int
) -> tuple[dict[str, list[float]], dict[str, str]]:
    tasks = [
        _Segment(video, start, end, folder / PARTS / video.id / f"cuts-{k:04d}.json")
        for video in videos
        for k, (start, end) in enumerate(shots.segments(video.end))
    ]
    failed: dict[str, str] = {}
    cuts: dict[str, list[float]] = {video.id: [] for video in videos}
    for task, result in _resumed(_search, tasks, jobs, "shots"):
        if isinstance(result, Crashed):
            result = {"cuts": [], "failed": f"{task.video.path}: {filters.UNREADABLE} (the decoder crashed)"}
        if "failed" in result:
            failed[str(task.video.path)] = result["failed"]
            cuts.pop(task.video.id, None)
        elif task.video.id in cuts:
            cuts[task.video.id] += result["cuts"]
    return {name: sorted(moments) for name, moments in cuts.items()}, failed


def _search(task: _Segment) -> dict[str, Any]:
    try:
        result: dict[str, Any] = {"cuts": shots.cuts(task.video.path, task.start, task.end)}
    except InputError as error:
        return {"failed": str(error)}
    except Exception as error:
        return {"failed": _unforeseen(task.video.path, error)}
    write_json(task.kept, result)
    return result


# Round 3: the clips ------------------------------------------------------------------------------------


def _places(
    video: _Video, cuts: list[float], spec: ClipSpec, stride: float
) -> tuple[list[tuple[int, int]], int, int]:
    """(shot, first frame) of every clip, how many shots are too short for one, and how many there are.

    Clips start on the video's grid of frames of the spec's rate, so that neighbours can be read at once.
    """
    places: list[tuple[int, int]] = []
    short = 0
    rate, step = spec.frames_per_second, max(1, round(stride * spec.frames_per_second))
    edges = [0.0, *cuts, video.end]
    for shot, (begin, end) in enumerate(zip(edges, edges[1:], strict=False)):
        first = math.ceil((begin + video.margin * (shot > 0)) * rate - 1e-6)
        last = math.floor((end - video.margin * (shot < len(cuts))) * rate + 1e-6) - spec.frames
        places += [(shot, frame) for frame in range(first, last + 1, step)]
        short += last < first
    return places, short, len(edges) - 1


def _parts(folder: Path, video: _Video, places: list[tuple[int, int]], spec: ClipSpec) -> list[_Part]:
    """Runs of neighbouring clips: as many as are read at once without much memory."""
    frame_bytes = 3 * spec.height * spec.width * 4  # a float32 frame
    reach = min(PART_SECONDS * spec.frames_per_second, PART_BYTES / frame_bytes)  # frames
    runs: list[list[tuple[int, int]]] = []
    for place in places:
        if not runs or place[1] + spec.frames - runs[-1][0][1] > max(reach, spec.frames):
            runs.append([])
        runs[-1].append(place)
    parts = []
    for run in runs:
        name = f"{video.id}-{run[0][1]:08d}"
        kept = folder / PARTS / video.id / f"clips-{run[0][1]:08d}.json"
        parts.append(_Part(video, tuple(run), spec, folder / SHARDS / f"{name}.safetensors", kept))
    return parts


def _cut_clips(parts: list[_Part], jobs: int) -> list[dict[str, Any]]:
    found = []
    for part, result in _resumed(_cut, parts, jobs, "clips"):
        if isinstance(result, Crashed):
            result = {"items": [], "dropped": {filters.UNREADABLE: len(part.places)}}
        found.append(result)
    return found


def _cut(part: _Part) -> dict[str, Any]:
    spec, video = part.spec, part.video
    dropped: Counter[str] = Counter()
    items: list[dict[str, Any]] = []
    stored_frames, stored_waves = [], []
    first, last = part.places[0][1], part.places[-1][1] + spec.frames
    whole = _read(video, first, last - first, spec)
    for shot, frame in part.places:
        clip = (
            _read(video, frame, spec.frames, spec) if whole is None else _window(whole, frame - first, spec)
        )
        if clip is None:
            dropped[filters.UNREADABLE] += 1
            continue
        frames, wave = clip
        try:
            reason = filters.fault(frames, wave)
        except Exception as error:
            log.warning("%s", _unforeseen(video.path, error))
            reason = filters.UNREADABLE
        if reason is not None:
            dropped[reason] += 1
            continue
        start = frame / spec.frames_per_second
        items.append(
            {
                "shard": part.shard.name,
                "row": len(items),
                "video": video.id,
                "shot": shot,
                "start": start,
            }
        )
        stored_frames.append(to_uint8(frames))
        stored_waves.append(to_int16(wave))
    if items:
        write_shard(part.shard, {"frames": torch.stack(stored_frames), "wave": torch.stack(stored_waves)})
    result = {"items": items, "dropped": dict(dropped), "places": list(map(list, part.places))}
    write_json(part.kept, result)
    return result


def _read(video: _Video, first: int, count: int, spec: ClipSpec) -> tuple[Tensor, Tensor] | None:
    """`count` frames of the video's grid and their samples, or None where they can't be read."""
    rate = spec.frames_per_second
    try:
        clip: Clip = media.read(
            video.path, first / rate, count / rate, spec.size, rate, spec.sample_rate, spec.channels, "both"
        )
    except InputError:
        return None
    except Exception as error:  # one video, whatever is wrong with it, never ends the job
        log.warning("%s", _unforeseen(video.path, error))
        return None
    if clip.frames is None or clip.wave is None or clip.frames.shape[1] < count:
        return None
    return clip.frames, clip.wave


def _window(whole: tuple[Tensor, Tensor], first: int, spec: ClipSpec) -> tuple[Tensor, Tensor]:
    frames, wave = whole
    sample = samples_of(first, spec.frames_per_second, spec.sample_rate)
    return frames[:, first : first + spec.frames], wave[:, sample : sample + spec.samples]


# Going on where a run stopped --------------------------------------------------------------------------


def _resumed(
    function: Callable[[Any], dict[str, Any]], tasks: list[Any], jobs: int, label: str
) -> list[tuple[Any, dict[str, Any] | Crashed]]:
    """The results of all tasks, in their order: kept ones are read, the others worked out."""
    results: dict[int, dict[str, Any] | Crashed] = {}
    for index, task in enumerate(tasks):
        if (kept := _kept(task)) is not None:
            results[index] = kept
    waiting = [(index, task) for index, task in enumerate(tasks) if index not in results]
    number = {id(task): index for index, task in waiting}
    for task, result in run_all(function, [task for _, task in waiting], jobs, label):
        results[number[id(task)]] = result
    return [(task, results[index]) for index, task in enumerate(tasks)]


def _kept(task: Any) -> dict[str, Any] | None:
    """What an earlier run found for a task, where it still holds."""
    kept = kept_result(task.kept)
    if isinstance(task, _Part):
        fields = {"items": list, "dropped": dict, "places": list}
        if not holds(kept, fields) or kept["places"] != list(map(list, task.places)):
            return None
        return kept if not kept["items"] or task.shard.exists() else None
    if not holds(kept, {"cuts": list}) or not all(isinstance(cut, int | float) for cut in kept["cuts"]):
        return None
    return kept
