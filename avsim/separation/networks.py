"""The two halves of the separator: features of every pixel's cell, and features of every time-frequency bin.

Tensors keep their channels last, so that a norm or a linear layer reads them directly and a convolution sees
them, by a permutation that copies nothing, in the memory layout that CPUs and GPUs are fastest with.
"""

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from avsim.perception.blocks import CellBlock, Conv

SHARED = 2  # the level of the U-Net whose columns last about as long as a frame: four hops


class DilatedConv(nn.Module):
    """Each cell mixes with itself `reach` frames before and after: three taps of a dilated convolution."""

    def __init__(self, width: int, reach: int) -> None:
        super().__init__()
        self.reach = reach
        self.norm, self.mix = nn.LayerNorm(width), nn.Linear(3 * width, width)
        nn.init.zeros_(self.mix.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, h, w, C) -> the same."""
        padded = F.pad(self.norm(x), (0, 0, 0, 0, 0, 0, self.reach, self.reach))
        taps = [padded[:, i * self.reach : i * self.reach + x.shape[1]] for i in range(3)]
        return x + F.gelu(self.mix(torch.cat(taps, -1)))


def places(height: int, width: int, like: Tensor) -> Tensor:
    """Row and column of every cell in [-1, 1], (h, w, 2): stereo places sounds, so must pixels."""
    rows = (torch.arange(height, device=like.device, dtype=like.dtype) + 0.5) / height * 2 - 1
    columns = (torch.arange(width, device=like.device, dtype=like.dtype) + 0.5) / width * 2 - 1
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij"), -1)


class FrameEncoder(nn.Module):
    """Frames and what moved between them -> a feature of every cell of 4 x 4 pixels, at every frame.

    Fine cells keep the place, cells of 8 x 8 pixels do most of the work, and dilated taps over time (1 to 8
    frames) distinguish a thing that moves with the audio from one that only looks like it.
    """

    def __init__(self, fine: int, coarse: int, blocks: int) -> None:
        super().__init__()
        self.stem = nn.Linear(4 * 4 * 6 + 2, fine)
        self.first = CellBlock(fine)
        self.down = nn.Linear(4 * fine, coarse)
        self.blocks = nn.ModuleList(CellBlock(coarse) for _ in range(blocks))
        self.over_time = nn.ModuleList(DilatedConv(coarse, 2**i) for i in range(blocks))

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Frames (B, 3, T, H, W) in [0, 1] -> fine (B, T, H/4, W/4, C), coarse (B, T, H/8, W/8, D)."""
        batch = frames.shape[0]
        before = torch.cat([frames[:, :, :1], frames[:, :, :-1]], 2)
        seen = torch.cat([frames - 0.5, 4 * (frames - before)], 1)
        cells = rearrange(seen, "b c t (h p) (w q) -> (b t) h w (p q c)", p=4, q=4)
        where = places(cells.shape[1], cells.shape[2], cells).expand(*cells.shape[:3], 2)
        fine = self.first(self.stem(torch.cat([cells, where], -1)))  # (BT, H/4, W/4, C)
        x = self.down(rearrange(fine, "b (h p) (w q) c -> b h w (p q c)", p=2, q=2))  # (BT, H/8, W/8, D)
        for block, over_time in zip(self.blocks, self.over_time, strict=True):
            x = over_time(block(x).unflatten(0, (batch, -1))).flatten(0, 1)
        return fine.unflatten(0, (batch, -1)), x.unflatten(0, (batch, -1))


class CellDecoder(nn.Module):
    """Coarse and fine cells -> K features of every fine cell."""

    def __init__(self, fine: int, coarse: int, features: int) -> None:
        super().__init__()
        self.mix = CellBlock(coarse)
        self.up = nn.Linear(coarse, 4 * fine)
        self.last = CellBlock(fine)
        self.norm, self.read = nn.LayerNorm(fine), nn.Linear(fine, features)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Fine (B, T, 2h, 2w, C), coarse (B, T, h, w, D) -> (B, T, 2h, 2w, K)."""
        x = self.mix(coarse.flatten(0, 1))
        x = rearrange(self.up(x), "b h w (p q c) -> b (h p) (w q) c", p=2, q=2) + fine.flatten(0, 1)
        return self.read(self.norm(self.last(x))).unflatten(0, fine.shape[:2])


class BinEncoder(nn.Module):
    """The way down of a U-Net over bands and columns; columns are padded to what the way up can mirror."""

    def __init__(self, inputs: int, widths: list[int]) -> None:
        super().__init__()
        self.stride = 2 ** (len(widths) - 1)  # bands and columns per step of the coarsest level
        self.stem = Conv(inputs + 1, widths[0], 3, padding=1)
        self.downs = nn.ModuleList(
            nn.Sequential(Conv(fine, coarse, 4, stride=2, padding=1), CellBlock(coarse))
            for fine, coarse in zip(widths[:-1], widths[1:], strict=True)
        )

    def forward(self, heard: Tensor) -> list[Tensor]:
        """Features (B, 4, F, J) -> one tensor per level, (B, F / 2^i, ceil(J) / 2^i, C_i), finest first."""
        x = F.pad(heard, (0, -heard.shape[3] % self.stride)).permute(0, 2, 3, 1)  # (B, F, J, 4)
        band = places(x.shape[1], 1, x)[..., :1].expand(*x.shape[:3], 1)
        levels = [F.gelu(self.stem(torch.cat([x, band], -1)))]
        for down in self.downs:
            levels.append(down(levels[-1]))
        return levels


class BinDecoder(nn.Module):
    """The way up, in two parts: to the level where bins look at the video, and from it to K features."""

    def __init__(self, widths: list[int], features: int) -> None:
        super().__init__()
        self.shared = min(SHARED, len(widths) - 1)  # the level where bins look at the video
        self.deep = nn.Sequential(CellBlock(widths[-1]), CellBlock(widths[-1]))
        steps = list(zip(widths[:-1], widths[1:], strict=True))[::-1]  # coarsest first
        self.ups = nn.ModuleList(nn.Linear(coarse, 4 * fine) for fine, coarse in steps)
        self.blocks = nn.ModuleList(CellBlock(fine) for fine, _ in steps)
        self.norm, self.read = nn.LayerNorm(widths[0]), nn.Linear(widths[0], features)

    def rise(self, levels: list[Tensor]) -> Tensor:
        """Levels of a `BinEncoder` -> (B, F / 2^s, J / 2^s, C_s) of the shared level s."""
        return self._up(self.deep(levels[-1]), levels, len(levels) - 1, self.shared)

    def forward(self, x: Tensor, levels: list[Tensor], columns: int) -> Tensor:
        """The shared level after it has looked, levels as before, J -> (B, J, F, K)."""
        x = self._up(x, levels, self.shared, 0)
        return self.read(self.norm(x[:, :, :columns])).transpose(1, 2)

    def _up(self, x: Tensor, levels: list[Tensor], from_: int, to: int) -> Tensor:
        last = len(levels) - 1
        for level in range(from_ - 1, to - 1, -1):
            up, block = self.ups[last - 1 - level], self.blocks[last - 1 - level]
            x = block(rearrange(up(x), "b f j (p r c) -> b (f p) (j r) c", p=2, r=2) + levels[level])
        return x


class FrameCrossAttention(nn.Module):
    """Tokens of one half attend to those of the other half at the same time."""

    def __init__(self, width: int, other: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.norm_other = nn.LayerNorm(width), nn.LayerNorm(other)
        self.query, self.key_value = nn.Linear(width, width), nn.Linear(other, 2 * width)
        self.out = nn.Linear(width, width)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        """(N, L, C) at other (N, M, D), time step by time step -> x, updated."""
        query = rearrange(self.query(self.norm(x)), "n l (h c) -> n h l c", h=self.heads)
        key, value = rearrange(
            self.key_value(self.norm_other(other)), "n m (k h c) -> k n h m c", k=2, h=self.heads
        )
        # Written out: torch's fused attention is several times slower backwards on a CPU, for so few tokens.
        attended = (query @ key.transpose(2, 3) / math.sqrt(query.shape[3])).softmax(-1).to(
            value.dtype
        ) @ value
        return x + self.out(rearrange(attended, "n h l c -> n l (h c)"))


class FusionBlock(nn.Module):
    """Cells attend to the bins at their frame, then bins to the cells at their column."""

    def __init__(self, coarse: int, bins: int, reach: int) -> None:
        super().__init__()
        self.bins_to_cells, self.over_time = FrameCrossAttention(coarse, bins), DilatedConv(coarse, reach)
        self.cells_to_bins, self.mix = FrameCrossAttention(bins, coarse), CellBlock(bins)

    def forward(
        self, cells: Tensor, bins: Tensor, column_at: Tensor, frame_at: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Cells (B, T, h, w, D), bins (B, f, j, C), the column at each frame (T,), the frame at each column
        (j,) -> cells and bins.
        """
        batch, frames, height, width, _ = cells.shape
        bins_at = rearrange(bins.index_select(2, column_at), "b f t c -> (b t) f c")
        x = self.bins_to_cells(rearrange(cells, "b t h w d -> (b t) (h w) d"), bins_at)
        cells = self.over_time(x.view(batch, frames, height, width, -1))
        cells_at = rearrange(cells.index_select(1, frame_at), "b j h w d -> (b j) (h w) d")
        x = self.cells_to_bins(rearrange(bins, "b f j c -> (b j) f c"), cells_at)
        return cells, self.mix(rearrange(x, "(b j) f c -> b f j c", b=batch))
