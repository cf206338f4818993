"""What both codecs do to their latents: hold them within bounds, and give them unit variance."""

import torch
from torch import Tensor, nn

BOUND = 3.0  # raw latents lie in (-3, 3), so that noise of a fixed size can't be outgrown


def bounded(z: Tensor) -> Tensor:
    """`3 tanh(z / 3)`: the identity near zero, never beyond ± 3. Any shape, in float32."""
    return BOUND * torch.tanh(z.float() / BOUND)


class LatentNorm(nn.Module):
    """Mean and standard deviation of each raw latent channel, stored with the weights.

    Without `energy`, normalised latents have unit variance per channel. With it, the scale is half-way, in
    logarithms, between unit variance and the spectrum of the video, in which few channels hold nearly all
    energy: with unit variance a generator spends its capacity on invisible detail, with the spectrum it omits
    detail.

    `observe` gathers them while training; encoding and decoding only read them. They are buffers, so that a
    checkpoint, an averaged copy and an exported folder carry them.
    """

    mean: Tensor  # (D,)
    square: Tensor  # (D,), the mean of squares
    energy: Tensor | None  # (D,), of what a raw latent of 1 adds to the video
    batches: Tensor  # (), how many were observed

    def __init__(
        self,
        channels: int,
        memory: int = 100,  # batches over which the running average forgets
        energy: Tensor | None = None,  # (D,), of what a raw latent of 1 adds to the video; None: all alike
    ) -> None:
        super().__init__()
        self.memory = memory
        self.register_buffer("energy", energy, persistent=False)
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("square", torch.ones(channels))
        self.register_buffer("batches", torch.zeros(()))

    @torch.no_grad()
    def observe(self, moments: Tensor) -> None:
        """Take a batch's `moments` (2, D) into the running average, exact at first, then forgetting."""
        self.batches.add_(1)
        share = 1 / self.batches.clamp(max=self.memory)
        self.mean.lerp_(moments[0], share)
        self.square.lerp_(moments[1], share)

    @property
    def std(self) -> Tensor:
        """Standard deviation of each channel, (D,)."""
        return (self.square - self.mean.square()).clamp(min=1e-6).sqrt()

    @property
    def scale(self) -> Tensor:
        """What raw latents are divided by, (D,)."""
        if self.energy is None:
            return self.std
        share = self.std * self.energy.sqrt()  # the square root of the energy of a deviation
        return self.std / (share / share.mean()).sqrt()

    def normalise(self, z: Tensor) -> Tensor:
        """Raw latents (B, D, ...) -> unit variance, shared out over the channels."""
        return (z.float() - _channels(self.mean, z)) / _channels(self.scale, z)

    def denormalise(self, z: Tensor) -> Tensor:
        """Latents of unit variance (B, D, ...) -> raw."""
        return z.float() * _channels(self.scale, z) + _channels(self.mean, z)


@torch.no_grad()
def moments_of(z: Tensor) -> Tensor:
    """Mean and mean square of each channel of (B, D, ...), stacked to (2, D), in float32."""
    flat = z.detach().float().transpose(0, 1).flatten(1)
    return torch.stack([flat.mean(1), flat.square().mean(1)])


def _channels(values: Tensor, like: Tensor) -> Tensor:
    return values.reshape(1, -1, *(1 for _ in range(like.ndim - 2)))
