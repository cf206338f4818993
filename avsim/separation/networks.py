"""The two halves of the separator: features of every pixel's cell, and features of every time-frequency bin.

Tensors keep their channels last, so that a norm or a linear layer reads them directly and a convolution sees
them, by a permutation that copies nothing, in the memory layout that CPUs and GPUs are fastest with.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from avsim.perception.blocks import Block, Conv


class OverTime(nn.Module):
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
    frames) tell a thing that moves with the sound from one that only looks like it.
    """

    def __init__(self, fine: int, coarse: int, blocks: int) -> None:
        super().__init__()
        self.stem = nn.Linear(4 * 4 * 6 + 2, fine)
        self.first = Block(fine)
        self.down = nn.Linear(4 * fine, coarse)
        self.blocks = nn.ModuleList(Block(coarse) for _ in range(blocks))
        self.over_time = nn.ModuleList(OverTime(coarse, 2**i) for i in range(blocks))

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


class CellReader(nn.Module):
    """Coarse and fine cells -> K features of every fine cell, given what is heard at each frame."""

    def __init__(self, fine: int, coarse: int, heard: int, features: int) -> None:
        super().__init__()
        self.film = nn.Linear(heard, 2 * coarse)
        nn.init.zeros_(self.film.weight)
        self.mix = Block(coarse)
        self.up = nn.Linear(coarse, 4 * fine)
        self.last = Block(fine)
        self.norm, self.read = nn.LayerNorm(fine), nn.Linear(fine, features)

    def forward(self, fine: Tensor, coarse: Tensor, heard: Tensor) -> Tensor:
        """Fine (B, T, 2h, 2w, C), coarse (B, T, h, w, D), heard (B, T, E) -> (B, T, 2h, 2w, K)."""
        scale, shift = self.film(heard)[:, :, None, None].chunk(2, -1)
        x = self.mix((coarse * (1 + scale) + shift).flatten(0, 1))
        x = rearrange(self.up(x), "b h w (p q c) -> b (h p) (w q) c", p=2, q=2) + fine.flatten(0, 1)
        return self.read(self.norm(self.last(x))).unflatten(0, fine.shape[:2])


class BinEncoder(nn.Module):
    """The way down of a U-Net over bands and columns; columns are padded to what the way up can mirror."""

    def __init__(self, inputs: int, widths: list[int]) -> None:
        super().__init__()
        self.stride = 2 ** (len(widths) - 1)  # bands and columns per step of the coarsest level
        self.stem = Conv(inputs + 1, widths[0], 3, padding=1)
        self.downs = nn.ModuleList(
            nn.Sequential(Conv(fine, coarse, 4, stride=2, padding=1), Block(coarse))
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


class BinReader(nn.Module):
    """The way up: levels, and what is seen at each of their coarsest columns -> K features of every bin."""

    def __init__(self, widths: list[int], seen: int, features: int) -> None:
        super().__init__()
        self.see = nn.Linear(seen, widths[-1])
        nn.init.zeros_(self.see.weight)
        self.deep = nn.Sequential(Block(widths[-1]), Block(widths[-1]))
        steps = list(zip(widths[:-1], widths[1:], strict=True))[::-1]  # coarsest first
        self.ups = nn.ModuleList(nn.Linear(coarse, 4 * fine) for fine, coarse in steps)
        self.blocks = nn.ModuleList(Block(fine) for fine, _ in steps)
        self.norm, self.read = nn.LayerNorm(widths[0]), nn.Linear(widths[0], features)

    def forward(self, levels: list[Tensor], seen: Tensor, columns: int) -> Tensor:
        """Levels of a `BinEncoder`, seen (B, ceil(J) / stride, D), J -> (B, J, F, K)."""
        x = self.deep(levels[-1] + self.see(seen)[:, None])
        for up, block, level in zip(self.ups, self.blocks, levels[-2::-1], strict=True):
            x = block(rearrange(up(x), "b f j (p r c) -> b (f p) (j r) c", p=2, r=2) + level)
        return self.read(self.norm(x[:, :, :columns])).transpose(1, 2)
