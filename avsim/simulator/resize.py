"""Clips of any rate and size, converted to a `ClipSpec`."""

import math
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
import torchaudio
from torch import Tensor

from avsim.clip import Clip, ClipSpec, samples_of
from avsim.errors import InputError


def frames_for(clip: Clip, spec: ClipSpec) -> Tensor:
    """The video of `clip` at the rate and size of `spec`, (3, T, H, W), T = `spec.frames`.

    Each frame is the one that `clip` shows at the centre of the frame's span (the last one beyond the clip's
    end), scaled to cover the size and cropped at the centre.

    Raises:
        InputError: a clip without frames.
    """
    if clip.frames is None:
        raise InputError("this needs a clip with video; it has audio alone")
    shown = (spec.frame_seconds() * clip.frames_per_second).long().clamp(max=clip.frames.shape[1] - 1)
    return cover(clip.frames[:, shown], spec.size)


def cover(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """Frames (3, T, H, W) scaled, antialiased, to cover `size` and cropped to it at the centre."""
    height, width = frames.shape[2:]
    if (height, width) == size:
        return frames
    factor = max(size[0] / height, size[1] / width)
    scaled = max(size[0], round(height * factor)), max(size[1], round(width * factor))
    frames = F.interpolate(
        frames.transpose(0, 1), scaled, mode="bilinear", antialias=True, align_corners=False
    ).transpose(0, 1)
    top, left = (scaled[0] - size[0]) // 2, (scaled[1] - size[1]) // 2
    return frames[:, :, top : top + size[0], left : left + size[1]].clamp(0, 1)


def wave_for(clip: Clip, spec: ClipSpec) -> Tensor:
    """The audio of `clip` at the rate, channels and length of `spec`, (A, N), silent beyond the clip's end.

    Raises:
        InputError: a clip without audio.
    """
    if clip.wave is None:
        raise InputError("this needs a clip with audio; its wave is None")
    wave = clip.wave
    if wave.shape[0] != spec.channels:
        mono = wave.mean(0, keepdim=True)
        wave = mono.expand(spec.channels, -1)
    if clip.sample_rate != spec.sample_rate:
        wave = torchaudio.functional.resample(wave, clip.sample_rate, spec.sample_rate)
    wave = wave[:, : spec.samples]
    return F.pad(wave, (0, spec.samples - wave.shape[1]))


def frames_over(seconds: float, frames_per_second: float) -> int:
    """The fewest frames that last at least `seconds` (rounding errors aside)."""
    return max(1, math.ceil(seconds * frames_per_second - 1e-6))


def clip_with_frames(frames: Tensor, frames_per_second: float, wave: Tensor, sample_rate: int) -> Clip:
    """A clip of these frames, unchanged, with as much of `wave` as they span."""
    return Clip.fitted(frames, wave, frames_per_second, sample_rate)


def clip_with_wave(frames: Tensor, frames_per_second: float, wave: Tensor, sample_rate: int) -> Clip:
    """A clip of this wave, unchanged except for silence after it, until the last frame ends."""
    count = frames_over(wave.shape[1] / sample_rate, frames_per_second)
    frames = pad_with_last(frames[:, :count], count)
    return Clip.fitted(frames, wave, frames_per_second, sample_rate)


def at_rate(pieces: Iterator[Clip], frames_per_second: float, tell: Callable[[str], None]) -> Iterator[Clip]:
    """Consecutive clips with frames, resampled to another rate: each frame is the one shown at its centre.

    The audio stays as it is, except for the samples by which the last frame's end moves. `tell` is called
    with a message if the rate differs. A piece without a new frame is joined with the next one.
    """
    told, begun, done, frames_before = False, 0.0, 0, 0
    wave: Tensor | None = None
    for clip in pieces:
        if clip.frames is None or clip.frames_per_second == frames_per_second:
            yield clip
            continue
        rate = clip.frames_per_second
        if not told:
            tell(f"resampled from {rate:g} frames per second, at which the model was trained")
            told = True
        frames_before += clip.frames.shape[1]
        end = max(done, round(frames_before * frames_per_second / rate))
        centres = (torch.arange(done, end, dtype=torch.float64) + 0.5) / frames_per_second - begun
        shown = (centres * rate).long().clamp(0, clip.frames.shape[1] - 1)
        if clip.wave is not None:
            wave = clip.wave if wave is None else torch.cat([wave, clip.wave], 1)
        if end > done:
            count = samples_of(end, frames_per_second, clip.sample_rate) - samples_of(
                done, frames_per_second, clip.sample_rate
            )
            frames = clip.frames[:, shown]
            if wave is None:
                yield Clip(frames, None, frames_per_second, clip.sample_rate)
            else:
                yield Clip.fitted(frames, wave[:, :count], frames_per_second, clip.sample_rate)
                wave = wave[:, count:]
        begun, done = frames_before / rate, end


def pad_with_last(part: Tensor, length: int) -> Tensor:
    """Frames (3, T, H, W) or a wave (A, N), padded with their last to `length` along dimension 1."""
    return torch.cat([part, part[:, -1:].expand(-1, length - part.shape[1], *part.shape[2:])], 1)
