"""What perfect detectors would find in a clip of the world, as it is and with each lie told about it.

A judge that can't tell its lies from the truth by these is broken by design, whatever detectors it gets. And
where they find the same with a lie as without it, no lie was told: a mirrored clip whose one thing stands in
the middle, a sound of another material where nothing is struck.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from avsim.clip import Clip
from avsim.evaluation.features import Detectors, Evidence
from avsim.perception import ground_truth
from avsim.perception.detections import Event, Heard, Seen, View
from avsim.perception.ground_truth import OPEN_AIR
from avsim.perception.vocabulary import PLACES
from avsim.world.truth import Truth

NONE = Detectors(onsets=lambda clip: ())


def perceived(clip: Clip, truth: Truth) -> Evidence:
    """All that is clearly there to be seen and heard in a clip; in time, where something is both."""
    found = Evidence(clip, NONE, truth.caption)
    found.view = View(
        tuple(moment.what for moment in ground_truth.events(truth, clip.spec) if moment.clear),
        tuple(map(tuple, ground_truth.things(truth, clip.spec))),
        {place: float(place == truth.place) for place in PLACES},
    )
    _hears(found, truth, clip.sample_rate)
    if found.onsets and found.view.events:
        found.offset = 0.0
    return found


def with_lie(found: Evidence, clip: Clip, lie: str, truth: Truth | None, other: Evidence | None) -> Evidence:
    """What is there to be seen and heard once a lie was told.

    Args:
        found: in the clip as it is.
        clip: with the lie.
        lie: its name, see `avsim.evaluation.corruptions`.
        truth: of the scene that it sounds like now, where it is another.
        other: what is in the other clip, of which some lies take a part.
    """
    new = Evidence(clip, NONE, found.caption)
    new.view, new.onsets, new.heard = found.view, found.onsets, found.heard
    if "offset" in vars(found):
        new.offset = found.offset
    if truth is not None:
        _hears(new, truth, clip.sample_rate)
    elif lie.startswith("shifted by"):
        _late(new, float(lie.split()[2]) / 1000)
    elif lie == "mirrored":
        new.view = _mirrored(found.view)
    elif lie == "silenced":
        new.onsets = ()
        new.heard = Heard(
            dict.fromkeys(found.heard.kinds, 0.0),
            dict.fromkeys(found.heard.materials, 0.0),
            dict.fromkeys(PLACES, 1 / len(PLACES)),
            OPEN_AIR,
        )
    elif other is not None and lie == "shuffled":
        new.onsets = [onset for onset in other.onsets if onset.seconds < clip.seconds]
        new.heard = other.heard
        vars(new).pop("offset", None)  # between picture and sound that don't belong together there is none
    elif other is not None and lie == "spliced":
        new.view = _spliced(found.view, other.view, clip.frames_per_second)
    elif other is not None and lie == "another's caption":
        new.caption = other.caption
    return new


def _hears(found: Evidence, truth: Truth, sample_rate: int) -> None:
    found.onsets = [moment.what for moment in ground_truth.onsets(truth, sample_rate) if moment.clear]
    found.heard = ground_truth.heard(truth, sample_rate)


def _late(found: Evidence, seconds: float) -> None:
    """The sound comes later, and its end is heard at the beginning."""
    length = found.clip.seconds
    moved = [replace(onset, seconds=(onset.seconds + seconds) % length) for onset in found.onsets]
    found.onsets = sorted(moved, key=lambda onset: onset.seconds)
    if "offset" in vars(found):
        found.offset += seconds


def _mirrored(view: View) -> View:
    def across(what: Sequence) -> tuple:
        return tuple(replace(one, x=1 - one.x) for one in what)

    return View(across(view.events), tuple(across(frame) for frame in view.things), view.places)


def _spliced(view: View, other: View, frames_per_second: float) -> View:
    """The middle third of the frames shows the other clip's."""
    count = len(view.things)
    first, last = count // 3, 2 * count // 3
    span = len(other.things)
    middle: list[tuple[Seen, ...]] = [
        other.things[min(k * span // count, span - 1)] for k in range(first, last)
    ]
    start, end = first / frames_per_second, last / frames_per_second
    events: list[Event] = [event for event in view.events if not start <= event.seconds < end]
    events += [event for event in other.events if start <= event.seconds < end]
    return View(
        tuple(sorted(events, key=lambda event: event.seconds)),
        (*view.things[:first], *middle, *view.things[last:]),
        view.places,
    )
