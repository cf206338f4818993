"""A clip and regions of its video -> stems that add up, window by window."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from avsim.clip import Clip, Region, Stems
from avsim.errors import InputError
from avsim.separation.loss import share_out
from avsim.separation.regions import check_regions, region_weights
from avsim.separation.separator import Maps, Separator

WINDOW, OVERLAP = 8.0, 2.0  # seconds that are separated at a time, and that two windows share
AT_ONCE = 16  # frames of full size that are scaled down together
log = logging.getLogger("avsim")


@dataclass(frozen=True, eq=False)
class FrameSource:
    """The frames of a clip or a video, read when they are needed."""

    size: tuple[int, int]  # (H, W), which regions refer to
    frames: int
    frames_per_second: float
    read: Callable[[Tensor], Tensor]  # ascending frame numbers (T,) -> frames (3, T, H', W')


def frame_source(clip: Clip, model: Separator) -> FrameSource:
    """The video of a clip in memory.

    Raises:
        InputError: it has none.
    """
    if clip.frames is None:
        raise InputError("the clip has no video; separating needs one to say what sounds where")
    frames = clip.frames

    def read(numbers: Tensor) -> Tensor:
        parts = [model.fit(frames[None, :, some].float()) for some in numbers.split(AT_ONCE)]
        return torch.cat(parts, 2)[0]

    return FrameSource((frames.shape[2], frames.shape[3]), frames.shape[1], clip.frames_per_second, read)


@dataclass(frozen=True, eq=False)
class Window:
    """The separator's encoding of samples [first, last) of a wave. Shapes as in `Separator.listen`."""

    first: int
    last: int
    before: int  # samples shared with the window before, 0 for the first one
    after: int  # and with the window after
    seen: Tensor  # the video's frame at each frame of the maps, (t,)
    maps: Maps
    columns_frame: Tensor
    bins: Tensor


@torch.no_grad()
def windows(model: Separator, picture: FrameSource, wave: Tensor, sample_rate: int) -> Iterator[Window]:
    """Windows of `WINDOW` seconds over a wave (A, N), each `OVERLAP` seconds into the one before."""
    device = next(model.parameters()).device
    hop = model.scale.hop(sample_rate)
    length, overlap = (hop * max(1, round(seconds * sample_rate / hop)) for seconds in (WINDOW, OVERLAP))
    for first in range(0, max(1, wave.shape[1] - overlap), length - overlap):
        last = min(first + length, wave.shape[1])
        seen = model.frames_seen(
            picture.frames, picture.frames_per_second, first / sample_rate, (last - first) / sample_rate
        )
        frames = picture.read(seen)[None].to(device)
        heard = wave[None, :, first:last].to(device, torch.float32)
        before, after = overlap * (first > 0), overlap * (last < wave.shape[1])
        yield Window(first, last, before, after, seen, *model._encode(frames, heard, sample_rate))


def fade(count: int) -> Tensor:
    """A ramp from 0 to 1 over the middle half of `count` samples; it and its mirror image add up to 1."""
    position = ((torch.arange(count) + 0.5) / count * 2 - 0.5).clamp(0, 1)
    return (0.5 - 0.5 * torch.cos(torch.pi * position)).float()


@torch.no_grad()
def stream(
    model: Separator, picture: FrameSource, wave: Tensor, sample_rate: int, regions: Sequence[Region]
) -> Iterator[Tensor]:
    """Stems of a wave (A, N), piece by piece: (R + 1, A, n) float32 each, "off screen" last.

    A region takes from every bin the shares of its cells; "off screen" is the original minus the regions, so
    that stems add up. Windows fade into each other, and memory is that of one window.

    Raises:
        InputError: a region that isn't of this video.
    """
    check_regions(regions, picture.size, picture.frames)
    if not regions:
        yield wave[None].cpu().float()
        return
    held = torch.zeros(len(regions), wave.shape[0], 0)  # the end of the window before, faded out
    for window in windows(model, picture, wave, sample_rate):
        weights = region_weights(regions, window.seen, window.maps.grid).to(window.bins.device)
        shares = window.maps.shares(window.columns_frame, weights[None])[:, :-1]
        count = window.last - window.first
        parts = share_out(window.bins, shares, count, sample_rate, model.scale)[0].cpu()
        parts[..., : window.before] = parts[..., : window.before] * fade(window.before) + held
        done, rest = parts.split([count - window.after, window.after], -1)
        held = rest * fade(window.after).flip(0)
        original = wave[None, :, window.first : window.last - window.after].cpu().double()
        off_screen = original - done.double().sum(0, keepdim=True)
        yield torch.cat([done, off_screen.float()])


def separate(model: Separator, clip: Clip, regions: Sequence[Region]) -> Stems:
    """The stem of each region, and of "off screen", at the clip's own rate and channels.

    Their sum is the clip's wave (to 1e-6 of its peak in float32), also where regions overlap: what several
    cover is split between them. A region smaller than a cell of the separator's grid gets a cell. A mask of
    another size is scaled, with a warning, where it has the frame's aspect.

    Raises:
        InputError: a clip without video or audio, or a region that isn't of this video.
    """
    wave = audio_of(clip)
    picture = frame_source(clip, model)
    for region in regions:
        if tuple(region.mask.shape[-2:]) != picture.size:
            found, expected = (f"{size[1]}x{size[0]}" for size in (region.mask.shape[-2:], picture.size))
            log.warning("region %r: its mask is %s, the video %s: scaled", region.name, found, expected)
    pieces = list(stream(model, picture, wave, clip.sample_rate, regions))
    return Stems(torch.cat(pieces, 2), list(regions), clip.sample_rate)


def pixel_stem(model: Separator, clip: Clip, x: float, y: float) -> Tensor:
    """The stem of the cell around the pixel (x, y), (A, N) float32.

    Raises:
        InputError: a clip without video or audio, or a point outside the video.
    """
    size = frame_source(clip, model).size
    return separate(model, clip, [Region.point(x, y, size)]).wave[0]


def audio_of(clip: Clip) -> Tensor:
    """The wave of a clip.

    Raises:
        InputError: it has none.
    """
    if clip.wave is None:
        raise InputError("the clip has no audio to separate")
    return clip.wave
