"""The best linear estimate of the velocity from a noisy token and its level alone."""

from torch import Tensor


def wiener(level: Tensor, energy: Tensor | float = 1.0) -> tuple[Tensor, Tensor]:
    """What the level s alone tells of the velocity, of uncorrelated channels of energies e.

    With n = (1 - s)^2 e + s^2 the energy of x_s, the Wiener filter's velocity is (s - (1 - s) e) / n x_s, and
    errs by sqrt(e / n). Returns that factor and that error.
    """
    s, rest = level, 1 - level
    noisy = rest.square() * energy + s.square()
    return (s - rest * energy) / noisy, (energy / noisy).sqrt()
