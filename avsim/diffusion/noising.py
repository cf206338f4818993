"""The noising step of rectified flow: a straight line from the data (s = 0) to noise (s = 1)."""

from dataclasses import dataclass

from torch import Tensor

from avsim.models.level_only import wiener
from avsim.models.tokens import repeat_levels


@dataclass(frozen=True, eq=False)
class Noised:
    """Noised tokens.

    Shapes: x, noise, x_s, v (B, L, D); s (B, K) the noise level, shared by runs of L / K tokens.
    """

    x: Tensor
    noise: Tensor
    s: Tensor

    @property
    def level(self) -> Tensor:
        """The level of every token, (B, L, 1)."""
        return repeat_levels(self.s, self.x.shape[1])[..., None]

    @property
    def x_s(self) -> Tensor:
        """x_s = (1 - s) x + s noise: the input of the model."""
        return (1 - self.level) * self.x + self.level * self.noise

    @property
    def v(self) -> Tensor:
        """The velocity dx_s / ds = noise - x (Rectified flow, 2209.03003, eq. 1)."""
        return self.noise - self.x


def predicted_clean(x_s: Tensor, v: Tensor, level: Tensor) -> Tensor:
    """The data that a velocity points to: x = x_s - s v."""
    return x_s - level * v


def level_only_velocity(x_s: Tensor, level: Tensor, variance: Tensor | float = 1.0) -> Tensor:
    """The velocity of x_s that points to the Wiener estimate (`wiener`) of the data."""
    return wiener(level, variance)[0] * x_s


def predicted_noise(x_s: Tensor, v: Tensor, level: Tensor) -> Tensor:
    """The noise that a velocity points to: noise = x_s + (1 - s) v."""
    return x_s + (1 - level) * v
