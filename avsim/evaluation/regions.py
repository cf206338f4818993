"""Regions around what is seen to sound, from detectors alone."""

import torch

from avsim.clip import Region
from avsim.perception.found import View

MARGIN = 1.25  # how much wider and higher than the thing its box is


def sounding_regions(view: View, size: tuple[int, int]) -> list[Region]:
    """A moving region for each kind and material of thing that something happens to, in a picture of (H, W).

    In each frame the boxes around all things of that kind; it is named after them. Kinds that no frame shows
    are left out.
    """
    height, width = size
    rows = (torch.arange(height) + 0.5) / height
    columns = (torch.arange(width) + 0.5) / width
    regions = []
    for kind, material in dict.fromkeys((event.kind, event.material) for event in view.events):
        mask = torch.zeros(len(view.things), height, width)
        for frame, things in zip(mask, view.things, strict=True):
            for seen in things:
                if (seen.kind, seen.material) == (kind, material):
                    half = MARGIN * seen.size / 2  # of the picture's height
                    inside = (rows - seen.y).abs() <= half, (columns - seen.x).abs() <= half * height / width
                    frame[inside[0][:, None] & inside[1]] = 1.0
        if mask.any():
            regions.append(Region(mask, f"{material} {kind}".strip()))
    return regions
