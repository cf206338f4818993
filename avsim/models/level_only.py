"""The best linear estimate of the velocity from a noisy token and its noise level alone."""

from torch import Tensor


def wiener(level: Tensor, variance: Tensor | float = 1.0) -> tuple[Tensor, Tensor]:
    """The Wiener filter of x_s for uncorrelated channels of `variance` e at the level s.

    With n = (1 - s)^2 e + s^2, the variance of x_s, the filter's velocity is ((s - (1 - s) e) / n) x_s, with
    a standard error of sqrt(e / n). Returns the factor of x_s, and that error.
    """
    s, rest = level, 1 - level
    noisy = rest.square() * variance + s.square()
    return (s - rest * variance) / noisy, (variance / noisy).sqrt()
