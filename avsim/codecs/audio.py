"""The audio autoencoder: what a stereo sound is like in, 32 latents a second, a sound that is like it out.

    wave (B, A, N) -> cues of 128 spectra a second -> 4 of them to one -> latents (B, Da, l)

The features are the level of each bin and its differences between the sides (`avsim.codecs.stereo`); phases
are found anew. The blocks are ConvNeXt's in one dimension (2201.03545).
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from avsim.clip import ClipSpec
from avsim.codecs.latent_norm import LatentNorm, bounded
from avsim.codecs.spectra import stft
from avsim.codecs.stereo import CUES, ITERATIONS, cues, waveform
from avsim.errors import InputError
from avsim.weights import configured

MEAN = (-8.5, 0.0, 0.0, 0.0)  # cues of sounds, and
STD = (1.2, 0.7, 0.6, 0.6)  # how far they lie from that
LOUDEST = 0.0  # level; a full-scale sine has ln(1/2)


class ConvNeXtBlock(nn.Module):
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


class CueNorm(nn.Module):
    """A network that knows what cues are like."""

    mean: Tensor  # (4, 1, 1)
    std: Tensor  # (4, 1, 1)

    def __init__(self) -> None:
        super().__init__()
        for name, values in (("mean", MEAN), ("std", STD)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)


class Encoder(CueNorm):
    """Cues to raw latents."""

    def __init__(self, bins: int, width: int, depths: tuple[int, int], expansion: int, fold: int, out: int):
        super().__init__()
        self.fold = fold
        self.embed = nn.Linear(CUES * bins, width)
        self.fine = nn.ModuleList(ConvNeXtBlock(width, expansion) for _ in range(depths[0]))
        self.coarsen = nn.Linear(fold * width, width)
        self.coarse = nn.ModuleList(ConvNeXtBlock(width, expansion) for _ in range(depths[1]))
        self.norm = nn.LayerNorm(width)
        self.read = nn.Linear(width, out)

    def forward(self, found: Tensor) -> Tensor:
        """Cues (B, 4, bins, F) -> (B, Da, F / fold)."""
        x = (found - self.mean) / self.std
        x = self.embed(rearrange(x, "b c k f -> b f (c k)"))  # (B, F, W)
        for block in self.fine:
            x = block(x)
        x = self.coarsen(rearrange(x, "b (l s) w -> b l (s w)", s=self.fold))  # (B, l, W)
        for block in self.coarse:
            x = block(x)
        return self.read(self.norm(x)).transpose(1, 2)


class Decoder(CueNorm):
    """Raw latents to cues."""

    def __init__(
        self, bins: int, width: int, depths: tuple[int, int], expansion: int, fold: int, channels: int
    ):
        super().__init__()
        self.fold = fold
        self.embed = nn.Linear(channels, width)
        self.coarse = nn.ModuleList(ConvNeXtBlock(width, expansion) for _ in range(depths[1]))
        self.refine = nn.Linear(width, fold * width)
        self.fine = nn.ModuleList(ConvNeXtBlock(width, expansion) for _ in range(depths[0]))
        self.norm = nn.LayerNorm(width)
        self.read = nn.Linear(width, CUES * bins)

    def forward(self, z: Tensor) -> Tensor:
        """Raw latents (B, Da, l) -> cues (B, 4, bins, l fold)."""
        x = self.embed(z.transpose(1, 2))
        for block in self.coarse:
            x = block(x)
        x = rearrange(self.refine(x), "b l (s w) -> b (l s) w", s=self.fold)  # (B, F, W)
        for block in self.fine:
            x = block(x)
        x = rearrange(self.read(self.norm(x)).float(), "b f (c k) -> b c k f", c=CUES)
        found = x * self.std + self.mean
        return torch.cat([found[:, :1].clamp(max=LOUDEST), found[:, 1:]], 1)


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
        self.latent_norm = LatentNorm(channels)
        self.register_buffer("window", torch.hann_window(4 * stride), persistent=False)

    def forward(self, found: Tensor, noise: Tensor | float = 0.0) -> tuple[Tensor, Tensor]:
        """What training sees: cues (B, 4, bins, l fold) -> their reconstruction and the raw latents.

        `noise`, as large as the latents, is added to them before they are decoded.
        """
        z = bounded(self.encoder(found))
        return self.decoder(z + noise), z

    def _latent_norms(self, z: Tensor) -> list[tuple[LatentNorm, Tensor]]:
        """Latents (B, Da, l) with their statistics: all of them are of one kind."""
        return [(self.latent_norm, z)]

    def cues(self, wave: Tensor) -> Tensor:
        """Wave (B, A, N), A 1 or 2 -> cues (B, 4, bins, l fold), l = ceil(N / hop); mono is on both sides.

        Raises:
            InputError: a wave of another shape.
        """
        if wave.ndim != 3 or wave.shape[1] not in (1, 2) or 0 in wave.shape:
            raise InputError(
                f"the wave is {tuple(wave.shape)}; expected (B, A, N) with one or two channels A"
            )
        whole = F.pad(wave, (0, -wave.shape[-1] % self.hop))
        return cues(stft(whole.expand(-1, 2, -1), self.n_fft, self.stride, self.window))

    def encode(self, wave: Tensor) -> Tensor:
        """Wave (B, A, N), A 1 or 2, at the codec's own rate -> (B, Da, l), l = ceil(N / hop).

        The end is padded with silence to a whole latent.

        Raises:
            InputError: a wave of another shape.
        """
        return self.latent_norm.normalise(bounded(self.encoder(self.cues(wave))))

    def decode(self, latents: Tensor, spec: ClipSpec, iterations: int = ITERATIONS) -> Tensor:
        """Latents (B, Da, l) -> wave (B, A, N) at the codec's rate, A and N as in `spec`.

        Fewer `iterations` of phase retrieval are quicker; 4 are enough for onsets.

        Raises:
            InputError: a spec of another sample rate or of more than two channels, or too few latents.
        """
        check(spec, self.sample_rate, latents.shape[-1] * self.hop)
        found = self.decoder(self.latent_norm.denormalise(latents))
        wave = waveform(found, self.n_fft, self.stride, self.window, iterations)[..., : spec.samples]
        return wave.mean(1, keepdim=True) if spec.channels == 1 else wave


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
