"""Clips with frames that are given at some times."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from avsim.clip import Clip
from avsim.diffusion import Latents, Task
from avsim.errors import InputError
from avsim.simulator.models import MAX_LENGTH, Models, Sampling
from avsim.simulator.resize import cover, frames_over
from avsim.simulator.seams import paste_frames
from avsim.simulator.windows import Timeline


@dataclass(frozen=True, eq=False)
class Condition:
    """Frames that a clip has at some time.

    Shapes: frames (3, T, H, W) float in [0, 1], at the generator's rate; other sizes are scaled and cropped.
    """

    frames: Tensor
    at_seconds: float = 0.0
    strength: float = 1.0  # 1: the clip has exactly these frames; below 1: similar ones


def conditioned(
    models: Models,
    prompt: str,
    conditions: Sequence[Condition],
    seconds: float | None,
    seed: int,
    sampling: Sampling,
) -> Clip:
    """`Simulator.generate` with conditions.

    A block of latents that a condition touches is given as a whole: around a given frame the video stands
    still for the length of a block. If frame 0 is not given, the first given one is the anchor (`windows`).

    Raises:
        InputError: a condition outside the clip, of strength outside (0, 1] or of another shape, or a clip
            that is longer than a window.
    """
    timeline = Timeline.of(models, sampling.size)
    seconds = models.spec.seconds if seconds is None else seconds
    longest = MAX_LENGTH * models.spec.seconds
    if not 0 < seconds <= longest:
        raise InputError(
            f"a clip of {seconds:g} s with given frames: expected at most {longest:g} s; extend and connect "
            "make longer ones"
        )
    total, rate, stride = frames_over(seconds, timeline.rate), timeline.rate, timeline.stride
    given = torch.zeros(3, total, *timeline.trained.clip.size)
    levels = torch.ones(total)
    for condition in conditions:
        first = _frame(condition, rate, seconds)
        frames = _frames(condition, timeline)
        first = max(0, min(first, total - frames.shape[1]))
        last = min(total, first + frames.shape[1])
        given[:, first:last], levels[first:last] = frames[:, : last - first], 1 - condition.strength
    known = (levels < 1).nonzero()[:, 0]
    nearest = known[(torch.arange(total)[:, None] - known).abs().argmin(1)]  # (T,)
    canvas = given[:, nearest]
    offset = 0 if levels[0] == 0 else 1
    if offset:
        canvas, levels = torch.cat([canvas[:, :1], canvas], 1), torch.cat([torch.zeros(1), levels])
    spec = timeline.window(math.ceil((len(levels) - 1) / stride))
    missing = spec.clip.frames - len(levels)
    held = torch.cat([canvas, canvas[:, -1:].expand(-1, missing, -1, -1)], 1)
    later = torch.cat([levels[1:], torch.ones(missing)]).unflatten(0, (-1, stride)).amin(1)
    starts = torch.cat([levels[:1], later])  # (t,)
    task, sampling = Task("extend", lambda _: starts), replace(sampling, num_candidates=1)
    latents = Latents(models.encode_video(held), None)
    (made,) = models.sample_clips([prompt], spec, task, latents, seed, sampling)
    assert made.frames is not None and made.wave is not None
    frames = made.frames[:, offset : offset + total]
    frames = _pasted(frames, given, levels[offset:] == 0, rate)
    wave = made.wave[:, timeline.samples_at(offset) :]
    return Clip.fitted(frames, wave, rate, made.sample_rate)


def _frame(condition: Condition, rate: float, seconds: float) -> int:
    """The frame at which a condition begins."""
    at = condition.at_seconds
    if not (math.isfinite(at) and 0 <= at <= seconds):
        raise InputError(f"frames given at {at:g} s: outside the clip, which lasts {seconds:g} s")
    if not 0 < condition.strength <= 1:
        raise InputError(f"strength is {condition.strength:g}; it must be above 0 and at most 1")
    return round(at * rate)


def _frames(condition: Condition, timeline: Timeline) -> Tensor:
    """A condition's frames at the clip's size."""
    own = Clip(condition.frames, None, timeline.rate)  # refuses what is none
    assert own.frames is not None
    return cover(own.frames, timeline.trained.clip.size)


def _pasted(made: Tensor, given: Tensor, known: Tensor, rate: float) -> Tensor:
    """Frames (3, T, H, W): the given ones where `known` (T,), and generated ones between them, matched."""
    result = torch.where(known[:, None, None], given, made)
    edges = [0, *((known[1:] != known[:-1]).nonzero()[:, 0] + 1).tolist(), len(known)]
    for first, last in zip(edges, edges[1:], strict=False):
        if not known[first]:
            result[:, first:last] = paste_frames(made, given, first, last, rate)[:, first:last]
    return result
