"""Rotary positions in three dimensions: seconds, row and column (RoPE, 2104.09864).

The score of a query at second p and a key at second q depends on their difference p - q alone, whatever their
modality: the rotation that orders the frames also aligns audio with the moment of the video it belongs to.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from avsim.errors import InputError
from avsim.models.tokens import Positions

SECONDS = (0.12, 8.0)  # shortest and longest period, in seconds
SPACE = (0.25, 4.0)  # shortest and longest period, in units of sqrt(height x width)


class Rotary(NamedTuple):
    """Cosine and sine of each token's angles, (L, head width / 2) each; computed once per clip."""

    cos: Tensor
    sin: Tensor


def angles(at: Positions, head_width: int) -> Tensor:
    """Each token's angles, (L, head width / 2): half of them for its time, a quarter each for row and column.

    Raises:
        InputError: a head width that is not a multiple of 8.
    """
    if head_width % 8:
        raise InputError(f"heads are {head_width} wide; rotary positions need a multiple of 8")
    count = head_width // 8
    return torch.cat(
        [
            phases(at.seconds, *SECONDS, 2 * count),
            phases(at.row, *SPACE, count),
            phases(at.column, *SPACE, count),
        ],
        dim=-1,
    )


def phases(position: Tensor, shortest: float, longest: float, count: int) -> Tensor:
    """2 pi position / period for `count` periods from `shortest` to `longest` in equal ratios, (L, count)."""
    ratio = torch.linspace(0, 1, count, dtype=torch.float64, device=position.device)
    periods = shortest * (longest / shortest) ** ratio
    return (2 * math.pi * position[:, None].double() / periods).to(position.dtype)


def rotary(at: Positions, head_width: int, device: torch.device | None = None) -> Rotary:
    """Cosine and sine of the angles of tokens at the positions `at`."""
    angle = angles(at, head_width).to(device)
    return Rotary(angle.cos(), angle.sin())


def rotate(x: Tensor, by: Rotary) -> Tensor:
    """Rotate each pair (x_i, x_{i + half}) of x (B, heads, L, head width) by its token's angle i."""
    first, second = x.chunk(2, dim=-1)
    rotated = [first * by.cos - second * by.sin, first * by.sin + second * by.cos]
    return torch.cat(rotated, dim=-1).type_as(x)
