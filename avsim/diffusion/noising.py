"""The noising step of rectified flow: a straight line from the data (s = 0) to noise (s = 1)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from avsim.diffusion.tokens import spread


@dataclass(frozen=True, eq=False)
class Noised:
    """Tokens on their way to noise.

    Shapes: x, noise, x_s, v (B, L, D); s (B, K) the noise level, shared by runs of L / K tokens.
    """

    x: Tensor
    noise: Tensor
    s: Tensor

    @property
    def level(self) -> Tensor:
        """The level of every token, (B, L, 1)."""
        return spread(self.s, self.x.shape[1])[..., None]

    @property
    def x_s(self) -> Tensor:
        """x_s = (1 - s) x + s noise: what the model sees."""
        return (1 - self.level) * self.x + self.level * self.noise

    @property
    def v(self) -> Tensor:
        """The velocity dx_s / ds = noise - x (Rectified flow, 2209.03003, eq. 1)."""
        return self.noise - self.x


def clean_of(x_s: Tensor, v: Tensor, level: Tensor) -> Tensor:
    """The data that a velocity points back to: x = x_s - s v."""
    return x_s - level * v


def velocity_of(x_s: Tensor, x: Tensor, level: Tensor) -> Tensor:
    """The velocity that points back to the data x: v = (x_s - x) / s; 0 where nothing is noised."""
    return torch.where(level > 0, (x_s - x) / level.clamp(min=1e-4), 0.0)


def noise_of(x_s: Tensor, v: Tensor, level: Tensor) -> Tensor:
    """The noise that a velocity points to: noise = x_s + (1 - s) v."""
    return x_s + (1 - level) * v
