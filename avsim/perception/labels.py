"""Training labels of the detectors on a `Grid`, per cell and per column."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from avsim.clip import ClipSpec
from avsim.perception import ground_truth
from avsim.perception.detections import Event, Onset
from avsim.perception.grid import Grid
from avsim.perception.ground_truth import Moment
from avsim.perception.vocabulary import COLOURS, KINDS, MATERIALS, PLACES
from avsim.world.truth import Truth

UNASKED = -1.0  # of a heat: what is found here is neither right nor wrong
COVERED = 0.35  # share of a cell from which on it shows a thing
SPREAD_FRAMES, SPREAD_CELLS, SPREAD_COLUMNS = 0.6, 0.8, 1.0  # deviations of what is hot around a moment


@dataclass(frozen=True, eq=False)
class Labels:
    """All that is to be found in a clip; stacked for a batch, each tensor gets a first axis more.

    Numbers of kinds, materials and colours are those of `vocabulary`. A heat is 1 where something is, less
    around it, 0 elsewhere and -1 where nothing is labeled.
    """

    kind: Tensor  # (T, h, w) uint8, what a cell shows
    material: Tensor  # (T, h, w) uint8
    colour: Tensor  # (T, h, w) uint8
    centre: Tensor  # (T, h, w) float32, heat of things' middles
    size: Tensor  # (T, h, w) float32, log2 of width over the shorter side, at middles
    event: Tensor  # (T, h, w) float32, heat
    moment: Tensor  # (T, h, w) float32, frames from a frame's middle to the event, where it is hot
    speed: Tensor  # (T, h, w) float32, log2 of m/s, where an event is hot; nan where it has none
    onset: Tensor  # (F,) float32, heat
    level: Tensor  # (F,) float32, dB, where an onset is hot
    onset_kind: Tensor  # (F,) uint8, likewise
    onset_material: Tensor  # (F,) uint8
    kinds: Tensor  # (22,) float32, 1 for audible labels
    materials: Tensor  # (6,) float32
    place: Tensor  # () uint8
    decay: Tensor  # () float32, log2 of seconds

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Labels:
        """All of it on `device`."""
        return Labels(
            **{f.name: getattr(self, f.name).to(device, non_blocking=non_blocking) for f in fields(self)}
        )

    @classmethod
    def stack(cls, each: Sequence[Labels]) -> Labels:
        """Of a batch."""
        return cls(**{f.name: torch.stack([getattr(one, f.name) for one in each]) for f in fields(cls)})


def labels(truth: Truth, spec: ClipSpec, grid: Grid) -> Labels:
    """The labels of a clip of `spec` from its ground truth."""
    sounded, happened = ground_truth.onsets(truth, spec.sample_rate), ground_truth.events(truth, spec)
    heard = ground_truth.audio_content(truth, spec.sample_rate)
    return Labels(
        **_shown(truth, spec, grid),
        **_happened(happened, spec, grid),
        **_sounded(sounded, spec, grid),
        kinds=torch.tensor(list(heard.kinds.values())),
        materials=torch.tensor(list(heard.materials.values())),
        place=torch.tensor(PLACES.index(truth.place), dtype=torch.uint8),
        decay=torch.tensor(math.log2(heard.decay)),
    )


def _shown(truth: Truth, spec: ClipSpec, grid: Grid) -> dict[str, Tensor]:
    """Kind, material, colour, heat of middles, and size, (T, h, w) each."""
    shown = grid.frame_indices(spec.frames, spec.frames_per_second)
    h, w = grid.cells(spec.height, spec.width)
    kind, material, colour = (torch.zeros(len(shown), h, w, dtype=torch.uint8) for _ in range(3))
    centre, size = torch.zeros(len(shown), h, w), torch.zeros(len(shown), h, w)
    if truth.things:
        cover = F.adaptive_avg_pool2d(truth.masks[:, shown].float(), (h, w))  # (R, T, h, w)
        most, which = cover.max(0)
        numbers = [
            torch.tensor([names.index(getattr(thing, name)) for thing in truth.things], dtype=torch.uint8)
            for name, names in (("kind", KINDS), ("material", MATERIALS), ("colour", COLOURS))
        ]
        for plane, number in zip((kind, material, colour), numbers, strict=True):
            plane[:] = number[which] * (most > COVERED)
    frames = ground_truth.things(truth, spec)
    for t, frame in enumerate(shown.tolist()):
        for seen in frames[frame]:
            row, column = min(int(seen.y * h), h - 1), min(int(seen.x * w), w - 1)
            kind[t, row, column] = KINDS.index(seen.kind)
            material[t, row, column] = MATERIALS.index(seen.material)
            colour[t, row, column] = COLOURS.index(seen.colour)
            heat = _bump(h, row, SPREAD_CELLS)[:, None] * _bump(w, column, SPREAD_CELLS)
            centre[t] = torch.maximum(centre[t], heat)
            near = heat > 0.2
            size[t][near] = math.log2(seen.size * h / min(h, w))
    heats = {"centre": centre, "size": size}
    return {"kind": kind, "material": material, "colour": colour, **heats}


def _seconds(spec: ClipSpec) -> float:
    """Of its whole frames."""
    return spec.end


def _bump(length: int, middle: float, spread: float) -> Tensor:
    """exp(-(i - middle)^2 / 2 spread^2) for i in 0 ... length - 1."""
    return torch.exp(-((torch.arange(length) - middle) ** 2) / (2 * spread**2))


def _happened(moments: Sequence[Moment[Event]], spec: ClipSpec, grid: Grid) -> dict[str, Tensor]:
    """Heat of events, when they are and how fast, (T, h, w) each."""
    count, (h, w) = grid.frames(_seconds(spec)), grid.cells(spec.height, spec.width)
    heat, moment = torch.zeros(count, h, w), torch.zeros(count, h, w)
    speed = torch.full((count, h, w), math.nan)
    for clear in (False, True):  # what is clear goes over what is not
        for each in (each for each in moments if each.clear == clear):
            event, middle = each.what, each.what.seconds * grid.frames_per_second - 0.5
            frame = min(max(round(middle), 0), count - 1)
            row, column = min(int(event.y * h), h - 1), min(int(event.x * w), w - 1)
            time = _bump(count, middle, SPREAD_FRAMES)
            place = _bump(h, row, SPREAD_CELLS)[:, None] * _bump(w, column, SPREAD_CELLS)
            here = (time / time[frame])[:, None, None] * place
            near = here > 0.2
            if clear:
                taken = near & (here >= heat)
                moment = torch.where(taken, (middle - torch.arange(count))[:, None, None], moment)
                speed[taken] = math.log2(event.speed) if event.speed > 0 else math.nan
                heat = torch.maximum(heat, here)
            else:
                heat[near] = UNASKED
    return {"event": heat, "moment": moment, "speed": speed}


def _sounded(moments: Sequence[Moment[Onset]], spec: ClipSpec, grid: Grid) -> dict[str, Tensor]:
    """Heat of onsets, their level, kind and material, (F,) each."""
    count = grid.columns(_seconds(spec))
    heat, level = torch.zeros(count), torch.zeros(count)
    kind, material = torch.zeros(count, dtype=torch.uint8), torch.zeros(count, dtype=torch.uint8)
    for clear in (False, True):
        for each in (each for each in moments if each.clear == clear):
            onset, middle = each.what, each.what.seconds * grid.columns_per_second - 0.5
            here = _bump(count, min(max(round(middle), 0), count - 1), SPREAD_COLUMNS)
            near = here > 0.2
            if clear:
                taken = near & (here >= heat)
                level[taken] = onset.level
                kind[taken], material[taken] = KINDS.index(onset.kind), MATERIALS.index(onset.material)
                heat = torch.maximum(heat, here)
            else:
                heat[near] = UNASKED
    heats = {"onset": heat, "level": level}
    return {**heats, "onset_kind": kind, "onset_material": material}
