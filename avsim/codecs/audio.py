"""The audio autoencoder: stereo as mid and side, complex spectra in, 32 latents a second, inverse STFT out.

    wave (B, A, N) -> spectra of mid and side, 128 frames a second -> 4 frames to one -> latents (B, Da, l)

The decoder predicts log-magnitude and a phase vector (Vocos, 2306.00814); the blocks are ConvNeXt's in one
dimension (2201.03545).
"""

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from avsim.clip import ClipSpec
from avsim.codecs.latents import Whitening, bounded
from avsim.codecs.spectra import compressed, istft, stft
from avsim.errors import InputError
from avsim.weights import configured

LOUDEST = 2.0  # log-magnitude; a full-scale sine has log(1/2)


class Block(nn.Module):
    """ConvNeXt in one dimension: a depthwise convolution over time, then an MLP at each frame."""

    def __init__(self, width: int, expansion: int, kernel: int = 7) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, expansion * width)
        self.narrow = nn.Linear(expansion * width, width)
        self.gain = nn.Parameter(torch.full((width,), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, F, W) -> the same shape."""
        h = self.depthwise(x.transpose(1, 2)).transpose(1, 2)
        return x + self.gain * self.narrow(F.gelu(self.widen(self.norm(h))))


class Encoder(nn.Module):
    """Spectra of mid and side to raw latents."""

    def __init__(self, bins: int, width: int, depths: tuple[int, int], expansion: int, fold: int, out: int):
        super().__init__()
        self.fold = fold
        self.embed = nn.Linear(2 * 2 * bins, width)
        self.fine = nn.ModuleList(Block(width, expansion) for _ in range(depths[0]))
        self.coarsen = nn.Linear(fold * width, width)
        self.coarse = nn.ModuleList(Block(width, expansion) for _ in range(depths[1]))
        self.norm = nn.LayerNorm(width)
        self.read = nn.Linear(width, out)

    def forward(self, spectra: Tensor) -> Tensor:
        """Complex spectra (B, 2, bins, F) -> (B, Da, F / fold)."""
        x = torch.view_as_real(compressed(spectra))
        x = self.embed(rearrange(x, "b m k f c -> b f (m k c)"))  # (B, F, W)
        for block in self.fine:
            x = block(x)
        x = self.coarsen(rearrange(x, "b (l s) w -> b l (s w)", s=self.fold))  # (B, l, W)
        for block in self.coarse:
            x = block(x)
        return self.read(self.norm(x)).transpose(1, 2)


class Decoder(nn.Module):
    """Raw latents to spectra of mid and side."""

    def __init__(
        self, bins: int, width: int, depths: tuple[int, int], expansion: int, fold: int, channels: int
    ):
        super().__init__()
        self.fold = fold
        self.embed = nn.Linear(channels, width)
        self.coarse = nn.ModuleList(Block(width, expansion) for _ in range(depths[1]))
        self.refine = nn.Linear(width, fold * width)
        self.fine = nn.ModuleList(Block(width, expansion) for _ in range(depths[0]))
        self.norm = nn.LayerNorm(width)
        self.read = nn.Linear(width, 2 * 3 * bins)
        with torch.no_grad():  # quiet at the start: every bin about 60 dB below a full-scale sine
            self.read.bias[: 2 * bins].fill_(math.log(1e-3))

    def forward(self, z: Tensor) -> Tensor:
        """Raw latents (B, Da, l) -> complex spectra (B, 2, bins, l fold)."""
        x = self.embed(z.transpose(1, 2))
        for block in self.coarse:
            x = block(x)
        x = rearrange(self.refine(x), "b l (s w) -> b (l s) w", s=self.fold)  # (B, F, W)
        for block in self.fine:
            x = block(x)
        x = rearrange(self.read(self.norm(x)).float(), "b f (p m k) -> p b m k f", p=3, m=2)
        level, real, imaginary = x
        scale = level.clamp(max=LOUDEST).exp() * (real.square() + imaginary.square() + 1e-6).rsqrt()
        return torch.complex(scale * real, scale * imaginary)


@configured
class AudioAutoencoder(nn.Module):
    """Waveform <-> latents of unit variance, `hop` samples each; meets `avsim.codecs.protocol.AudioCodec`."""

    window: Tensor

    def __init__(
        self,
        sample_rate: int = 16000,  # Hz
        channels: int = 16,  # of a latent, Da
        width: int = 256,  # of the blocks
        depths: tuple[int, int] = (2, 2),  # blocks at the frames' rate and at the latents', each way
        expansion: int = 2,  # of the blocks' MLP
        n_fft: int = 512,
        stride: int = 125,  # samples between spectral frames; the window is 4 of them long
        fold: int = 4,  # spectral frames to one latent
    ) -> None:
        super().__init__()
        self.channels, self.sample_rate, self.hop = channels, sample_rate, stride * fold
        self.n_fft, self.stride = n_fft, stride
        bins = n_fft // 2 + 1
        self.encoder = Encoder(bins, width, tuple(depths), expansion, fold, channels)  # type: ignore[arg-type]
        self.decoder = Decoder(bins, width, tuple(depths), expansion, fold, channels)  # type: ignore[arg-type]
        self.whitening = Whitening(channels)
        self.register_buffer("window", torch.hann_window(4 * stride), persistent=False)

    def forward(self, wave: Tensor, noise: Tensor | float = 0.0) -> tuple[Tensor, Tensor]:
        """What training sees: mid and side (B, 2, l hop) -> their reconstruction and the raw latents.

        `noise`, as large as the latents, is added to them before they are decoded.
        """
        z = bounded(self.encoder(stft(wave, self.n_fft, self.stride, self.window)))
        return self._sound(z + noise), z

    def encode(self, wave: Tensor) -> Tensor:
        """Wave (B, A, N), A 1 or 2, at the codec's own rate -> (B, Da, l), l = ceil(N / hop).

        Mono is heard from the middle; the end is padded with silence to a whole latent.

        Raises:
            InputError: a wave of another shape.
        """
        middle = mid_side(wave)
        middle = F.pad(middle, (0, -middle.shape[-1] % self.hop))
        z = self.encoder(stft(middle, self.n_fft, self.stride, self.window))
        return self.whitening.normalise(bounded(z))

    def decode(self, latents: Tensor, spec: ClipSpec) -> Tensor:
        """Latents (B, Da, l) -> wave (B, A, N) at the codec's rate, A and N as in `spec`.

        Raises:
            InputError: a spec of another sample rate or of more than two channels, or too few latents.
        """
        check(spec, self.sample_rate, latents.shape[-1] * self.hop)
        wave = self._sound(self.whitening.denormalise(latents))[..., : spec.samples]
        return left_right(wave, spec.channels)

    def _sound(self, z: Tensor) -> Tensor:
        return istft(self.decoder(z), self.n_fft, self.stride, self.window)


def mid_side(wave: Tensor) -> Tensor:
    """Wave (B, A, N) -> mid (L + R) / 2 and side (L - R) / 2, (B, 2, N); mono has no side.

    Raises:
        InputError: neither one channel nor two, or no samples.
    """
    if wave.ndim != 3 or wave.shape[1] not in (1, 2) or 0 in wave.shape:
        raise InputError(f"the wave is {tuple(wave.shape)}; expected (B, A, N) with one or two channels A")
    if wave.shape[1] == 1:
        return torch.cat([wave, torch.zeros_like(wave)], 1)
    left, right = wave.unbind(1)
    return torch.stack([(left + right) / 2, (left - right) / 2], 1)


def left_right(wave: Tensor, channels: int = 2) -> Tensor:
    """Mid and side (B, 2, N) -> the wave (B, A, N): left and right, or the mid alone."""
    mid, side = wave.unbind(1)
    return mid[:, None] if channels == 1 else torch.stack([mid + side, mid - side], 1)


def check(spec: ClipSpec, sample_rate: int, samples: int) -> None:
    """Refuse a `spec` that a codec of `sample_rate` with latents for `samples` can't decode to.

    Raises:
        InputError: another rate, more than two channels, or more samples than there are latents for.
    """
    if spec.sample_rate != sample_rate:
        raise InputError(
            f"sample_rate is {spec.sample_rate} Hz; this codec works at {sample_rate} Hz (resample first)"
        )
    if spec.channels not in (1, 2):
        raise InputError(f"channels is {spec.channels}; this codec decodes to 1 (mono) or 2 (stereo)")
    if samples < spec.samples:
        raise InputError(f"latents decode to {samples} samples; the spec asks for {spec.samples}")
