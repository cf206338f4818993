"""The detectors' input grid, for clips of any size and rates: cells, frames and columns."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
import torchaudio
from torch import Tensor


@dataclass(frozen=True)
class Grid:
    """Frames of a fixed rate and shorter side in square cells; columns of sound of a fixed rate."""

    frames_per_second: float = 16.0
    height: int = 64  # pixels of the shorter side; a multiple of 8
    cell: int = 4  # pixels, each way
    sample_rate: int = 16000  # Hz
    hop: int = 160  # samples to a column

    @property
    def columns_per_second(self) -> float:
        """Columns of sound in a second."""
        return self.sample_rate / self.hop

    def frames(self, seconds: float) -> int:
        """T of a clip."""
        return max(1, round(seconds * self.frames_per_second))

    def columns(self, seconds: float) -> int:
        """F of a clip."""
        return max(1, round(seconds * self.columns_per_second))

    def size(self, height: int, width: int) -> tuple[int, int]:
        """(H, W) in which a video is seen: its aspect is kept, to 8 pixels, up to 4 to 1."""
        aspect = min(4.0, max(0.25, width / height))
        high, wide = self.height * max(1.0, 1 / aspect), self.height * max(1.0, aspect)
        return 8 * round(high / 8), 8 * round(wide / 8)

    def cells(self, height: int, width: int) -> tuple[int, int]:
        """(h, w) of a video."""
        high, wide = self.size(height, width)
        return high // self.cell, wide // self.cell

    def frame_indices(self, frames: int, frames_per_second: float) -> Tensor:
        """(T,): which of a clip's frames covers the middle of each of the grid's."""
        count = self.frames(frames / frames_per_second)
        centres = (torch.arange(count, dtype=torch.float64) + 0.5) / self.frames_per_second
        return (centres * frames_per_second).long().clamp(max=frames - 1)

    def resample_video(self, frames: Tensor, frames_per_second: float) -> Tensor:
        """Frames (B, 3, T', H', W') of a clip -> (B, 3, T, H, W) of the grid."""
        if frames_per_second != self.frames_per_second:
            frames = frames[:, :, self.frame_indices(frames.shape[2], frames_per_second).to(frames.device)]
        frames = frames.float()
        size = self.size(*frames.shape[3:])
        if frames.shape[3:] == size:
            return frames
        flat = frames.transpose(1, 2).flatten(0, 1)
        fitted = F.interpolate(flat, size, mode="bilinear", antialias=True, align_corners=False)
        return fitted.unflatten(0, (len(frames), -1)).transpose(1, 2)

    def resample_audio(self, wave: Tensor, sample_rate: int) -> Tensor:
        """Wave (B, A, N') -> (B, A, N) at the grid's rate, in whole columns."""
        seconds = wave.shape[-1] / sample_rate
        if sample_rate != self.sample_rate:
            wave = torchaudio.functional.resample(wave.float(), sample_rate, self.sample_rate)
        length = self.columns(seconds) * self.hop
        return F.pad(wave.float()[..., :length], (0, max(0, length - wave.shape[-1])))
