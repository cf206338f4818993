"""Random numbers that depend on where they are used, not on the order of calls.

Every draw of avsim (indices, crops, noise levels, noise, dropout, a world's scenes) comes from a generator
named by a path, such as `generator(seed, "noise", step, row)`. So neither the number of workers, nor that of
processes, nor a kill and resume can change a draw.
"""

import hashlib
import math
from collections.abc import Sequence

import torch
from torch import Tensor


def derive(seed: int, *path: int | str) -> int:
    """A 63-bit seed for the place that `path` names, from a run's one integer."""
    digest = hashlib.blake2b(repr((int(seed), *path)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def generator(seed: int, *path: int | str) -> torch.Generator:
    """A CPU generator for the place that `path` names (CPU, so that a draw is the same on every device)."""
    return torch.Generator().manual_seed(derive(seed, *path))


def normal_like(x: Tensor, rows: Sequence[torch.Generator]) -> Tensor:
    """Normal values like x (B, ...), each row from a generator of its own on the CPU."""
    return torch.stack([torch.randn(x.shape[1:], generator=row) for row in rows]).to(x)


def normal_rows(shape: tuple[int, ...], seed: int, *path: int | str, first_row: int = 0) -> Tensor:
    """Standard normal noise (B, ...) whose row i depends on `(seed, *path, first_row + i)` alone."""
    rows = range(first_row, first_row + shape[0])
    return torch.stack([torch.randn(shape[1:], generator=generator(seed, *path, row)) for row in rows])


# SplitMix64 (Steele, Lea and Flood 2014), in int64 that wraps around.
_STEP, _FIRST, _SECOND = -0x61C8864680B583EB, -0x40A7B892E31B1A47, -0x6B2FB644ECCEEE15


def _mixed(z: Tensor) -> Tensor:
    """64 well mixed bits of each int64."""
    z = (z ^ (z >> 30 & (1 << 34) - 1)) * _FIRST
    z = (z ^ (z >> 27 & (1 << 37) - 1)) * _SECOND
    return z ^ (z >> 31 & (1 << 33) - 1)


def _row_bits(rows: Tensor, count: int, seed: int, *path: int | str) -> Tensor:
    """`count` int64 for each of `rows` (B,), (B, count)."""
    keys = _mixed(rows.long() * _STEP + derive(seed, *path))
    counter = torch.arange(1, count + 1, device=rows.device) * _STEP
    return _mixed(keys[:, None] + counter)


def _unit(bits: Tensor) -> Tensor:
    """The lowest 23 bits as float32 within (0, 1), exactly: 0 and 1 are left out."""
    return ((bits & (1 << 23) - 1).float() + 0.5) * 2**-23


def row_uniform(rows: Tensor, shape: tuple[int, ...], seed: int, *path: int | str) -> Tensor:
    """Uniform values in (0, 1), (B, *shape), on the device of `rows` (B,), which the host never waits for.

    Row i depends on `(seed, *path, rows[i])` alone, whatever the device and the other rows.
    """
    bits = _row_bits(rows, math.prod(shape), seed, *path)
    return _unit(bits >> 40).view(len(rows), *shape)


def row_normal(rows: Tensor, shape: tuple[int, ...], seed: int, *path: int | str) -> Tensor:
    """Standard normal values, (B, *shape), as `row_uniform`; the same on all devices up to rounding."""
    count = math.prod(shape)
    bits = _row_bits(rows, (count + 1) // 2, seed, *path)
    radius, turn = (-2 * _unit(bits >> 40).log()).sqrt(), (2 * math.pi) * _unit(bits)  # Box and Muller
    both = torch.cat([radius * turn.cos(), radius * turn.sin()], dim=1)  # (B, count or one more)
    return both[:, :count].view(len(rows), *shape)
