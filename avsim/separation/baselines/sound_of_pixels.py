"""The Sound of Pixels (Zhao et al., 1804.03160), small: a dilated ResNet for frames, a U-Net for the audio.

As in the paper and its code: the sound is mono, its log-frequency magnitudes go through a U-Net of 7 scales
to K channels; three frames of the clip go through a dilated ResNet to K channels in (0, 1) at every cell,
which are max-pooled over time, and over space too in training; a mask is

    sigmoid(sum_k scale_k frame_k sound_k + bias)

Different here: sizes, chosen for the separator's number of parameters; the spectrogram of 128 bands and hops
of 16 ms that the separator has (theirs: 256 x 256 for 6 s); and as its sources are in one video, each is
max-pooled over its region, where the paper has a video for each.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avsim.separation.separator import CELL, SeparationModel
from avsim.separation.spectrum import Scale, band_power, frames_of, transform
from avsim.weights import configured

DEPTH = 7
SHOWN = 3  # frames of a clip
INSIDE = 0.5  # the part of a cell from which on it belongs to a region


@dataclass(frozen=True, eq=False)
class PixelMaps:
    """What is computed once per clip, with the methods of `avsim.separation.separator.Maps`.

    Shapes: cells (B, T, h w, K) in (0, 1), bins (B, J, F, K) with the scales in them, bias (); grid (h, w).
    """

    cells: Tensor
    bins: Tensor
    bias: Tensor
    grid: tuple[int, int]
    binary: bool

    def of(self, columns: Tensor) -> "PixelMaps":
        """Of some columns (j,) of the audio alone."""
        return PixelMaps(self.cells, self.bins.index_select(1, columns), self.bias, self.grid, self.binary)

    def masks(self, vectors: Tensor) -> Tensor:
        """The masks of K-vectors (B, R, K), (B, R, F, J)."""
        logits = torch.einsum("bjfk,brk->brfj", self.bins.float(), vectors.float()) + self.bias
        return (logits > 0).float() if self.binary else logits.sigmoid()

    def at(self, columns: Tensor, columns_frame: Tensor) -> Tensor:
        """The masks of all cells at some columns (j,) of the first clip, (j, F, h w + 1).

        They don't add up; "off screen", last, is what is left of 1 where they leave something.
        """
        cells = self.cells[:1].amax(1)  # (1, h w, K)
        masks = self.of(columns.to(self.bins.device)).masks(cells)[0].permute(2, 1, 0)
        return torch.cat([masks, (1 - masks.sum(-1, keepdim=True)).clamp(min=0)], -1)

    def shares(self, columns_frame: Tensor, weights: Tensor) -> Tensor:
        """The mask of each region, and what they leave, as `Maps.shares` has it.

        Masks are independent: their sum may exceed 1, and then the last is 0.
        """
        inside = (weights >= INSIDE).to(self.cells.dtype)[..., None]  # (B, R, T, h w, 1)
        pooled = (self.cells[:, None] * inside).amax((2, 3))  # (B, R, K); cells are above 0
        masks = self.masks(pooled)
        return torch.cat([masks, (1 - masks.sum(1, keepdim=True)).clamp(min=0)], 1)


class Residual(nn.Module):
    """ResNet's basic block: relu(x + bn(conv(relu(bn(conv(x))))))."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, dilation, dilation, bias=False)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, dilation, dilation, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(outputs) for _ in range(2))
        same = inputs == outputs and stride == 1
        self.across = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H', W')."""
        inner = self.norms[1](self.second(F.relu(self.norms[0](self.first(x)))))
        return F.relu(self.across(x) + inner)


class Up(nn.Module):
    """U-Net's way up: twice the size, a convolution, and what the way down had there beside it."""

    def __init__(self, inputs: int, outputs: int, last: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=last)
        self.norm = nn.Identity() if last else nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, F, J) -> (B, C', 2 F, 2 J)."""
        larger = F.interpolate(F.relu(x), scale_factor=2, mode="bilinear", align_corners=True)
        return self.norm(self.conv(larger))


class SoundNet(nn.Module):
    """The U-Net: each scale halves bands and columns, 7 times, and doubles them again."""

    def __init__(self, width: int, widest: int, features: int) -> None:
        super().__init__()
        widths = [min(width * 2**i, widest) for i in range(DEPTH)]
        self.norm = nn.BatchNorm2d(1)
        self.downs = nn.ModuleList(
            nn.Conv2d(a, b, 4, 2, 1, bias=False) for a, b in zip([1, *widths], widths, strict=False)
        )
        # The outermost and the innermost scale have none, as in the paper's code.
        self.norms = nn.ModuleList(
            nn.BatchNorm2d(w) if 0 < i < DEPTH - 1 else nn.Identity() for i, w in enumerate(widths)
        )
        ups = [Up(widths[-1], widths[-2])]
        ups += [Up(2 * widths[i], widths[i - 1]) for i in range(DEPTH - 2, 0, -1)]
        self.ups = nn.ModuleList([*ups, Up(2 * widths[0], features, last=True)])

    def forward(self, heard: Tensor) -> Tensor:
        """Log magnitudes (B, F, J) -> (B, J, F, K)."""
        columns = heard.shape[2]
        x = self.norm(F.pad(heard, (0, -columns % 2**DEPTH))[:, None])
        kept = []
        for depth, (down, norm) in enumerate(zip(self.downs, self.norms, strict=True)):
            x = norm(down(x if depth == 0 else F.leaky_relu(x, 0.2)))
            kept.append(x)
        for depth, up in enumerate(self.ups):
            x = up(x if depth == 0 else torch.cat([kept[-1 - depth], x], 1))
        return x[..., :columns].permute(0, 3, 2, 1)


@configured
class SoundOfPixels(SeparationModel):
    """The paper's three networks; what it offers is what a `Separator` offers, so that either serves."""

    def __init__(
        self,
        frames_per_second: float = 1.5,  # three frames of two seconds
        short_side: int = 64,  # pixels of its short side
        scale: Scale = Scale(),  # noqa: B008 (frozen)
        features: int = 16,  # K
        widths: list[int] | None = None,  # channels of the four stages of the frames' network
        width: int = 16,  # channels of the U-Net's finest scale; each next one has twice as many, up to
        widest: int = 64,
        binary: bool = False,  # whether masks are 0 or 1 when it isn't training
    ) -> None:
        super().__init__()
        stages = [16, 32, 64, 64] if widths is None else list(widths)
        self.frames_per_second, self.short_side, self.scale, self.binary = (
            frames_per_second,
            short_side,
            scale,
            binary,
        )
        self.frame_encoder = nn.Sequential(
            nn.Conv2d(3, stages[0], 7, 2, 3, bias=False),
            nn.BatchNorm2d(stages[0]),
            nn.ReLU(),
            *(Residual(stages[0], stages[0]) for _ in range(2)),
            *(Residual(stages[min(i, 1)], stages[1], stride=2 - i) for i in range(2)),
            *(Residual(stages[min(i + 1, 2)], stages[2], dilation=2) for i in range(2)),
            *(Residual(stages[min(i + 2, 3)], stages[3], dilation=4) for i in range(2)),
            nn.Conv2d(stages[3], features, 3, padding=1),
        )
        self.audio_encoder = SoundNet(width, widest, features)
        self.scales, self.bias = nn.Parameter(torch.ones(features)), nn.Parameter(torch.zeros(()))

    def hidden_matrices(self) -> list[nn.Parameter]:
        """The weights for Muon: all kernels except of the input and output layers."""
        ends = (
            self.frame_encoder[0],
            self.frame_encoder[-1],
            self.audio_encoder.downs[0],
            self.audio_encoder.ups[-1],
        )
        outer = {id(p) for end in ends for p in end.parameters()}
        return [p for p in self.parameters() if p.ndim >= 2 and id(p) not in outer]

    def _encode(self, frames: Tensor, wave: Tensor, sample_rate: int) -> tuple[PixelMaps, Tensor, Tensor]:
        """As `Separator.listen`."""
        with torch.autocast(wave.device.type, enabled=False):
            bins = transform(wave.float(), sample_rate, self.scale)
            power = band_power(bins.mean(1, keepdim=True), self.scale.pool(sample_rate))
            power = power / power.mean((1, 2), keepdim=True).clamp(min=1e-20)
            heard = (power + 1e-8).log() / 2
            fitted = self.fit(frames.float())
        seconds = self.scale.column_seconds(wave.shape[-1], sample_rate)
        columns_frame = frames_of(seconds, fitted.shape[2], self.frames_per_second).to(wave.device)
        return self(fitted, heard), columns_frame, bins

    def forward(self, frames: Tensor, heard: Tensor) -> PixelMaps:
        """Maps of fitted frames (B, 3, T, 4 h, 4 w) and log magnitudes (B, F, J)."""
        batch, grid = len(frames), (frames.shape[3] // CELL, frames.shape[4] // CELL)
        seen = self.frame_encoder(
            (frames.transpose(1, 2).flatten(0, 1) - 0.45) / 0.225
        ).sigmoid()  # (BT, K, h, w)
        cells = seen.flatten(2).transpose(1, 2).unflatten(0, (batch, -1))  # (B, T, h w, K)
        bins = self.audio_encoder(heard) * self.scales  # (B, J, F, K)
        return PixelMaps(cells, bins, self.bias, grid, self.binary and not self.training)
