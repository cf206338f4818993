"""Random numbers that depend on where they are used, never on who asked first.

Every draw of avsim (indices, crops, noise levels, noise, dropout, a world's scenes) comes from a generator
named by a path, such as `generator(seed, "noise", step, row)`. So neither the number of workers, nor that of
processes, nor a kill and resume can change a draw.
"""

import hashlib
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
