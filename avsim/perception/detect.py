"""Clips in, plain findings out: what the detectors decide. Any size and rates; each clip by itself."""

import math

import torch
from torch import Tensor

from avsim.clip import Clip
from avsim.devices import quickest
from avsim.errors import InputError
from avsim.perception.audio_detector import AudioPrediction, SoundDetector
from avsim.perception.detections import Event, Heard, Onset, Seen, View
from avsim.perception.peaks import centred, peaks, thing_near
from avsim.perception.video_detector import PictureDetector, Sight
from avsim.perception.vocabulary import COLOURS, INSTRUMENTS, KINDS, MATERIALS, PLACES

ONSETS_APART = 4.0  # columns, 40 ms
EVENTS_APART = (1.5, 3.0, 3.0)  # frames and cells
THINGS_APART = (1.0, 1.0)  # cells


def onsets(detector: SoundDetector, clip: Clip, threshold: float | None = None) -> list[Onset]:
    """What begins to sound when, in order of time.

    Args:
        detector: which hears.
        clip: with sound.
        threshold: least probability; None: the one that validation found best.

    Raises:
        InputError: the clip has no sound.
    """
    least = float(detector.onset_threshold) if threshold is None else threshold
    return sorted(begun(listened(detector, clip), detector, least), key=lambda onset: onset.seconds)


def heard(detector: SoundDetector, clip: Clip) -> Heard:
    """What the whole clip sounds like.

    Raises:
        InputError: the clip has no sound.
    """
    predicted = listened(detector, clip)
    return Heard(
        _named(predicted.kinds[0].float().sigmoid(), KINDS[1:]),
        _named(predicted.materials[0].float().sigmoid(), MATERIALS[1:]),
        _named(predicted.place[0].float().softmax(0), PLACES),
        2.0 ** float(predicted.decay[0]),
    )


def events(detector: PictureDetector, clip: Clip, threshold: float | None = None) -> list[Event]:
    """What is seen to touch, to be struck or to begin a note, in order of time.

    Raises:
        InputError: the clip has no picture.
    """
    least = float(detector.event_threshold) if threshold is None else threshold
    return sorted(happened(looked(detector, clip), detector, least), key=lambda event: event.seconds)


def things(detector: PictureDetector, clip: Clip, threshold: float | None = None) -> list[list[Seen]]:
    """What is seen in each of the clip's frames, likeliest first.

    Raises:
        InputError: the clip has no picture.
    """
    return _over_frames(detector, looked(detector, clip), clip, threshold)


def places(detector: PictureDetector, clip: Clip) -> dict[str, float]:
    """How likely each place is what is seen; they add up to 1.

    Raises:
        InputError: the clip has no picture.
    """
    return _named(looked(detector, clip).place[0].float().softmax(0), PLACES)


def view(detector: PictureDetector, clip: Clip) -> View:
    """Events, things and places, looked at once.

    Raises:
        InputError: the clip has no picture.
    """
    sight = looked(detector, clip)
    found = happened(sight, detector, float(detector.event_threshold))
    return View(
        tuple(sorted(found, key=lambda event: event.seconds)),
        tuple(tuple(each) for each in _over_frames(detector, sight, clip, None)),
        _named(sight.place[0].float().softmax(0), PLACES),
    )


def _over_frames(
    detector: PictureDetector, sight: Sight, clip: Clip, threshold: float | None
) -> list[list[Seen]]:
    """The things of each of the clip's frames: of the grid's frame at its middle."""
    least = float(detector.thing_threshold) if threshold is None else threshold
    found = [present(sight, frame, least) for frame in range(sight.centre.shape[1])]
    rate, last = detector.grid.frames_per_second, len(found) - 1
    seconds = clip.spec.frame_seconds().tolist()
    return [[_at(moment, seen) for seen in found[min(int(moment * rate), last)]] for moment in seconds]


@torch.no_grad()
def listened(detector: SoundDetector, clip: Clip) -> AudioPrediction:
    """What the detector says of a clip's sound, a batch of one."""
    if clip.wave is None:
        raise InputError("onsets need a clip with sound; its wave is None")
    device = detector.melody.device
    with quickest(device):
        return detector(detector.grid.hear(clip.wave[None].to(device), clip.sample_rate))


@torch.no_grad()
def looked(detector: PictureDetector, clip: Clip) -> Sight:
    """What the detector says of a clip's picture, a batch of one."""
    if clip.frames is None:
        raise InputError("events and things need a clip with a picture; its frames are None")
    device = detector.event_threshold.device
    with quickest(device):
        return detector(detector.grid.see(clip.frames[None].to(device), clip.frames_per_second))


def begun(predicted: AudioPrediction, detector: SoundDetector, least: float, row: int = 0) -> list[Onset]:
    """The onsets of one clip of a batch, likeliest first."""
    heat = predicted.onset[row].float().sigmoid()  # (F,)
    found = []
    for (column,) in peaks(heat, least, (ONSETS_APART,)).tolist():
        kind = KINDS[1 + int(predicted.kind[row, column, 1:].argmax())]
        material = MATERIALS[int(predicted.material[row, column].argmax())]
        seconds = (column + 0.5) / detector.grid.columns_per_second
        level = float(predicted.level[row, column])
        found.append(Onset(seconds, level, kind, material, float(heat[column])))
    return found


def happened(sight: Sight, detector: PictureDetector, least: float, row: int = 0) -> list[Event]:
    """The events of one clip of a batch, likeliest first."""
    heat = sight.event[row].float().sigmoid()  # (T, h, w)
    found = []
    for place in peaks(heat, least, EVENTS_APART).tolist():
        at, frame = (row, *place), place[0]
        x, y = centred(heat[frame], *place[1:])
        seconds = (frame + 0.5 + float(sight.moment[at])) / detector.grid.frames_per_second
        at = (row, frame, *thing_near(sight.kind[row, frame], *place[1:]))
        kind = KINDS[1 + int(sight.kind[at][1:].argmax())]
        material = MATERIALS[int(sight.material[at].argmax())]
        speed = math.nan if kind in INSTRUMENTS else 2.0 ** float(sight.speed[row][tuple(place)])
        found.append(Event(max(seconds, 0.0), x, y, kind, material, float(heat[tuple(place)]), speed))
    return found


def present(sight: Sight, frame: int, least: float, row: int = 0) -> list[Seen]:
    """The things in one of the grid's frames, likeliest first; their seconds are the caller's to say."""
    heat = sight.centre[row, frame].float().sigmoid()  # (h, w)
    found = []
    for place in peaks(heat, least, THINGS_APART).tolist():
        at = (row, frame, *place)
        x, y = centred(heat, *place)
        found.append(
            Seen(
                0.0,
                x,
                y,
                KINDS[1 + int(sight.kind[at][1:].argmax())],
                MATERIALS[int(sight.material[at].argmax())],
                COLOURS[int(sight.colour[at].argmax())],
                2.0 ** float(sight.size[at]),
                float(heat[tuple(place)]),
            )
        )
    return found


def _at(seconds: float, seen: Seen) -> Seen:
    return Seen(seconds, seen.x, seen.y, seen.kind, seen.material, seen.colour, seen.size, seen.probability)


def _named(values: Tensor, names: tuple[str, ...]) -> dict[str, float]:
    return dict(zip(names, values.tolist(), strict=True))
