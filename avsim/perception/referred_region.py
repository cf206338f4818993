"""The region of the thing that a referring expression names, frame by frame, from a detector."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from avsim import media
from avsim.clip import Clip, Region
from avsim.perception.detect import decode_things, predict_video
from avsim.perception.detections import DetectedThing
from avsim.perception.referring import parse_expression, select
from avsim.perception.tracks import Track, tracks
from avsim.perception.video_detector import VideoDetector

SPAN = 8.0  # seconds of a video that are looked at together
SHORT = 128  # pixels of the short side of a region's mask, at most: cells are coarser than that
GAP = 0.5  # seconds for which a thing that isn't seen is taken to stay where it was
REACH = 1.0  # of a thing's width: how far from its middle it may still be seen


@dataclass(frozen=True, eq=False)
class Overview:
    """Detections of a whole clip. Shapes: shown (T, h, w), the cells that show a thing."""

    looks: tuple[tuple[DetectedThing, ...], ...]  # in each of the grid's frames
    shown: Tensor
    frames_per_second: float

    @property
    def things(self) -> list[Track]:
        """Each over the whole clip."""
        return tracks(self.looks)


def video_spans(path: str | Path, detector: VideoDetector) -> Iterator[Clip]:
    """The frames of a video, small and piece by piece.

    Raises:
        InputError: a file that can't be read or has no video.
    """
    info, grid = media.probe(path), detector.grid
    size = None if info.size is None else grid.size(*info.size)
    seconds = info.video_seconds or 0.0
    for number in range(max(1, -int(-seconds // SPAN))):
        start = number * SPAN
        if number and seconds - start < 0.5 / grid.frames_per_second:
            break
        yield media.read(path, start, SPAN, size, grid.frames_per_second, want="frames")


def overview(detector: VideoDetector, spans: Iterable[Clip]) -> Overview:
    """Look at a clip in one or more consecutive spans."""
    looks: list[tuple[DetectedThing, ...]] = []
    shown = []
    least = float(detector.thing_threshold)
    for span in spans:
        predicted = predict_video(detector, span)
        looks += [tuple(decode_things(predicted, frame, least)) for frame in range(predicted.centre.shape[1])]
        shown.append((predicted.kind[0].argmax(-1) != 0).cpu())
    return Overview(tuple(looks), torch.cat(shown), detector.grid.frames_per_second)


def find_region(
    seen: Overview, text: str, size: tuple[int, int], frames: int, frames_per_second: float
) -> Region:
    """The thing that a phrase means, as a moving region of a video of `size` (H, W) and so many frames.

    Raises:
        InputError: an expression without attributes, or one that fits none or several detected things.
    """
    parse_expression(text)  # parsed first: its errors come before those of the detections
    found = outline(select(text, seen.things), seen, size[1] / size[0])
    shown = ((torch.arange(frames) + 0.5) / frames_per_second * seen.frames_per_second).long()
    scale = min(1.0, SHORT / min(size))
    small = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    masks = F.interpolate(found[:, None].half(), small, mode="nearest")[:, 0]
    return Region(masks[shown.clamp(max=len(masks) - 1)], text)


def outline(thing: Track, seen: Overview, aspect: float) -> Tensor:
    """The cells of a thing at each of the grid's frames, (T, h, w) bool.

    It gets the cells that show something and lie nearer to its middle than to another thing's, and a box of
    half its width around its middle.
    """
    count, h, w = seen.shown.shape
    reach = max((own.size for _, own in thing.looks), default=0.0) * REACH + 1 / h
    y = ((torch.arange(h) + 0.5) / h)[:, None]
    x = ((torch.arange(w) + 0.5) / w)[None] * aspect
    masks = torch.zeros(count, h, w, dtype=torch.bool)
    last = None
    for number, own in thing.looks:

        def away(each: DetectedThing) -> Tensor:
            return ((x - each.x * aspect).square() + (y - each.y).square()).sqrt()

        apart = away(own)
        others = [away(each) for each in seen.looks[number] if each is not own]
        nearest = torch.stack(others).amin(0) if others else torch.full_like(apart, torch.inf)
        around = (x - own.x * aspect).abs().maximum((y - own.y).abs()) <= max(own.size / 4, 0.5 / h)
        masks[number] = around | (seen.shown[number] & (apart < nearest) & (apart <= reach))
        if last is not None and number - last <= GAP * seen.frames_per_second:
            masks[last + 1 : number] = masks[last]
        last = number
    return masks
