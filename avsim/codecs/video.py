"""The video autoencoder: 8 x 8 x 4, causal in time, quick on a CPU because it patchifies before it convolves.

    frames (B, 3, T, H, W) -> 4 x 4 patches -> 8 x 8 patches -> 4 frames to one -> latents (B, Dv, t, h, w)

With a stride of 16 patches are 8 x 8 and then 16 x 16: frames of twice the size have as many latents, and
cost about as much.

A fixed linear code, the strongest cosines of each block of 8 x 8 pixels and 4 frames, runs beside the
networks; they learn what a block's neighbours and its past add to that. Residual latents code the
difference from frame 0, whose linear code is subtracted from all later frames: where nothing moves they are
zero. Without `residual` every latent codes its own frames, as in the codecs of Wan and LTX-Video.

Inside, frames are folded into the batch, (B T, C, H, W) in channels-last memory: 2-D convolutions see space,
and a 3-tap mix sees the present frame and the two before it. Frame 0 has a latent of its own, so one image is
a clip of one frame; every later latent covers four frames.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from avsim.clip import ClipSpec
from avsim.codecs.dct import DCT
from avsim.codecs.latent_norm import LatentNorm, bounded
from avsim.errors import InputError
from avsim.weights import configured


class TimeMix(nn.Module):
    """`y_t = W_0 x_t + W_1 x_(t-1) + W_2 x_(t-2)` at every pixel; before frame 0 there is nothing.

    Channels-last memory of (B T, C, h, w) is that of (B, C, T, h w), so this is one 3 x 1 convolution.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.taps = nn.Conv2d(channels, channels, (3, 1), padding=(2, 0))

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """(B T, C, h, w) of T `frames` -> the same shape."""
        height = x.shape[2]
        x = rearrange(x, "(b t) c h w -> b c t (h w)", t=frames)
        x = self.taps(x)[:, :, :frames]
        return rearrange(x, "b c t (h w) -> (b t) c h w", h=height)


class ConvBlock(nn.Module):
    """`x + conv(mix(conv(x)))` with SiLU before each."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.before = nn.Conv2d(channels, channels, 3, padding=1)
        self.mix = TimeMix(channels)
        self.after = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """(B T, C, h, w) of T `frames` -> the same shape."""
        h = self.before(F.silu(x))
        h = h + self.mix(F.silu(h), frames)
        return x + self.after(F.silu(h))


class Fold(nn.Module):
    """Frames to latents in time: frame 0 by itself, then `stride` frames to one, each by a linear map."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.first = nn.Conv2d(channels, out, 1)
        self.rest = nn.Conv2d(channels * stride, out, 1)

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """(B T, C, h, w), T = 1 + stride k -> (B (1 + k), out, h, w)."""
        x = rearrange(x, "(b t) c h w -> b t c h w", t=frames)
        first = self.first(x[:, 0])[:, None]
        if frames == 1:
            return first[:, 0]
        rest = self.rest(rearrange(x[:, 1:], "b (k s) c h w -> (b k) (s c) h w", s=self.stride))
        rest = rearrange(rest, "(b k) c h w -> b k c h w", b=x.shape[0])
        return _channels_last(rearrange(torch.cat([first, rest], 1), "b t c h w -> (b t) c h w"))


class Unfold(nn.Module):
    """The shape of `Fold` undone: latent 0 to frame 0, every later latent to `stride` frames."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.first = nn.Conv2d(channels, out, 1)
        self.rest = nn.Conv2d(channels, out * stride, 1)

    def forward(self, x: Tensor, latents: int) -> Tensor:
        """(B (1 + k), C, h, w) of 1 + k `latents` -> (B (1 + stride k), out, h, w)."""
        x = rearrange(x, "(b t) c h w -> b t c h w", t=latents)
        first = self.first(x[:, 0])[:, None]
        if latents == 1:
            return first[:, 0]
        rest = self.rest(rearrange(x[:, 1:], "b k c h w -> (b k) c h w"))
        rest = rearrange(rest, "(b k) (s c) h w -> b (k s) c h w", b=x.shape[0], s=self.stride)
        return _channels_last(rearrange(torch.cat([first, rest], 1), "b t c h w -> (b t) c h w"))


class Encoder(nn.Module):
    """Frames, and how they differ from the held one, to what raw latents have beside the linear code."""

    def __init__(
        self,
        widths: tuple[int, int, int],
        depths: tuple[int, int, int],
        channels: int,
        stride: int,
        time_stride: int,
        residual: bool,
    ) -> None:
        super().__init__()
        fine, coarse, deep = widths
        patch = stride // 2
        self.time_stride = time_stride
        self.dct = DCT(3 * patch**2, size=patch)
        self.patchify = nn.Conv2d((1 + residual) * 3 * patch**2, fine, 3, padding=1)
        self.fine = nn.ModuleList(ConvBlock(fine) for _ in range(depths[0]))
        self.coarsen = nn.Conv2d(fine * 2 * 2, coarse, 1)
        self.coarse = nn.ModuleList(ConvBlock(coarse) for _ in range(depths[1]))
        self.fold = Fold(coarse, deep, stride=time_stride)
        self.deep = nn.ModuleList(ConvBlock(deep) for _ in range(depths[2]))
        self.read = nn.Conv2d(deep, channels, 3, padding=1)

    def forward(self, frames: Tensor, change: Tensor | None) -> Tensor:
        """Frames about 0 and, of residual latents, their change (B, 3, 1 + S k, H, W) -> (B, Dv, t, h, w)."""
        count = frames.shape[2]
        x = self.dct.encode(frames)
        if change is not None:
            x = torch.cat([x, self.dct.encode(change)], 1)
        x = rearrange(x, "b c t h w -> (b t) c h w")
        x = self.patchify(_channels_last(x))  # (B T, fine, 2 h, 2 w)
        for block in self.fine:
            x = block(x, count)
        x = self.coarsen(_channels_last(F.pixel_unshuffle(x, 2)))  # (B T, coarse, h, w)
        for block in self.coarse:
            x = block(x, count)
        x = self.fold(x, count)  # (B t, deep, h, w)
        latents = 1 + (count - 1) // self.time_stride
        for block in self.deep:
            x = block(x, latents)
        return rearrange(self.read(x), "(b t) c h w -> b c t h w", t=latents)


class Decoder(nn.Module):
    """Raw latents to what the linear code lacks, the encoder's stages in reverse."""

    def __init__(
        self,
        widths: tuple[int, int, int],
        depths: tuple[int, int, int],
        channels: int,
        stride: int,
        time_stride: int,
        residual: bool,
    ) -> None:
        super().__init__()
        fine, coarse, deep = widths
        patch = stride // 2
        self.time_stride, self.residual = time_stride, residual
        self.embed = nn.Conv2d((1 + residual) * channels, deep, 3, padding=1)
        self.deep = nn.ModuleList(ConvBlock(deep) for _ in range(depths[2]))
        self.unfold = Unfold(deep, coarse, stride=time_stride)
        self.coarse = nn.ModuleList(ConvBlock(coarse) for _ in range(depths[1]))
        self.refine = nn.Conv2d(coarse, fine * 2 * 2, 1)
        self.fine = nn.ModuleList(ConvBlock(fine) for _ in range(depths[0]))
        self.unpatchify = nn.Conv2d(fine, 3 * patch**2, 3, padding=1)
        self.dct = DCT(3 * patch**2, size=patch)

    def forward(self, z: Tensor) -> Tensor:
        """Raw latents (B, Dv, t, h, w) -> frames about 0, (B, 3, 1 + S (t - 1), H, W)."""
        latents = z.shape[2]
        count = 1 + self.time_stride * (latents - 1)
        x = torch.cat([z, z[:, :, :1].expand_as(z)], 1) if self.residual else z  # latent 0 beside each
        x = self.embed(_channels_last(rearrange(x, "b c t h w -> (b t) c h w")))
        for block in self.deep:
            x = block(x, latents)
        x = self.unfold(x, latents)  # (B T, coarse, h, w)
        for block in self.coarse:
            x = block(x, count)
        x = _channels_last(F.pixel_shuffle(self.refine(x), 2))  # (B T, fine, 2 h, 2 w)
        for block in self.fine:
            x = block(x, count)
        x = rearrange(self.unpatchify(x), "(b t) c h w -> b c t h w", t=count)
        return self.dct.decode(x.to(z.dtype))


GAINS = {"after": 0.2, "read": 0.01, "unpatchify": 0.02}  # what adds to something else starts small


def _initialise(model: nn.Module) -> None:
    """Keep variance from layer to layer: quicker than normalising inside, and nothing else does it."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            gain = GAINS.get(name.rpartition(".")[2], 1.0)
            nn.init.normal_(module.weight, std=gain * module.weight[0].numel() ** -0.5)
            nn.init.zeros_(module.bias)  # type: ignore[arg-type]


@configured
class VideoAutoencoder(nn.Module):
    """Frames <-> latents of unit variance, 8 x 8 x 4 by default; meets `avsim.codecs.protocol.VideoCodec`.

    Both directions are causal: latent k depends on frames up to S k, frame i on latents up to its own.
    """

    def __init__(
        self,
        channels: int = 16,  # of a latent, Dv
        widths: tuple[int, int, int] = (48, 80, 128),  # of patches, of blocks, and at 1/4 of the rate
        depths: tuple[int, int, int] = (1, 1, 2),  # networks' blocks at each width, in each direction
        space_stride: int = 8,  # pixels to a latent, each way; even
        time_stride: int = 4,  # S, frames to a latent after the first
        residual: bool = True,  # whether later latents code the difference from frame 0
    ) -> None:
        super().__init__()
        if time_stride < 1:
            raise InputError(f"time_stride is {time_stride}; expected a positive number of frames")
        if space_stride < 2 or space_stride % 2:
            raise InputError(f"space_stride is {space_stride}; expected an even number of pixels")
        self.channels, self.space_stride = channels, space_stride
        self.time_stride, self.residual = time_stride, residual
        shape = tuple(widths), tuple(depths), channels, space_stride, time_stride, residual
        self.encoder = Encoder(*shape)  # type: ignore[arg-type]
        self.decoder = Decoder(*shape)  # type: ignore[arg-type]
        self.image = DCT(channels, size=space_stride, spread=0.6)
        # Most of a change is nothing, and the rest is much: 5 deviations and more, where things move.
        spread = 0.4 if residual else 0.6
        self.motion = DCT(channels, size=space_stride, frames=time_stride, spread=spread)
        self.latent_norm = LatentNorm(channels, energy=self.image.energy)  # of the latent of frame 0
        self.latent_norm_later = LatentNorm(channels, energy=self.motion.energy)  # and of all others
        _initialise(self.encoder)
        _initialise(self.decoder)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(
        self, frames: Tensor, noise: Tensor | float = 0.0, level: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Frames (B, 3, 1 + S k, H, W), whole blocks -> their reconstruction, raw latents; for training.

        `noise`, as large as the latents, is added to them before they are decoded. With a `level` (B,) it is
        mixed with latents of unit variance as in flow matching, (1 - level) x + level noise.
        """
        z = self._raw(frames)
        if level is None:
            return self._frames(z + noise), z
        noise = torch.as_tensor(noise).expand_as(z)
        s = level[:, None, None, None, None]
        parts = zip(self._latent_norms(z), self._latent_norms(noise), strict=True)
        mixed = [norm.denormalise((1 - s) * norm.normalise(x) + s * n) for (norm, x), (_, n) in parts]
        return self._frames(torch.cat(mixed, 2)), z

    def encode(self, frames: Tensor) -> Tensor:
        """Frames (B, 3, T, H, W) in [0, 1] -> (B, Dv, t, h, w); repeats edges up to whole blocks.

        Raises:
            InputError: frames of another shape.
        """
        if frames.ndim != 5 or frames.shape[1] != 3 or 0 in frames.shape:
            raise InputError(f"frames are {tuple(frames.shape)}; expected (B, 3, T, H, W), none of them 0")
        z = self._raw(padded(frames, self.time_stride, self.space_stride))
        return torch.cat([w.normalise(part) for w, part in self._latent_norms(z)], 2)

    def decode(self, latents: Tensor, spec: ClipSpec) -> Tensor:
        """Latents (B, Dv, t, h, w) -> frames (B, 3, T, H, W) in [0, 1], cropped to `spec`.

        Raises:
            InputError: latents that don't cover the clip that `spec` describes.
        """
        return cropped(self._frames(self._denormalised(latents)), spec).clamp(0, 1)

    def linear_decode(self, latents: Tensor, spec: ClipSpec) -> Tensor:
        """What `decode` makes of latents but for what its networks add: (B, 3, T, H, W), in no bounds.

        With its gradient it costs an eighth of that, and of a decoded video both point much the same way.
        """
        return cropped(self._code(self._denormalised(latents)) + 0.5, spec)

    def _latent_norms(self, z: Tensor) -> list[tuple[LatentNorm, Tensor]]:
        """Latents (B, Dv, t, ...) with their statistics: that of frame 0, and those of changes."""
        kinds = [(self.latent_norm, z[:, :, :1]), (self.latent_norm_later, z[:, :, 1:])]
        return kinds if z.shape[2] > 1 else kinds[:1]

    def hidden_matrices(self) -> Iterator[nn.Parameter]:
        """The blocks' kernels, for Muon."""
        for module in self.modules():
            if isinstance(module, ConvBlock):
                yield from (p for p in module.parameters() if p.ndim == 4 and p.requires_grad)

    def _raw(self, frames: Tensor) -> Tensor:
        frames = frames - 0.5
        first = frames[:, :, :1]
        none = torch.zeros_like(first)
        if not self.residual:
            z = self.encoder(frames, None)
            code = [self.image.encode(first)]
            if frames.shape[2] > 1:
                code.append(self.motion.encode(frames[:, :, 1:]))
            return bounded(z + torch.cat(code, 2))
        first_latent = bounded(self.encoder(first, none) + self.image.encode(first))
        if frames.shape[2] == 1:
            return first_latent
        change = frames[:, :, 1:] - self.image.decode(first_latent)
        later = self.encoder(frames, torch.cat([none, change], 2))[:, :, 1:]
        return torch.cat([first_latent, bounded(later + self.motion.encode(change))], 2)

    def _denormalised(self, latents: Tensor) -> Tensor:
        return torch.cat([w.denormalise(part) for w, part in self._latent_norms(latents)], 2)

    def _frames(self, z: Tensor) -> Tensor:
        return self.decoder(z) + self._code(z) + 0.5

    def _code(self, z: Tensor) -> Tensor:
        first = self.image.decode(z[:, :, :1])
        if z.shape[2] == 1:
            return first
        later = self.motion.decode(z[:, :, 1:])
        return torch.cat([first, first + later if self.residual else later], 2)


def padded(frames: Tensor, time_stride: int, space_stride: int) -> Tensor:
    """Frames (B, 3, T, H, W) with last frame, row and column repeated up to whole strides (T: 1 + k)."""
    count, height, width = frames.shape[2:]
    missing = (0, -width % space_stride, 0, -height % space_stride, 0, (1 - count) % time_stride)
    return F.pad(frames, missing, mode="replicate") if any(missing) else frames


def cropped(frames: Tensor, spec: ClipSpec) -> Tensor:
    """Decoded frames (B, 3, T', H', W') cut to what `spec` asks for, (B, 3, T, H, W).

    Raises:
        InputError: there are fewer frames, rows or columns than `spec` asks for.
    """
    wanted = (spec.frames, *spec.size)
    found = tuple(frames.shape[2:])
    if any(have < want for have, want in zip(found, wanted, strict=True)):
        raise InputError(f"latents decode to (T, H, W) = {found}; the spec asks for {wanted}")
    return frames[:, :, : spec.frames, : spec.height, : spec.width]


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)
