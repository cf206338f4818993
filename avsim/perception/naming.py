"""Names for regions that were found by their sound: those of the things that a detector sees there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F

from avsim.clip import Region
from avsim.perception.referred_region import Overview, outline

INSIDE = 0.25  # of a region must lie within a thing's cells for it to get the thing's name


def named(regions: Sequence[Region], seen: Overview, aspect: float) -> list[Region]:
    """Regions with the names of the things that cover most of them; others keep theirs.

    Where several regions lie on one thing, the later ones get a number, such as "the violin on the left (2)".

    Args:
        regions: of one clip.
        seen: what a detector found in it.
        aspect: width over height of the video.
    """
    things = [(thing.name, outline(thing, seen, aspect).any(0).float()) for thing in seen.things]  # (h, w)
    found = []
    counts: Counter[str] = Counter()
    for region in regions:
        mask = region.mask if region.mask.ndim == 2 else region.mask.amax(0)
        grid = seen.shown.shape[1], seen.shown.shape[2]
        cells = F.adaptive_avg_pool2d(mask[None].float().cpu(), grid)[0]
        shares = [float((cells * cover).sum() / cells.sum()) for _, cover in things]
        best = int(torch.tensor(shares).argmax()) if shares else -1
        if best < 0 or shares[best] < INSIDE:
            found.append(region)
            continue
        name = things[best][0]
        counts[name] += 1
        found.append(replace(region, name=name if counts[name] == 1 else f"{name} ({counts[name]})"))
    return found
