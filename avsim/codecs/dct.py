"""Blocks of pixels as cosines of about equal strength: what the video codec's networks see and draw.

Video's energy falls with frequency and lies in luma. A network that sees pixels has to undo that first, and
every step of its optimizer shakes the video's mean most; one that sees cosines divided by their strength
need not. The strongest few are also a codec by themselves: 16 of them to a block of 8 x 8 x 4 reconstruct a
video as well as its own 16 principal components do (25.1 dB each).
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn


class DCT(nn.Module):
    """Fixed linear maps between blocks, (3, S, size, size) pixels, and the strongest cosines of them.

    The rows of the analysis are orthogonal: with all 3 S size^2 cosines nothing is lost, with fewer it is a
    projection.
    """

    analysis: Tensor  # (D, 3 S size^2, 1, 1)
    synthesis: Tensor  # (3 S size^2, D, 1, 1)

    def __init__(
        self,
        channels: int,  # D, how many cosines, the strongest in video first
        size: int,  # of a block in pixels, each way
        frames: int = 1,  # S, of a block
        spread: float = 1.0,  # deviation of each cosine in video
    ) -> None:
        super().__init__()
        self.size, self.frames = size, frames
        atoms, deviation = _atoms(size, frames)
        chosen = deviation.argsort(descending=True, stable=True)[:channels]
        atoms, gain = atoms[chosen], spread / deviation[chosen, None]
        self.register_buffer("analysis", (gain * atoms)[..., None, None], persistent=False)
        self.register_buffer("synthesis", (atoms / gain).T[..., None, None].contiguous(), persistent=False)

    @property
    def energy(self) -> Tensor:
        """Sum of squares that a cosine of 1 adds to its block, (D,)."""
        return self.synthesis.flatten(1).square().sum(0)

    def encode(self, frames: Tensor) -> Tensor:
        """Frames about 0, (B, 3, k S, size h, size w) -> (B, D, k, h, w), in float32 or better."""
        x = rearrange(frames, "b c (k s) h w -> (b k) (c s) h w", s=self.frames)
        with torch.autocast(x.device.type, enabled=False):
            x = F.conv2d(F.pixel_unshuffle(x, self.size), self.analysis.to(x.dtype))
        return rearrange(x, "(b k) d h w -> b d k h w", b=len(frames))

    def decode(self, z: Tensor) -> Tensor:
        """DCT (B, D, k, h, w) -> frames about 0, (B, 3, k S, size h, size w)."""
        with torch.autocast(z.device.type, enabled=False):
            x = rearrange(z, "b d k h w -> (b k) d h w")
            x = F.pixel_shuffle(F.conv2d(x, self.synthesis.to(x.dtype)), self.size)
        return rearrange(x, "(b k) (c s) h w -> b c (k s) h w", b=len(z), s=self.frames)


def _atoms(size: int, frames: int) -> tuple[Tensor, Tensor]:
    """All cosines of a block as orthonormal rows, and the deviation that video has in each."""
    luma = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 2.0, -1.0]])
    bases = [luma / luma.norm(dim=1, keepdim=True), _basis(frames), _basis(size), _basis(size)]
    atoms = torch.einsum("ac,bt,dy,ex->abdectyx", *bases).reshape(3 * frames * size**2, -1)
    axes = (torch.tensor([1.0, 0.4, 0.25]), *(torch.arange(n).float() for n in (frames, size, size)))
    colour, t, y, x = torch.meshgrid(*axes, indexing="ij")
    # Measured on a video, with frequencies in half periods to 8 pixels: about 1 / frequency^1.3.
    frequency = (8 / size) ** 2 * (y.square() + x.square() + 0.1) + 4 * t.square()
    return atoms, (0.6 * frames**0.5 * colour / frequency**0.65).flatten()


def _basis(n: int) -> Tensor:
    """The orthonormal cosine basis DCT-II, (frequency, place)."""
    k, i = torch.arange(n)[:, None], torch.arange(n)
    basis = torch.cos(torch.pi * (i + 0.5) * k / n) * (2 / n) ** 0.5
    basis[0] /= 2**0.5
    return basis
