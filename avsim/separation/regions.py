"""Regions of a video -> how much of each cell of the separator's grid is theirs."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from avsim.clip import Region
from avsim.data.videos import SUFFIXES
from avsim.errors import InputError

IMAGES = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".webp"))
SHORT = 256  # pixels of the short side of a mask that has one for each frame, at most
DARKEST = 0.1  # of a mask in a video: what is darker is outside
log = logging.getLogger("avsim")


def cell_weights(masks: Tensor, grid: tuple[int, int]) -> Tensor:
    """Masks (..., R, T, H, W) in [0, 1] -> weights (..., R, T, h w), at most 1 over all regions of a cell.

    A pixel that several regions cover is split between them evenly. A cell gives a region the part of its
    area that the region covers; a region smaller than a cell is widened until its fullest cell is wholly its
    own, because a cell is the separator's resolution.
    """
    split = masks / masks.sum(-4, keepdim=True).clamp(min=1)
    flat = split.reshape(-1, 1, *masks.shape[-2:])
    weights = F.adaptive_avg_pool2d(flat, grid).reshape(*masks.shape[:-2], grid[0] * grid[1])
    # What the fullest cell may be: a faint mask stays faint, and a shared one shared.
    fullest, most = weights.amax(-1, keepdim=True), split.amax((-2, -1))[..., None]
    weights = weights * (most / fullest.clamp(min=1e-9)).clamp(min=1)
    return weights / weights.sum(-3, keepdim=True).clamp(min=1)


def check_regions(regions: Sequence[Region], size: tuple[int, int], frames: int) -> None:
    """Raise InputError for regions of another size than (H, W) or another number of frames.

    A mask of another size is taken to be the same video where it has its aspect (within 1 %).

    Raises:
        InputError: a mask of another aspect or length.
    """
    for region in regions:
        shape = tuple(region.mask.shape)
        if not alike(shape[-2:], size):
            raise InputError(
                f"region {region.name!r}: its mask is {shape[-1]}x{shape[-2]} (width x height), the video "
                f"is {size[1]}x{size[0]}; their aspects must agree"
            )
        if len(shape) == 3 and shape[0] != frames:
            raise InputError(
                f"region {region.name!r}: its mask has {shape[0]} frames, the video has {frames}"
            )


def alike(one: Sequence[int], other: Sequence[int]) -> bool:
    """Whether two sizes (H, W) have one aspect, within 1 %."""
    return abs(one[1] * other[0] - one[0] * other[1]) <= 0.01 * one[0] * other[1]


def region_weights(regions: Sequence[Region], seen: Tensor, grid: tuple[int, int]) -> Tensor:
    """The cell weights of `regions` at the clip's frame numbers `seen` (T,), as (R, T, h w).

    Masks of several sizes are all scaled to the largest.
    """
    if not regions:
        return torch.zeros(0, len(seen), grid[0] * grid[1])
    size = max((tuple(region.mask.shape[-2:]) for region in regions), key=math.prod)

    def at(frame: int) -> Tensor:
        """(R, 1, H, W): frame by frame, as large masks need not all be in memory twice."""
        masks = [region.mask if region.mask.ndim == 2 else region.mask[frame] for region in regions]
        return torch.stack([scaled(mask.float(), size) for mask in masks])[:, None]

    if all(region.mask.ndim == 2 for region in regions):
        return cell_weights(at(0), grid).expand(-1, len(seen), -1)
    return torch.cat([cell_weights(at(frame), grid) for frame in seen.tolist()], 1)


def scaled(mask: Tensor, size: tuple[int, ...]) -> Tensor:
    """A mask (H', W') at another size (H, W), pixels averaged."""
    return mask if mask.shape == size else F.interpolate(mask[None, None], size, mode="area")[0, 0]


def read_masks(path: str | Path, size: tuple[int, int], frames: int) -> Tensor:
    """A mask from a file or a folder, for a video of `size` (H, W) and so many frames.

    An image is a still mask (H, W); a folder of images (in the order of their names) or a video is one per
    frame, (T, H', W') float16: each covers its even part of the video's time.

    Raises:
        InputError: as `read_mask`; a folder without images, or images of different sizes; a video that can't
            be read; masks that don't fit in memory.
    """
    path = Path(path)
    if path.is_dir():
        images = sorted(file for file in path.iterdir() if file.suffix.lower() in IMAGES)
        if not images:
            raise InputError(f"{path}: holds no masks; expected images, one for each frame")
        first = _pixels(images[0])
        _check_aspect(path, first.shape[-2:], size)
        masks = torch.empty(len(images), *_small(first.shape[-2:]), dtype=torch.float16)
        for number, file in enumerate(images):
            pixels = _pixels(file)
            if pixels.shape != first.shape:
                raise InputError(f"{file}: is of another size than {images[0].name}; masks of a video agree")
            masks[number] = scaled(pixels, masks.shape[1:])
    elif path.suffix.lower() in SUFFIXES:
        from avsim import media

        shape = media.probe(path).size
        if shape is None:
            raise InputError(f"{path}: has no video to be masks")
        _check_aspect(path, shape, size)
        shown = media.read(path, size=_small(shape), want="frames").frames
        assert shown is not None
        masks = shown.mean(0).half()
        masks = masks * (masks >= DARKEST)  # what a lossy video leaves in the dark
    else:
        return read_mask(path, size)
    if not (masks > 0).any():
        raise InputError(f"{path}: the masks are empty, no pixel of them is above black")
    return masks[((torch.arange(frames) + 0.5) / frames * len(masks)).long()]


def _small(shape: Sequence[int]) -> tuple[int, int]:
    """The size at which masks of every frame are kept: the separator's cells are far coarser."""
    scale = min(1.0, SHORT / min(shape))
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def read_mask(path: str | Path, size: tuple[int, int]) -> Tensor:
    """An image as a mask (H, W) in [0, 1] for a video of `size`: white is inside, transparent is outside.

    It is scaled, with a warning, where it has the frame's aspect (within 1 %).

    Raises:
        InputError: no such file, not an image, another aspect, or nothing white in it.
    """
    path = Path(path)
    pixels = _pixels(path)
    _check_aspect(path, pixels.shape, size)
    pixels = scaled(pixels, size)
    if not (pixels > 0).any():
        raise InputError(f"{path}: the mask is empty, no pixel of it is above black")
    return pixels


def _check_aspect(path: Path, shape: Sequence[int], size: tuple[int, int]) -> None:
    """Raise InputError for a mask of another aspect ratio; warn where one of another size is scaled."""
    found, expected = (f"{each[1]}x{each[0]}" for each in (shape, size))
    if not alike(shape, size):
        raise InputError(
            f"{path}: the mask is {found}, the video {expected} (width x height); their aspects must agree"
        )
    if tuple(shape) != tuple(size):
        log.warning("%s: the mask is %s, the video %s: it is scaled", path, found, expected)


def _pixels(path: Path) -> Tensor:
    """An image as a mask (H, W) in [0, 1]."""
    import cv2

    if not path.is_file():
        raise InputError(f"{path}: no such mask file")
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise InputError(f"{path}: not an image that can be read as a mask")
    full = 65535.0 if image.dtype.itemsize == 2 else 255.0
    pixels = torch.from_numpy(image.astype("float32")).clamp(0, full) / full
    if 0 < image.max() <= 1 and image.dtype != bool:
        log.warning("%s: its largest value is 1 of %d; a mask's inside is white (%d)", path, full, full)
    if pixels.ndim == 3:
        colour = pixels[..., :3].mean(-1)
        pixels = colour * pixels[..., 3] if pixels.shape[-1] == 4 else colour
    return pixels
