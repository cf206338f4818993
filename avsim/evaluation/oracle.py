"""What perfect detectors would find in a synthetic clip, as it is and with each corruption.

A metric that does not distinguish its corruptions by these is wrong by design, whatever its detectors. Where
they find the same with a corruption as without it, the clip is left out of a calibration: a mirrored clip
whose one thing is in the center, audio of another material where nothing is struck.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from avsim.clip import Clip
from avsim.evaluation.features import Detectors, Features
from avsim.perception import ground_truth
from avsim.perception.detections import AudioDetections, DetectedThing, Event, VideoDetections
from avsim.perception.ground_truth import OPEN_AIR
from avsim.perception.vocabulary import PLACES
from avsim.world.truth import Truth

NONE = Detectors(onsets=lambda clip: ())


def oracle_features(clip: Clip, truth: Truth) -> Features:
    """All that is clearly visible and audible in a clip, in sync."""
    found = Features(clip, NONE, truth.caption)
    found.view = VideoDetections(
        tuple(moment.what for moment in ground_truth.events(truth, clip.spec) if moment.clear),
        tuple(map(tuple, ground_truth.things(truth, clip.spec))),
        {place: float(place == truth.place) for place in PLACES},
    )
    _hears(found, truth, clip.sample_rate)
    if found.onsets and found.view.events:
        found.offset = 0.0
    return found


def with_corruption(
    found: Features, clip: Clip, corruption: str, truth: Truth | None, other: Features | None
) -> Features:
    """What is visible and audible in a corrupted clip.

    Args:
        found: features of the clip as it is.
        clip: the corrupted clip.
        corruption: its name, see `avsim.evaluation.corruptions`.
        truth: of the scene that it sounds like now, where it is another.
        other: what is in the other clip, of which some corruptions take a part.
    """
    new = Features(clip, NONE, found.caption)
    new.view, new.onsets, new.heard = found.view, found.onsets, found.heard
    if "offset" in vars(found):
        new.offset = found.offset
    if truth is not None:
        _hears(new, truth, clip.sample_rate)
    elif corruption.startswith("shifted by"):
        _late(new, float(corruption.split()[2]) / 1000)
    elif corruption == "mirrored":
        new.view = _mirrored(found.view)
    elif corruption == "silenced":
        new.onsets = ()
        new.heard = AudioDetections(
            dict.fromkeys(found.heard.kinds, 0.0),
            dict.fromkeys(found.heard.materials, 0.0),
            dict.fromkeys(PLACES, 1 / len(PLACES)),
            OPEN_AIR,
        )
    elif other is not None and corruption == "shuffled":
        new.onsets = [onset for onset in other.onsets if onset.seconds < clip.seconds]
        new.heard = other.heard
        vars(new).pop("offset", None)  # unrelated video and audio have none
    elif other is not None and corruption == "spliced":
        new.view = _spliced(found.view, other.view, clip.frames_per_second)
    elif other is not None and corruption == "another's caption":
        new.caption = other.caption
    return new


def _hears(found: Features, truth: Truth, sample_rate: int) -> None:
    found.onsets = [moment.what for moment in ground_truth.onsets(truth, sample_rate) if moment.clear]
    found.heard = ground_truth.audio_content(truth, sample_rate)


def _late(found: Features, seconds: float) -> None:
    """The audio is rotated in time."""
    length = found.clip.seconds
    moved = [replace(onset, seconds=(onset.seconds + seconds) % length) for onset in found.onsets]
    found.onsets = sorted(moved, key=lambda onset: onset.seconds)
    if "offset" in vars(found):
        found.offset += seconds


def _mirrored(view: VideoDetections) -> VideoDetections:
    def across(what: Sequence) -> tuple:
        return tuple(replace(one, x=1 - one.x) for one in what)

    return VideoDetections(across(view.events), tuple(across(frame) for frame in view.things), view.places)


def _spliced(view: VideoDetections, other: VideoDetections, frames_per_second: float) -> VideoDetections:
    """The middle third of the frames shows the other clip's."""
    count = len(view.things)
    first, last = count // 3, 2 * count // 3
    span = len(other.things)
    middle: list[tuple[DetectedThing, ...]] = [
        other.things[min(k * span // count, span - 1)] for k in range(first, last)
    ]
    start, end = first / frames_per_second, last / frames_per_second
    events: list[Event] = [event for event in view.events if not start <= event.seconds < end]
    events += [event for event in other.events if start <= event.seconds < end]
    return VideoDetections(
        tuple(sorted(events, key=lambda event: event.seconds)),
        (*view.things[:first], *middle, *view.things[last:]),
        view.places,
    )
