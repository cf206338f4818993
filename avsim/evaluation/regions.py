"""Regions around visibly sounding things, from detectors alone."""

import torch

from avsim.clip import Region
from avsim.perception.detections import VideoDetections
from avsim.perception.tracks import tracks, whose

MARGIN = 1.25  # how much wider and higher than the thing its box is
LEAST = 0.1  # of the frames must show a thing
GAP = 0.25  # s for which a thing that isn't seen is taken to stay where it was


def sounding_regions(view: VideoDetections, size: tuple[int, int], frames_per_second: float) -> list[Region]:
    """A moving region for each thing with an event, in frames of (H, W).

    Each is the box around one thing, followed from frame to frame by where it is: a detector that takes it
    for something else in between doesn't lose it. What happens where no thing is seen is left out.
    """
    height, width = size
    rows = (torch.arange(height) + 0.5) / height
    columns = (torch.arange(width) + 0.5) / width
    shown = tracks(view.things, LEAST)
    regions = []
    found = [whose(event, shown, frames_per_second) for event in view.events]
    for thing in (shown[number] for number in sorted({each for each in found if each is not None})):
        mask = torch.zeros(len(view.things), height, width)
        last = 0
        for frame, seen in thing.looks:
            half = MARGIN * seen.size / 2  # of the frame's height
            inside = (rows - seen.y).abs() <= half, (columns - seen.x).abs() <= half * height / width
            mask[frame][inside[0][:, None] & inside[1]] = 1.0
            if frame - last <= GAP * frames_per_second:
                mask[last + 1 : frame] = mask[last]
            last = frame
        regions.append(Region(mask, thing.called))
    return regions
