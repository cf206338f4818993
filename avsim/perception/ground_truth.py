"""The truth of a world's clip in the detectors' own words: what a perfect detector would find.

The caller decides about faint ones: `clear` marks the others.
"""

import math
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor

from avsim.clip import OFF_SCREEN, ClipSpec
from avsim.perception.detections import AudioDetections, DetectedThing, Event, Onset
from avsim.perception.vocabulary import KINDS, MATERIALS, NOTHING, PLACES
from avsim.world.sound.listener import DISTANCE, SOUND_SPEED
from avsim.world.truth import Truth

ATTACK = 0.06  # s, over which an onset's level is taken
SLOWEST = 0.5  # m/s: slower contacts are too faint
FAINTEST = -50.0  # dB of full scale
MASKED = -15.0  # dB, of an onset against all that sounds with it
OPEN_AIR = 0.05  # s, the reverberation time that stands for none
ONSETS_APART = 0.05  # s: what sounds sooner after a clear onset isn't labeled
EVENTS_APART = 0.1  # s: nor what the same thing does sooner after a clear event
LEAST = 0.25  # share of a thing's width and height that must be seen


What = TypeVar("What", Onset, Event)


@dataclass(frozen=True)
class Moment(Generic[What]):
    """An audible or visible event, and whether it is clear enough to be labeled."""

    what: What
    clear: bool


def onsets(truth: Truth, sample_rate: int = 16000) -> list[Moment[Onset]]:
    """Every contact and every note at its time at the listener, in order."""
    mixture = torch.stack(list(truth.stems.values())).sum(0)  # (A, N)
    end = mixture.shape[-1] / sample_rate
    kinds = {thing.name: (thing.kind, thing.material) for thing in truth.things}
    sounding = [
        (contact.arrival, contact.things[0], contact.speed >= SLOWEST) for contact in truth.contacts
    ] + [
        (note.seconds + DISTANCE / SOUND_SPEED, score.thing, True)
        for score in truth.scores
        for note in score.notes
    ]
    found: list[Moment[Onset]] = []
    last = -math.inf
    for seconds, name, strong in sorted(sounding):
        if seconds >= end:
            continue
        own = _level(truth.stems[name], seconds, sample_rate)
        all_ = _level(mixture, seconds, sample_rate)
        kind, material = kinds.get(name, (NOTHING, NOTHING))  # nothing: it is off screen
        clear = strong and own > FAINTEST and own > all_ + MASKED and seconds < end - ATTACK / 2
        clear = clear and seconds - last > ONSETS_APART
        last = seconds if clear else last
        found.append(Moment(Onset(seconds, own, kind, material, 1.0), clear))
    return found


def _level(wave: Tensor, seconds: float, sample_rate: int) -> float:
    """Root mean square of an attack in dB of full scale, (A, N) -> dB."""
    first = int(seconds * sample_rate)
    attack = wave[:, first : first + math.ceil(ATTACK * sample_rate)]
    return 10 * math.log10(max(float(attack.double().square().mean()) if attack.numel() else 0.0, 1e-12))


def events(truth: Truth, spec: ClipSpec) -> list[Moment[Event]]:
    """Every contact and every onset of a note that is in view, in order of time."""
    kinds = {thing.name: (k, thing.kind, thing.material) for k, thing in enumerate(truth.things)}
    beginnings = [
        (contact.seconds, contact.things[0], (contact.x, contact.y), contact.speed)
        for contact in truth.contacts
    ] + [(note.seconds, score.thing, None, math.nan) for score in truth.scores for note in score.notes]
    found: list[Moment[Event]] = []
    last: dict[str, float] = {}
    for seconds, name, metres, speed in sorted(beginnings, key=lambda each: each[0]):
        frame = int(seconds * spec.frames_per_second)
        if name == OFF_SCREEN or frame >= spec.frames:
            continue
        number, kind, material = kinds[name]
        shown = truth.masks[number, frame]
        if metres is None:
            place = _middle(truth.amodal[number, frame])
        else:
            x, y, height = truth.camera[frame].tolist()
            place = (
                0.5 + (metres[0] - x) / height * spec.height / spec.width,
                0.5 - (metres[1] - y) / height,
            )
        if place is None or not (0 <= place[0] < 1 and 0 <= place[1] < 1):
            continue
        clear = not speed < SLOWEST and _shown(shown, truth.amodal[number, frame])
        clear = clear and seconds - last.get(name, -math.inf) > EVENTS_APART
        last[name] = seconds if clear else last.get(name, -math.inf)
        found.append(Moment(Event(seconds, *place, kind, material, 1.0, speed), clear))
    return found


def things(truth: Truth, spec: ClipSpec) -> list[list[DetectedThing]]:
    """What is seen in each frame; things of which less than a quarter shows are left out."""
    heights = truth.camera[:, 2].tolist()
    frames = []
    for frame, seconds in enumerate(spec.frame_seconds().tolist()):
        seen = []
        for number, thing in enumerate(truth.things):
            whole = truth.amodal[number, frame]
            place = _middle(whole)
            if place is not None and _shown(truth.masks[number, frame], whole):
                size = thing.metres / heights[frame]
                seen.append(
                    DetectedThing(seconds, *place, thing.kind, thing.material, thing.colour, size, 1.0)
                )
        frames.append(seen)
    return frames


def _middle(mask: Tensor) -> tuple[float, float] | None:
    """Centre of mass of a mask (H, W) as shares of the video, or None for an empty one."""
    total = float(mask.sum())
    if total < 1.0:  # a pixel
        return None
    rows, columns = (torch.arange(size) + 0.5 for size in mask.shape)
    x, y = float((mask.sum(0) * columns).sum()), float((mask.sum(1) * rows).sum())
    return x / total / mask.shape[1], y / total / mask.shape[0]


def _shown(mask: Tensor, whole: Tensor) -> bool:
    """Whether enough of a thing can be seen."""
    return float(mask.sum()) >= max(1.0, LEAST * float(whole.sum()))


def audio_content(truth: Truth, sample_rate: int = 16000) -> AudioDetections:
    """What sounds clearly, where."""
    clear = [moment.what for moment in onsets(truth, sample_rate) if moment.clear]
    kinds, materials = {each.kind for each in clear}, {each.material for each in clear}
    return AudioDetections(
        {kind: float(kind in kinds) for kind in KINDS[1:]},
        {material: float(material in materials) for material in MATERIALS[1:]},
        {place: float(place == truth.place) for place in PLACES},
        max(truth.rt60, OPEN_AIR),
    )
