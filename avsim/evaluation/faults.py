"""Visible faults: ghosts, blurs, flicker and whatever else a generator draws that the world does not.

`integrity` looks at what the detectors take for things, and misses what they don't. Here a detector that was
trained on faults of graded strength looks at the frames; beside it stands how sharp things are.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from avsim.clip import Clip
from avsim.evaluation.metric import ClipScorer, mean
from avsim.evaluation.result import NotJudged, Reason
from avsim.perception.detections import DetectedThing
from avsim.perception.fault_detector import Faults
from avsim.perception.grid import Grid
from avsim.world.flat.faults import FAULTS, spoilt
from avsim.world.flat.layers import Layers
from avsim.world.truth import Truth

MOST_FRAMES = 0.9  # share of a clip's frames that must be without a visible fault
SHARPNESS = Path(__file__).parent / "calibrations" / "sharpness.json"  # of true clips, by kind
EDGE = 1.2  # how much larger than the thing its box is
LUMA = (0.299, 0.587, 0.114)


def with_fault(clip: Clip, truth: Truth, fault: str, strength: float, seed: int = 0) -> Clip:
    """A clip of the world with one of `FAULTS`, from strength 0 (none) to 1.

    Raises:
        NotJudged: nothing in the clip can have it.
    """
    layers = Layers(truth.scene, clip.spec)
    draws = torch.Generator().manual_seed(seed)
    frames = spoilt(layers, clip.frames_per_second, FAULTS[fault], strength, draws)
    if frames is None:
        raise NotJudged(Reason.NOTHING_THERE)
    return Clip(frames, clip.wave, clip.frames_per_second, clip.sample_rate)


class VisibleFaults(ClipScorer):
    """Shares of frames and clips without visible faults, and how sharp their things are."""

    width = 3  # share of frames without, probability of the clip, log sharpness

    def update(self, faults: Faults, sharp: float = torch.nan) -> None:
        """Score one clip.

        Args:
            faults: what is wrong with it.
            sharp: log of the sharpness of its things over that of true ones; nan: not known.
        """
        probability = torch.tensor(faults.logit, dtype=torch.float64).sigmoid().item()
        self.keep([faults.clean, probability, sharp])

    def numbers(self, rows: Tensor) -> dict[str, Tensor]:
        """Shares, and a ratio."""
        clean, _, sharp = rows.unbind(-1)
        return {
            "frames without visible faults": mean(clean),
            "clips with at least 90 % of frames without": mean((clean >= MOST_FRAMES).to(clean)),
            "gradient energy of things over true ones' of their kinds": mean(sharp).exp(),
        }

    def each(self, rows: Tensor) -> Tensor:
        """Probability that a clip has no visible fault."""
        return 1 - rows[:, 1]


def gradient_energy(
    clip: Clip,
    things: Sequence[Sequence[DetectedThing]],
    grid: Grid = Grid(),  # noqa: B008 (frozen)
) -> list[tuple[str, float]]:
    """Of each thing seen in each frame: its kind, and the log of the mean squared gradient in its box.

    On frames of one height, so that clips of all sizes compare; of brightness, per pixel.

    Raises:
        NotJudged: the clip has no video.
    """
    if clip.frames is None:
        raise NotJudged(Reason.NO_VIDEO)
    frames = grid.resample_video(clip.frames[None], grid.frames_per_second)[0]  # all frames, resized
    light = torch.einsum("cthw,c->thw", frames, torch.tensor(LUMA))
    down = (light[:, 2:, 1:-1] - light[:, :-2, 1:-1]) / 2
    right = (light[:, 1:-1, 2:] - light[:, 1:-1, :-2]) / 2
    energy = down.square() + right.square()  # (T, H - 2, W - 2)
    height, width = light.shape[1:]
    found = []
    for frame, seen in zip(energy, things, strict=True):
        for thing in seen:
            half = max(2.0, EDGE * thing.size * height / 2)
            rows, columns = (
                slice(max(0, round(middle * side - half) - 1), max(0, round(middle * side + half) - 1))
                for middle, side in ((thing.y, height), (thing.x, width))
            )
            box = frame[rows, columns]
            if box.numel():
                found.append((thing.kind, float(box.mean().clamp(min=1e-6).log())))
    return found


def log_sharpness(energies: Sequence[tuple[str, float]], typical: Mapping[str, float] | None = None) -> float:
    """The mean log ratio of `gradient_energy` to that of true things of the same kinds; nan: unknown."""
    known = typical_sharpness() if typical is None else typical
    away = [energy - known[kind] for kind, energy in energies if kind in known]
    return sum(away) / len(away) if away else torch.nan


@cache
def typical_sharpness() -> dict[str, float]:
    """The mean of `gradient_energy` over true clips, by kind; empty where it was not measured."""
    return json.loads(SHARPNESS.read_text())["kinds"] if SHARPNESS.is_file() else {}
