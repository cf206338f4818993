"""The interface of codecs.

Latents have about unit variance over all channels. Single channels may differ: those of the shipped codecs
have variances from 0.15 to 12 (`LatentNorm`), which generators learn and baselines measure.
"""

from typing import Protocol

from torch import Tensor

from avsim.clip import ClipSpec


class VideoCodec(Protocol):
    """Frames <-> video latents, causal in time."""

    channels: int  # Dv
    time_stride: int  # frames per latent; latent 0 is one frame
    space_stride: int  # pixels per latent, each way

    def encode(self, frames: Tensor) -> Tensor:
        """Frames (B, 3, T, H, W) in [0, 1] -> (B, Dv, t, h, w); pads T to 1 + k strides, H and W too."""
        ...

    def decode(self, latents: Tensor, spec: ClipSpec) -> Tensor:
        """Latents (B, Dv, t, h, w) -> frames (B, 3, T, H, W) in [0, 1], cropped to `spec`.

        It has a gradient by the latents, where one is requested.
        """
        ...


class AudioCodec(Protocol):
    """Waveform <-> audio latents."""

    channels: int  # Da
    hop: int  # samples per latent
    sample_rate: int  # Hz

    def encode(self, wave: Tensor) -> Tensor:
        """Wave (B, A, N), A 1 or 2 -> (B, Da, l), l = ceil(N / hop); mono is placed in the middle."""
        ...

    def decode(self, latents: Tensor, spec: ClipSpec) -> Tensor:
        """Latents (B, Da, l) -> wave (B, A, N), A and N as in `spec`."""
        ...
