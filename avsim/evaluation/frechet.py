"""Distances between two sets of embeddings: Fréchet's, what it tends to with more clips, and the kernel one.

    d^2 = |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))

is too large for few clips, by nearly c / n (Chong and Forsyth 1911.07023), so that it is extrapolated to
infinitely many; the kernel distance (Binkowski et al. 1801.01401) is unbiased as it is. All in float64.
"""

import torch
from torch import Tensor

from avsim import seeds
from avsim.errors import InputError

SIZES = 6  # numbers of clips, from half of them to all, that the extrapolation goes through
REPEATS = 4  # random subsets of each size


def frechet(one: Tensor, other: Tensor) -> float:
    """Squared Fréchet distance between Gaussians of the means and covariances of (n, d) and (m, d).

    Raises:
        InputError: fewer than two embeddings in one of them, or others of another width.
    """
    _check(one, other, 2)
    (mean, covariance), (other_mean, other_covariance) = _moments(one), _moments(other)
    # The eigenvalues of C1 C2 are those of the symmetric C1^(1/2) C2 C1^(1/2).
    values, vectors = torch.linalg.eigh(covariance)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    cross = torch.linalg.eigvalsh(root @ other_covariance @ root).clamp(min=0).sqrt().sum()
    spread = covariance.trace() + other_covariance.trace() - 2 * cross
    return ((mean - other_mean).square().sum() + spread).item()


def frechet_extrapolated(one: Tensor, other: Tensor, seed: int = 0) -> float:
    """`frechet` of `one` (n, d) against all of `other`, as n goes to infinity: a line in 1 / n.

    Raises:
        InputError: fewer than eight embeddings in `one`.
    """
    _check(one, other, 8)
    random = seeds.generator(seed, "extrapolation")
    inverse, found = [], []
    for size in torch.linspace(len(one) / 2, len(one), SIZES).round().long().tolist():
        for _ in range(REPEATS if size < len(one) else 1):
            chosen = torch.randperm(len(one), generator=random)[:size]
            inverse.append([1.0, 1.0 / size])
            found.append([frechet(one[chosen], other)])
    line = torch.linalg.lstsq(
        torch.tensor(inverse, dtype=torch.float64), torch.tensor(found, dtype=torch.float64)
    )
    return line.solution[0].item()


def kernel_distance(one: Tensor, other: Tensor) -> float:
    """Unbiased squared maximum mean discrepancy with the kernel (x y / d + 1)^3, of (n, d) and (m, d).

    Raises:
        InputError: fewer than two embeddings in one of them, or others of another width.
    """
    _check(one, other, 2)
    one, other = one.double(), other.double()
    within = [_kernel(each, each) for each in (one, other)]
    means = [(k.sum() - k.trace()) / (len(k) * (len(k) - 1)) for k in within]
    return (means[0] + means[1] - 2 * _kernel(one, other).mean()).item()


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.T / x.shape[1] + 1) ** 3


def _moments(values: Tensor) -> tuple[Tensor, Tensor]:
    values = values.double()
    return values.mean(0), torch.cov(values.T).view(values.shape[1], values.shape[1])


def _check(one: Tensor, other: Tensor, least: int) -> None:
    if one.ndim != 2 or other.ndim != 2 or one.shape[1] != other.shape[1]:
        raise InputError(
            f"embeddings are {tuple(one.shape)} and {tuple(other.shape)}; expected (n, d) and (m, d)"
        )
    if len(one) < least or len(other) < 2:
        raise InputError(
            f"{len(one)} and {len(other)} embeddings; a distance needs at least {least} and 2 of them"
        )
