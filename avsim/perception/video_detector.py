"""The video's detector: what is where in each frame, and what happens when."""

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor, nn

from avsim.perception.blocks import CellBlock, Conv, Errors, TemporalConv
from avsim.perception.grid import Grid
from avsim.perception.vocabulary import COLOURS, KINDS, MATERIALS, PLACES
from avsim.weights import configured

RARE = -4.0  # the logit of a heat at the beginning
ERRORS = tuple(
    f"{what}/{how}"
    for what, hows in {
        "event": ("precision", "recall", "kind", "material", "seconds", "speed"),
        "thing": ("precision", "recall", "kind", "material", "colour", "size"),
        "place": ("accuracy",),
    }.items()
    for how in hows
)


@dataclass(frozen=True, eq=False)
class VideoPrediction:
    """Raw outputs of the video detector."""

    kind: Tensor  # (B, T, h, w, 23) logits
    material: Tensor  # (B, T, h, w, 7) logits
    colour: Tensor  # (B, T, h, w, 17) logits
    centre: Tensor  # (B, T, h, w) logits of a thing's middle
    size: Tensor  # (B, T, h, w) log2 of its width over the frame's shorter side
    event: Tensor  # (B, T, h, w) logits
    moment: Tensor  # (B, T, h, w) frames from the frame's middle to the event
    speed: Tensor  # (B, T, h, w) log2 of m/s
    place: Tensor  # (B, 6) logits


@configured
class VideoDetector(nn.Module):
    """A small convolutional network over cells of 4 x 4 pixels, with a head for each question.

    Middles and events are peaks of a heat (after Objects as Points, 1904.07850); what a thing is, is read at
    its middle. Cells of 8 x 8 pixels do most of the work; dilated taps look up to 8 frames back and ahead.
    """

    event_threshold: Tensor  # (), the best on clips that it was not trained on
    thing_threshold: Tensor  # ()

    def __init__(
        self,
        grid: Grid = Grid(),  # noqa: B008 (frozen)
        fine: int = 48,  # channels of a cell of 4 x 4 pixels
        coarse: int = 96,  # channels of a cell of 8 x 8 pixels
        blocks: int = 4,  # at the coarse cells
    ) -> None:
        super().__init__()
        self.grid = grid
        self.into = Conv(9, fine // 2, 4, stride=2, padding=1)
        self.down = Conv(fine // 2, fine, 2, stride=2)
        self.first = CellBlock(fine)
        self.further = nn.Linear(4 * fine, coarse)
        self.blocks = nn.ModuleList(CellBlock(coarse) for _ in range(blocks))
        self.over_time = nn.ModuleList(TemporalConv(coarse, 2 ** (k % 3)) for k in range(blocks))
        self.back = nn.Linear(coarse, 4 * fine)
        self.last, self.last_time = CellBlock(fine), TemporalConv(fine, 1)
        self.norm = nn.LayerNorm(fine)
        self.parts = (len(KINDS), len(MATERIALS), len(COLOURS), 1, 1, 1, 1, 1)
        self.read = nn.Linear(fine, sum(self.parts))
        self.place_norm, self.read_place = nn.LayerNorm(2 * coarse), nn.Linear(2 * coarse, len(PLACES))
        heats = (sum(self.parts[:3]), sum(self.parts[:5]))
        with torch.no_grad():
            self.read.bias[list(heats)] = RARE
        self.register_buffer("event_threshold", torch.tensor(0.4))
        self.register_buffer("thing_threshold", torch.tensor(0.4))
        self.errors = Errors(ERRORS)

    def features(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Frames (B, 3, T, H, W) of the grid -> cells (B, T, h, w, C), the whole clip (B, 2 D)."""
        batch = frames.shape[0]
        change = frames[:, :, 1:] - frames[:, :, :-1]  # (B, 3, T - 1, H, W)
        still = torch.zeros_like(frames[:, :, :1])
        since, until = torch.cat([still, change], 2), torch.cat([change, still], 2)
        seen = torch.cat([frames - 0.5, 2 * since, 2 * until], 1)  # (B, 9, T, H, W)
        x = nn.functional.gelu(self.into(rearrange(seen, "b c t h w -> (b t) h w c")))  # (BT, H/2, W/2, C/2)
        fine = self.first(self.down(x))  # (BT, H/4, W/4, C)
        x = self.further(rearrange(fine, "b (h p) (w q) c -> b h w (p q c)", p=2, q=2))  # (BT, H/8, W/8, D)
        for block, over_time in zip(self.blocks, self.over_time, strict=True):
            x = over_time(block(x).unflatten(0, (batch, -1))).flatten(0, 1)
        pooled = x.unflatten(0, (batch, -1)).float()
        whole = torch.cat([pooled.mean((1, 2, 3)), pooled.amax((1, 2, 3))], -1)  # (B, 2 D)
        x = fine + rearrange(self.back(x), "b h w (p q c) -> b (h p) (w q) c", p=2, q=2)
        x = self.last_time(self.last(x).unflatten(0, (batch, -1)))  # (B, T, H/4, W/4, C)
        return self.norm(x), whole

    def forward(self, frames: Tensor) -> VideoPrediction:
        """Frames (B, 3, T, H, W) of the grid -> what there is."""
        x, whole = self.features(frames)
        kind, material, colour, *rest = self.read(x).split(self.parts, -1)
        place = self.read_place(self.place_norm(whole))
        centre, size, event, moment, speed = (each.squeeze(-1) for each in rest)
        return VideoPrediction(kind, material, colour, centre, size, event, moment, speed, place)
