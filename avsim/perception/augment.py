"""How samples are changed while training, so that detectors bear other sizes, rates, levels and sides."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from avsim.perception.labels import Labels

SHOWN = (
    "kind",
    "material",
    "colour",
    "centre",
    "size",
    "event",
    "moment",
    "speed",
)  # labels that lie in the video


def augment_video(frames: Tensor, labels: Labels, length: int, random: Generator) -> tuple[Tensor, Labels]:
    """A stretch of a clip, perhaps mirrored, coarser, at half the rate, or noisy.

    Shapes: frames (3, T, H, W) of the grid, labels of one clip; both come back with `length` frames at most.
    """
    start = int(torch.randint(max(frames.shape[1] - length, 0) + 1, (), generator=random))
    mirrored, coarse, slow, noisy = (
        torch.rand(4, generator=random) < torch.tensor([0.5, 0.3, 0.2, 0.3])
    ).tolist()
    turn = (lambda x: x.flip(-1)) if mirrored else (lambda x: x)
    frames = turn(frames[:, start : start + length])
    planes = {name: turn(getattr(labels, name)[start : start + length]) for name in SHOWN}
    if coarse:
        frames = _coarser(frames, float(0.5 + 0.5 * torch.rand((), generator=random)))
    if slow:  # the grid shows a video of half its rate twice
        frames = frames[:, torch.arange(frames.shape[1]) // 2 * 2]
    if noisy:
        frames = (frames + 0.03 * torch.randn(frames.shape, generator=random)).clamp(0, 1)
    return frames, replace(labels, **planes)


def _coarser(frames: Tensor, share: float) -> Tensor:
    """As if seen in `share` of its pixels each way."""
    size = [max(8, round(share * side)) for side in frames.shape[2:]]
    small = F.interpolate(frames.transpose(0, 1), size, mode="bilinear", antialias=True)
    return F.interpolate(small, frames.shape[2:], mode="bilinear").transpose(0, 1)


def augment_audio(wave: Tensor, labels: Labels, random: Generator) -> tuple[Tensor, Labels]:
    """Louder or softer by up to 8 dB, perhaps with its sides swapped, in mono, or without its upper octave.

    Shapes: wave (A, N) at the grid's rate, labels of one clip.
    """
    gain = float(16 * torch.rand((), generator=random) - 8)
    swapped, mono, dull = (torch.rand(3, generator=random) < torch.tensor([0.5, 0.2, 0.2])).tolist()
    wave = wave * 10 ** (gain / 20)
    wave = wave.flip(0) if swapped else wave
    wave = wave.mean(0, keepdim=True).expand_as(wave) if mono else wave
    if dull:
        spectrum = torch.fft.rfft(wave)
        wave = torch.fft.irfft(
            spectrum * (torch.arange(spectrum.shape[-1]) < spectrum.shape[-1] // 2), wave.shape[-1]
        )
    level = torch.where(labels.level != 0, labels.level + gain, labels.level)
    return wave, replace(labels, level=level)
