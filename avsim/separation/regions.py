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
    # What the fullest cell may be: a faint mask stays faint, and a shared one shared.
    fullest, most = weights.amax(-1, keepdim=True), split.amax((-2, -1))[..., None]
    weights = weights * (most / fullest.clamp(min=1e-9)).clamp(min=1)
    return weights / weights.sum(-3, keepdim=True).clamp(min=1)


def check_regions(regions: Sequence[Region], size: tuple[int, int], frames: int) -> None:
    """Refuse regions that are not of a picture of `size` (H, W) with as many `frames`.

    Raises:
        InputError: a mask of another size or length.
    """
    for region in regions:
        shape = tuple(region.mask.shape)
        if shape[-2:] != size:
            raise InputError(
                f"region {region.name!r}: its mask is {shape[-1]}x{shape[-2]} (width x height), the picture "
                f"is {size[1]}x{size[0]}"
            )
        if len(shape) == 3 and shape[0] != frames:
            raise InputError(
                f"region {region.name!r}: its mask has {shape[0]} frames, the picture has {frames}"
            )


def region_weights(regions: Sequence[Region], seen: Tensor, grid: tuple[int, int]) -> Tensor:
    """The cell weights of `regions` at the clip's frame numbers `seen` (T,), as (R, T, h w)."""
    masks = [region.mask.float() for region in regions]
    if not masks:
        return torch.zeros(0, len(seen), grid[0] * grid[1])
    if all(mask.ndim == 2 for mask in masks):
        return cell_weights(torch.stack(masks)[:, None], grid).expand(-1, len(seen), -1)
    at = [
        cell_weights(torch.stack([m if m.ndim == 2 else m[frame] for m in masks])[:, None], grid)
        for frame in seen.tolist()  # frame by frame: large masks need not all be in memory twice
    ]
    return torch.cat(at, 1)


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
