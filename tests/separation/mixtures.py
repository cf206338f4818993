"""Mixtures whose truth is known: each half of the video blinks when its own tone sounds."""

import math

import torch

from avsim import seeds
from avsim.clip import ClipSpec
from avsim.data.batch import ClipBatch

SPEC = ClipSpec(seconds=1.0, height=32, width=32, frames_per_second=16.0, sample_rate=8000, channels=2)


def bursts(draw: torch.Generator, spec: ClipSpec) -> torch.Tensor:
    """(T,) of 0 and 1: random bursts of 2 to 5 frames."""
    on = torch.zeros(spec.frames)
    frame = 0
    while frame < spec.frames:
        rest, length = (int(torch.randint(low, high, (), generator=draw)) for low, high in ((0, 5), (2, 6)))
        on[frame + rest : frame + rest + length] = 1
        frame += rest + length
    return on


def mixture(row: int, spec: ClipSpec = SPEC) -> tuple[torch.Tensor, ...]:
    """Frames (3, T, H, W), stems (2, A, N), masks (2, T, H, W); one side is low (red), one is high (blue)."""
    draw = seeds.generator(0, "tones", row)
    seconds = torch.arange(spec.samples) / spec.sample_rate
    swapped = bool(torch.rand((), generator=draw) < 0.5)  # which side is low is seen by colour alone
    frames = 0.1 * torch.rand(3, spec.frames, *spec.size, generator=draw)
    stems, masks = torch.zeros(2, spec.channels, spec.samples), torch.zeros(2, spec.frames, *spec.size)
    half = spec.width // 2
    for side in range(2):
        low = bool(side) == swapped
        hertz = (200.0 if low else 1200.0) * (1 + float(torch.rand((), generator=draw)))
        on = bursts(draw, spec)
        loud = on.repeat_interleave(math.ceil(spec.sample_rate / spec.frames_per_second))[: spec.samples]
        stems[side] = 0.2 * torch.sin(2 * math.pi * hertz * seconds) * loud
        where = slice(half * side, half * (side + 1))
        frames[0 if low else 2, :, :, where] += 0.3 + 0.5 * on[:, None, None]
        masks[side, :, :, where] = 1
    return frames, stems, masks


def batch(rows: range, spec: ClipSpec = SPEC) -> ClipBatch:
    """Mixtures as a loader gives them."""
    frames, stems, masks = (
        torch.stack(parts) for parts in zip(*(mixture(row, spec) for row in rows), strict=True)
    )
    names = [f"mixture {row}" for row in rows]
    return ClipBatch(
        spec, frames, stems.sum(1), [""] * len(rows), names, torch.tensor(list(rows)), stems, masks
    )
