"""Where a video cuts, by PySceneDetect, one segment of the video at a time."""

from __future__ import annotations

import logging
from pathlib import Path

from avsim.errors import InputError
from avsim.media.opening import opened

SEGMENT = 60.0  # seconds of video searched by one task
CERTAIN = 45.0  # mean change of hue, saturation and luminance, 0 to 255; whip pans reach about 35
_RUN_UP = 1.0  # seconds before and after a segment that the detector sees too: its window is a few frames


def segments(seconds: float) -> list[tuple[float, float]]:
    """The spans, each of at most SEGMENT seconds, that make up a video."""
    count = max(1, round(seconds / SEGMENT))
    edges = [seconds * k / count for k in range(count + 1)]
    return list(zip(edges, edges[1:], strict=False))


def cuts(path: Path, start: float, end: float) -> list[float]:
    """The moments within [start, end) at which a new shot begins, in seconds of the video (`media.read`'s).

    Every frame is looked at, at its own time stamp (variable rates are no trouble), at about 256 pixels of
    width. `AdaptiveDetector` compares a frame's change with that of its neighbours, so that fast motion is
    not taken for a cut; a cut between two fast motions is found by `ContentDetector`, at a change that motion
    does not reach. No least length of a shot is set, as a cut that is left out for coming too soon after
    another would end up inside a clip.

    Raises:
        InputError: a video that can't be decoded.
    """
    from scenedetect import AdaptiveDetector, ContentDetector, SceneManager, VideoOpenFailure, open_video

    logging.getLogger("pyscenedetect").setLevel(logging.CRITICAL)  # what it finds amiss is raised or counted
    try:
        late = _picture_starts(path)  # PySceneDetect counts from the first frame, wherever that is
        video = open_video(str(path), backend="pyav", suppress_output=True)
        video.seek(max(0.0, start - late - _RUN_UP))
        manager = SceneManager()
        manager.add_detector(AdaptiveDetector(min_scene_len=1))
        manager.add_detector(ContentDetector(threshold=CERTAIN, min_scene_len=1))
        manager.detect_scenes(video, end_time=max(0.0, end - late + _RUN_UP))
        scenes = manager.get_scene_list()
    except (VideoOpenFailure, OSError, ValueError, AssertionError) as error:
        raise InputError(f"{path}: shots can't be found ({error})") from error
    moments = [scene[0].seconds + late for scene in scenes[1:]]
    return [moment for moment in moments if start <= moment < end]


def _picture_starts(path: Path) -> float:
    """The time of the first frame, in seconds of the video."""
    with opened(path) as file:
        stream = file.stream("video")
        return float((stream.start_time or 0) * stream.time_base) - file.zero
