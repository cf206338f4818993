"""Clips in, plain findings out: what the detectors decide. Any size and rates; each clip by itself."""

import math

import torch
from torch import Tensor

from avsim.clip import Clip
from avsim.devices import autocast_if_faster
from avsim.errors import InputError
from avsim.perception.audio_detector import AudioDetector, AudioPrediction
from avsim.perception.detections import AudioDetections, DetectedThing, Event, Onset, VideoDetections
from avsim.perception.peaks import centred, peaks, thing_near
from avsim.perception.video_detector import VideoDetector, VideoPrediction
from avsim.perception.vocabulary import COLOURS, INSTRUMENTS, KINDS, MATERIALS, PLACES

ONSETS_APART = 4.0  # columns, 40 ms
EVENTS_APART = (1.5, 3.0, 3.0)  # frames and cells
THINGS_APART = (1.0, 1.0)  # cells


def onsets(detector: AudioDetector, clip: Clip, threshold: float | None = None) -> list[Onset]:
    """Onsets, in order of time.

    Args:
        detector: which hears.
        clip: with audio.
        threshold: least probability; None: the one that validation found best.

    Raises:
        InputError: the clip has no audio.
    """
    least = float(detector.onset_threshold) if threshold is None else threshold
    return sorted(
        decode_onsets(predict_audio(detector, clip), detector, least), key=lambda onset: onset.seconds
    )


def audio_content(detector: AudioDetector, clip: Clip) -> AudioDetections:
    """Labels of a whole clip's audio.

    Raises:
        InputError: the clip has no audio.
    """
    predicted = predict_audio(detector, clip)
    return AudioDetections(
        _named(predicted.kinds[0].float().sigmoid(), KINDS[1:]),
        _named(predicted.materials[0].float().sigmoid(), MATERIALS[1:]),
        _named(predicted.place[0].float().softmax(0), PLACES),
        2.0 ** float(predicted.decay[0]),
    )


def events(detector: VideoDetector, clip: Clip, threshold: float | None = None) -> list[Event]:
    """What is seen to touch, to be struck or to begin a note, in order of time.

    Raises:
        InputError: the clip has no video.
    """
    least = float(detector.event_threshold) if threshold is None else threshold
    return sorted(
        decode_events(predict_video(detector, clip), detector, least), key=lambda event: event.seconds
    )


def things(detector: VideoDetector, clip: Clip, threshold: float | None = None) -> list[list[DetectedThing]]:
    """What is seen in each of the clip's frames, likeliest first.

    Raises:
        InputError: the clip has no video.
    """
    return _over_frames(detector, predict_video(detector, clip), clip, threshold)


def places(detector: VideoDetector, clip: Clip) -> dict[str, float]:
    """How likely each place is what is seen; they add up to 1.

    Raises:
        InputError: the clip has no video.
    """
    return _named(predict_video(detector, clip).place[0].float().softmax(0), PLACES)


def detect_video(detector: VideoDetector, clip: Clip) -> VideoDetections:
    """Events, things and places, looked at once.

    Raises:
        InputError: the clip has no video.
    """
    predicted = predict_video(detector, clip)
    found = decode_events(predicted, detector, float(detector.event_threshold))
    return VideoDetections(
        tuple(sorted(found, key=lambda event: event.seconds)),
        tuple(tuple(each) for each in _over_frames(detector, predicted, clip, None)),
        _named(predicted.place[0].float().softmax(0), PLACES),
    )


def _over_frames(
    detector: VideoDetector, predicted: VideoPrediction, clip: Clip, threshold: float | None
) -> list[list[DetectedThing]]:
    """The things of each of the clip's frames: of the grid's frame at its middle."""
    least = float(detector.thing_threshold) if threshold is None else threshold
    found = [decode_things(predicted, frame, least) for frame in range(predicted.centre.shape[1])]
    rate, last = detector.grid.frames_per_second, len(found) - 1
    seconds = clip.spec.frame_seconds().tolist()
    return [[_at(moment, seen) for seen in found[min(int(moment * rate), last)]] for moment in seconds]


@torch.no_grad()
def predict_audio(detector: AudioDetector, clip: Clip) -> AudioPrediction:
    """The audio detector's outputs for a clip, a batch of one."""
    if clip.wave is None:
        raise InputError("onsets need a clip with audio; its wave is None")
    device = detector.melody.device
    with autocast_if_faster(device):
        return detector(detector.grid.resample_audio(clip.wave[None].to(device), clip.sample_rate))


@torch.no_grad()
def predict_video(detector: VideoDetector, clip: Clip) -> VideoPrediction:
    """The video detector's outputs for a clip, a batch of one."""
    if clip.frames is None:
        raise InputError("events and things need a clip with video; its frames are None")
    device = detector.event_threshold.device
    with autocast_if_faster(device):
        return detector(detector.grid.resample_video(clip.frames[None].to(device), clip.frames_per_second))


def decode_onsets(
    predicted: AudioPrediction, detector: AudioDetector, least: float, row: int = 0
) -> list[Onset]:
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


def decode_events(
    predicted: VideoPrediction, detector: VideoDetector, least: float, row: int = 0
) -> list[Event]:
    """The events of one clip of a batch, likeliest first."""
    heat = predicted.event[row].float().sigmoid()  # (T, h, w)
    found = []
    for place in peaks(heat, least, EVENTS_APART).tolist():
        at, frame = (row, *place), place[0]
        x, y = centred(heat[frame], *place[1:])
        seconds = (frame + 0.5 + float(predicted.moment[at])) / detector.grid.frames_per_second
        at = (row, frame, *thing_near(predicted.kind[row, frame], *place[1:]))
        kind = KINDS[1 + int(predicted.kind[at][1:].argmax())]
        material = MATERIALS[int(predicted.material[at].argmax())]
        speed = math.nan if kind in INSTRUMENTS else 2.0 ** float(predicted.speed[row][tuple(place)])
        found.append(Event(max(seconds, 0.0), x, y, kind, material, float(heat[tuple(place)]), speed))
    return found


def decode_things(predicted: VideoPrediction, frame: int, least: float, row: int = 0) -> list[DetectedThing]:
    """The things in one of the grid's frames, likeliest first; the caller sets their seconds."""
    heat = predicted.centre[row, frame].float().sigmoid()  # (h, w)
    height = heat.shape[0] / min(heat.shape)  # in shorter sides, as which sizes are predicted
    found = []
    for place in peaks(heat, least, THINGS_APART).tolist():
        at = (row, frame, *place)
        x, y = centred(heat, *place)
        found.append(
            DetectedThing(
                0.0,
                x,
                y,
                KINDS[1 + int(predicted.kind[at][1:].argmax())],
                MATERIALS[int(predicted.material[at].argmax())],
                COLOURS[int(predicted.colour[at].argmax())],
                2.0 ** float(predicted.size[at]) / height,
                float(heat[tuple(place)]),
            )
        )
    return found


def _at(seconds: float, seen: DetectedThing) -> DetectedThing:
    return DetectedThing(
        seconds, seen.x, seen.y, seen.kind, seen.material, seen.colour, seen.size, seen.probability
    )


def _named(values: Tensor, names: tuple[str, ...]) -> dict[str, float]:
    return dict(zip(names, values.tolist(), strict=True))
