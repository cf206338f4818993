"""Regions of a picture -> how much of each cell of the separator's grid is theirs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from avsim.clip import Region
from avsim.errors import InputError


def cell_weights(masks: Tensor, grid: tuple[int, int]) -> Tensor:
    """Masks (..., R, T, H, W) in [0, 1] -> weights (..., R, T, h w), at most 1 over all regions of a cell.

    A pixel that several regions cover is split between them evenly. A cell gives a region the part of its
    area that the region covers; a region smaller than a cell is widened until its fullest cell is wholly its
    own, because the separator sees nothing finer than a cell.
    """
    split = masks / masks.sum(-4, keepdim=True).clamp(min=1)
    flat = split.reshape(-1, 1, *masks.shape[-2:])
    weights = F.adaptive_avg_pool2d(flat, grid).reshape(*masks.shape[:-2], grid[0] * grid[1])
    fullest = weights.amax((-2, -1), keepdim=True)
    covered = masks.amax((-3, -2, -1))[..., None, None]  # a faint mask stays faint
    weights = weights * (covered / fullest.clamp(min=1e-9)).clamp(min=1)
    return weights / weights.sum(-3, keepdim=True).clamp(min=1)


def stacked(regions: Sequence[Region], frames: Tensor, size: tuple[int, int]) -> Tensor:
    """The masks of `regions` at the clip's frame numbers `frames` (T,), as (R, T, H, W).

    Raises:
        InputError: a mask of another size than the picture, or with too few frames.
    """
    masks = []
    for region in regions:
        mask = region.mask.float()
        if tuple(mask.shape[-2:]) != size:
            raise InputError(
                f"region {region.name!r}: its mask is {mask.shape[-1]}x{mask.shape[-2]} (width x height), "
                f"the picture is {size[1]}x{size[0]}"
            )
        if mask.ndim == 3:
            if int(frames.max()) >= mask.shape[0]:
                raise InputError(
                    f"region {region.name!r}: its mask has {mask.shape[0]} frames, the clip has more"
                )
            masks.append(mask[frames])
        else:
            masks.append(mask.expand(len(frames), *size))
    return torch.stack(masks) if masks else torch.zeros(0, len(frames), *size)


def read_mask(path: str | Path, size: tuple[int, int]) -> Tensor:
    """An image as a mask (H, W) in [0, 1] for a picture of `size`: white is inside, transparent is outside.

    It is scaled where it has the picture's aspect (within 1 %).

    Raises:
        InputError: no such file, not an image, another aspect, or nothing white in it.
    """
    import cv2

    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such mask file")
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise InputError(f"{path}: not an image that can be read as a mask")
    full = 65535.0 if image.dtype.itemsize == 2 else 255.0
    pixels = torch.from_numpy(image.astype("float32")).clamp(0, full) / full
    if pixels.ndim == 3:
        colour = pixels[..., :3].mean(-1)
        pixels = colour * pixels[..., 3] if pixels.shape[-1] == 4 else colour
    height, width = pixels.shape
    if abs(width * size[0] - height * size[1]) > 0.01 * height * size[1]:
        raise InputError(
            f"{path}: the mask is {width}x{height}, the picture {size[1]}x{size[0]} (width x height); "
            "their aspects must agree"
        )
    if (height, width) != size:
        pixels = F.interpolate(pixels[None, None], size, mode="area")[0, 0]
    if not (pixels > 0).any():
        raise InputError(f"{path}: the mask is empty, no pixel of it is above black")
    return pixels
