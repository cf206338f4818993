"""What the detectors, and the separator, are built of. Tensors keep their channels last: (B, H, W, C)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Conv(nn.Conv2d):
    """A 2-D convolution of tensors whose channels are last."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H', W', C')."""
        return super().forward(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class CellBlock(nn.Module):
    """x + linear(gelu(conv(norm(x)))); the linear layer starts at zero, so that a block starts as nothing."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.into = Conv(width, width, 3, padding=1)
        self.out = nn.Linear(width, width)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> the same."""
        return x + self.out(F.gelu(self.into(self.norm(x))))


class TemporalConv(nn.Module):
    """x + linear(gelu(taps(norm(x)))): each cell mixes with itself `reach` frames before and after."""

    def __init__(self, width: int, reach: int) -> None:
        super().__init__()
        self.reach = reach
        self.norm = nn.LayerNorm(width)
        self.taps = nn.ModuleList(nn.Linear(width, width, bias=k == 1) for k in range(3))
        self.out = nn.Linear(width, width)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, ..., C) -> the same."""
        normed = self.norm(x)
        mixed = self.taps[1](normed)
        if x.shape[1] > self.reach:
            still = torch.zeros_like(normed[:, : self.reach])
            mixed = mixed + self.taps[0](torch.cat([still, normed[:, : -self.reach]], 1))
            mixed = mixed + self.taps[2](torch.cat([normed[:, self.reach :], still], 1))
        return x + self.out(F.gelu(mixed))


class Errors(nn.Module):
    """How well a detector did on clips that it was not trained on, kept with its weights."""

    measured: Tensor  # (n,), nan until then

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__()
        self.names = names
        self.register_buffer("measured", torch.full((len(names),), torch.nan))

    def note(self, values: dict[str, float]) -> None:
        """Keep values; those that aren't given stay."""
        for name, value in values.items():
            self.measured[self.names.index(name)] = value

    def values(self) -> dict[str, float]:
        """All of them, by name."""
        return dict(zip(self.names, self.measured.tolist(), strict=True))
