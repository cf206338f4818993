"""The separator: a softmax distributes every time-frequency bin over the video's cells and "off screen"."""

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avsim.clip import ClipSpec
from avsim.separation.networks import BinDecoder, BinEncoder, CellDecoder, FrameEncoder, FusionBlock
from avsim.separation.regions import cell_weights
from avsim.separation.spectrum import Scale, features, frames_of, transform
from avsim.weights import configured

CELL = 4  # pixels of the fitted video to a cell, each way
INPUTS = 4  # input features of a bin, see `spectrum.features`


@dataclass(frozen=True, eq=False)
class Maps:
    """What is computed once per clip, from which any region's share follows.

    Shapes: cells (B, T, h w + 1, K + 1), the last of them "off screen"; bins (B, J, F, K + 1); grid (h, w).
    """

    cells: Tensor
    bins: Tensor
    grid: tuple[int, int]

    def of(self, columns: Tensor) -> "Maps":
        """Of some columns (j,) of the audio alone."""
        return replace(self, bins=self.bins.index_select(1, columns))

    def logits(self, columns_frame: Tensor) -> Tensor:
        """The share of each bin in each cell of the same moment, (B, J, F, h w + 1)."""
        cells = self.cells.index_select(1, columns_frame)  # (B, J, h w + 1, K + 1)
        return self.bins @ cells.transpose(2, 3)

    def at(self, columns: Tensor, columns_frame: Tensor) -> Tensor:
        """How the bins of some columns (j,) of the first clip spread, (j, F, h w + 1), "off screen" last."""
        cells = self.cells[0, columns_frame[columns.to(columns_frame.device)]]
        return (self.bins[0, columns.to(self.bins.device)] @ cells.transpose(1, 2)).float().softmax(-1)

    def shares(self, columns_frame: Tensor, weights: Tensor) -> Tensor:
        """The share of each bin that each region takes, and what none takes.

        Shapes: columns_frame (J,), the frame at each column; weights (B, R, T, h w), how much of each cell
        belongs to each region, at most 1 over all regions; returns (B, R + 1, F, J), "off screen" last.
        Regions' shares are sums of their cells', so any partition of the video adds up.
        """
        spread = self.logits(columns_frame).float().softmax(-1)[..., :-1]  # (B, J, F, C)
        taken = weights.index_select(2, columns_frame).permute(0, 2, 3, 1)  # (B, J, C, R)
        regions = (spread @ taken.to(spread.dtype)).permute(0, 3, 2, 1)  # (B, R, F, J)
        return torch.cat([regions, (1 - regions.sum(1, keepdim=True)).clamp(min=0)], 1)


class SeparationModel(nn.Module):
    """The frame rate and size of a network's input."""

    frames_per_second: float  # of the network's input video
    short_side: int  # pixels of its short side

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """(h, w): the cells of a video, whose short side is fitted to `picture` pixels.

        The long side keeps the aspect up to 4 to 1 and is rounded to 8 pixels.
        """
        ratio = min(4.0, max(height, width) / min(height, width))
        long = 8 * max(1, round(self.short_side * ratio / 8))
        size = (long, self.short_side) if height > width else (self.short_side, long)
        return size[0] // CELL, size[1] // CELL

    def frames_seen(
        self, frames: int, frames_per_second: float, start: float = 0.0, seconds: float | None = None
    ) -> Tensor:
        """(t,): which of a clip's frames are shown at the centres of the network's own, in a span of it."""
        seconds = frames / frames_per_second - start if seconds is None else seconds
        count = max(1, round(seconds * self.frames_per_second))
        centres = start + (torch.arange(count, dtype=torch.float64) + 0.5) / self.frames_per_second
        return frames_of(centres, frames, frames_per_second)

    def fit(self, frames: Tensor) -> Tensor:
        """Frames (B, 3, T, H, W) of any size -> (B, 3, T, 4 h, 4 w)."""
        size = tuple(CELL * cells for cells in self.grid(*frames.shape[3:]))
        if frames.shape[3:] == size:
            return frames
        flat = frames.transpose(1, 2).flatten(0, 1)
        fitted = F.interpolate(flat, size, mode="bilinear", antialias=True, align_corners=False)
        return fitted.unflatten(0, (len(frames), -1)).transpose(1, 2)


@configured
class Separator(SeparationModel):
    """Pixels x bins -> shares: inner products of pixels' and bins' features, through a softmax over pixels.

    After mix-and-separate (The Sound of Pixels, 1804.03160), with three changes: the masks of all pixels
    compete, so that stems add up; pixels have features at every frame, so that motion counts; and the halves
    attend to each other at each time, so that motion with sound is distinguished from motion without.
    """

    def __init__(
        self,
        frames_per_second: float = 16.0,  # of the network's input video
        short_side: int = 64,  # pixels of its short side; a multiple of 8
        scale: Scale = Scale(),  # noqa: B008 (frozen)
        width: int = 32,  # K, features that cells and bins share
        fine: int = 24,  # channels of a cell of 4 x 4 pixels
        coarse: int = 64,  # channels of a cell of 8 x 8 pixels
        frame_blocks: int = 4,  # at the coarse cells; each looks twice as far in time as the one before
        bin_widths: list[int] | None = None,  # channels of the U-Net's levels, finest first
        fusion_blocks: int = 2,  # how often cells and bins look at each other
    ) -> None:
        super().__init__()
        widths = [16, 32, 64, 96] if bin_widths is None else list(bin_widths)
        self.frames_per_second, self.short_side, self.scale = frames_per_second, short_side, scale
        self.frame_encoder, self.audio_encoder = (
            FrameEncoder(fine, coarse, frame_blocks),
            BinEncoder(INPUTS, widths),
        )
        self.cell_decoder, self.bin_decoder = CellDecoder(fine, coarse, width), BinDecoder(widths, width)
        shared = widths[self.bin_decoder.shared]
        self.fusion_blocks = nn.ModuleList(FusionBlock(coarse, shared, 2**i) for i in range(fusion_blocks))
        self.off_screen = nn.Parameter(torch.randn(width) * 0.1)

    def hidden_matrices(self) -> list[nn.Parameter]:
        """The weights for Muon: all hidden layers."""
        ends = (
            self.frame_encoder.stem,
            self.audio_encoder.stem,
            self.cell_decoder.read,
            self.bin_decoder.read,
        )
        outer = {id(p) for end in ends for p in end.parameters()} | {id(self.off_screen)}
        return [p for p in self.parameters() if p.ndim >= 2 and id(p) not in outer]

    def _encode(self, frames: Tensor, wave: Tensor, sample_rate: int) -> tuple[Maps, Tensor, Tensor]:
        """All that separating needs of clips of any size and sample rate.

        Shapes: frames (B, 3, t, H, W), those of `frames_seen`; wave (B, A, N); returns the maps, the frame of
        the maps at each column (J,), and the mixture's own complex spectrum (B, A, M, J).
        """
        with torch.autocast(wave.device.type, enabled=False):  # levels span 80 dB
            bins = transform(wave.float(), sample_rate, self.scale)
            heard = features(bins, self.scale.pool(sample_rate))
            fitted = self.fit(frames.float())
        seconds = self.scale.column_seconds(wave.shape[-1], sample_rate)
        columns_frame = frames_of(seconds, fitted.shape[2], self.frames_per_second).to(wave.device)
        return self(fitted, heard, columns_frame), columns_frame, bins

    def forward(self, frames: Tensor, heard: Tensor, columns_frame: Tensor) -> Maps:
        """Maps of fitted frames (B, 3, T, 4 h, 4 w) and audio features (B, 4, F, J); columns_frame (J,)."""
        fine, coarse = self.frame_encoder(frames)  # (B, T, h, w, C), (B, T, h/2, w/2, D)
        levels = self.audio_encoder(heard)  # [(B, F / 2^i, J / 2^i, C_i)]
        met = self.bin_decoder.rise(levels)  # (B, F / 2^s, J / 2^s, C_s)
        stride, columns = 2**self.bin_decoder.shared, len(columns_frame)
        # The shared level's column that lies at each frame, and the frame at the middle of each such column.
        first = torch.searchsorted(columns_frame, torch.arange(frames.shape[2], device=columns_frame.device))
        column_at = (first.clamp(max=columns - 1) // stride).clamp(max=met.shape[2] - 1)
        middles = torch.arange(met.shape[2], device=columns_frame.device) * stride + stride // 2
        frame_at = columns_frame.index_select(0, middles.clamp(max=columns - 1))
        for block in self.fusion_blocks:
            coarse, met = block(coarse, met, column_at, frame_at)
        cells = self.cell_decoder(fine, coarse).flatten(2, 3)  # (B, T, h w, K)
        off_screen = self.off_screen.to(cells.dtype).expand(*cells.shape[:2], 1, -1)
        cells = torch.cat([cells, off_screen], 2)  # (B, T, h w + 1, K)
        bins = self.bin_decoder(met, levels, columns) / math.sqrt(cells.shape[3])  # (B, J, F, K)
        # One more feature, 1 for every bin: off screen starts as large as all cells together, however many.
        bias = torch.zeros_like(cells[..., :1])
        bias[:, :, -1] = math.log(cells.shape[2] - 1)
        grid = fine.shape[2], fine.shape[3]
        return Maps(torch.cat([cells, bias], -1), F.pad(bins, (0, 1), value=1.0), grid)


def region_shares(
    model: Separator,
    frames: Tensor,
    wave: Tensor,
    masks: Tensor,
    spec: ClipSpec,
    columns: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Shares (B, R + 1, F, J) of the regions of whole clips, at some columns (J,) or all, and the mixtures'
    spectra (B, A, M, J).

    Shapes: frames (B, 3, T, H, W), wave (B, A, N), masks (B, R, T, H, W), all of `spec`.
    """
    seen = model.frames_seen(frames.shape[2], spec.frames_per_second).to(frames.device)
    maps, columns_frame, bins = model._encode(frames[:, :, seen], wave, spec.sample_rate)
    weights = cell_weights(masks[:, :, seen].float(), maps.grid)
    if columns is not None:
        maps, columns_frame = maps.of(columns), columns_frame[columns]
    return maps.shares(columns_frame, weights), bins
