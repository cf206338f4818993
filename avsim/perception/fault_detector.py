"""A detector of visible faults: which cells of which frames don't look as the world draws them.

What a frame shows is compared with its neighbours, with frame 0 and with the clip's median, in pixels, and
with what the video detector sees in frame 0. That detector's weights are kept as they are.
"""

import math
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor, nn

from avsim.clip import Clip
from avsim.devices import autocast_if_faster
from avsim.errors import InputError
from avsim.perception.blocks import CellBlock, Conv, Errors, TemporalConv
from avsim.perception.video_detector import RARE, VideoDetector
from avsim.weights import configured
from avsim.world.flat.faults import FAULTS

KINDS = tuple(FAULTS)  # of faults, in the order of the detector's outputs
SHARE = 0.25  # of a clip's frames, the likeliest, whose mean logit is the clip's
LOUDER = 5.0  # differences that a person just notices are 0.05, and frames reach from -0.5 to 0.5
ERRORS = ("clip/auroc", "frame/auroc", "cell/auroc", "kind/accuracy")


@dataclass(frozen=True, eq=False)
class FaultPrediction:
    """Raw outputs of the fault detector."""

    cell: Tensor  # (B, T, h, w) logits of a visible fault
    kind: Tensor  # (B, T, h, w, K) logits of which one it is
    frame: Tensor  # (B, T) logits of a visible fault anywhere in the frame

    @property
    def clip(self) -> Tensor:
        """Logits of whole clips, (B,): the mean of a quarter of their frames."""
        return pooled(self.frame)


def pooled(frame: Tensor) -> Tensor:
    """Logits of frames (..., T) -> the mean of the highest quarter, (...)."""
    count = max(1, math.ceil(SHARE * frame.shape[-1]))
    return frame.topk(count, -1).values.mean(-1)


@configured
class FaultDetector(nn.Module):
    """Two streams, pixels and a video detector's features, joined at cells of 4 x 4 pixels and then 8 x 8."""

    frame_threshold: Tensor  # (), probability that 2 % of validation's true frames reach

    def __init__(
        self,
        video: VideoDetector | None = None,
        fine: int = 48,  # channels of a cell of 4 x 4 pixels
        coarse: int = 64,  # channels of a cell of 8 x 8 pixels
        blocks: int = 3,  # at the coarse cells
    ) -> None:
        super().__init__()
        self.video = (video or VideoDetector()).requires_grad_(False)
        seen = self.video.norm.normalized_shape[0]
        self.into = Conv(15, fine // 2, 4, stride=2, padding=1)
        self.down = Conv(fine // 2, fine, 2, stride=2)
        self.first = CellBlock(fine)
        self.join = nn.Linear(fine + 2 * seen, fine)
        self.further = nn.Linear(4 * fine, coarse)
        self.blocks = nn.ModuleList(CellBlock(coarse) for _ in range(blocks))
        self.context = nn.ModuleList(nn.Linear(2 * coarse, coarse) for _ in range(blocks))
        self.over_time = nn.ModuleList(TemporalConv(coarse, 2 ** (k % 3)) for k in range(blocks))
        self.back = nn.Linear(coarse, 4 * fine)
        self.last, self.norm = CellBlock(fine), nn.LayerNorm(fine)
        self.read = nn.Linear(fine, 1 + len(KINDS))
        self.frame_norm, self.read_frame = nn.LayerNorm(2 * fine + coarse), nn.Linear(2 * fine + coarse, 1)
        with torch.no_grad():
            self.read.bias[0] = RARE
        self.register_buffer("frame_threshold", torch.tensor(0.5))
        self.errors = Errors(ERRORS)

    @property
    def grid(self):
        """The video detector's."""
        return self.video.grid

    @torch.no_grad()
    def start_from(self, detector: VideoDetector) -> None:
        """Keep this detector, and begin to look at pixels as it does: at differences as at frames."""
        self.video.load_state_dict(detector.state_dict())
        for name in ("down", "first"):
            getattr(self, name).load_state_dict(getattr(detector, name).state_dict())
        own = detector.into.weight  # (C / 2, 9, 4, 4)
        self.into.weight.copy_(torch.cat([own, own[:, :3], own[:, :3]], 1))
        assert self.into.bias is not None and detector.into.bias is not None
        self.into.bias.copy_(detector.into.bias)

    def forward(
        self, frames: Tensor, first: Tensor | None = None, median: Tensor | None = None
    ) -> FaultPrediction:
        """Frames (B, 3, T, H, W) of the grid -> what is wrong with them.

        Of a stretch of a clip, `first` and `median` (B, 3, 1, H, W) are frame 0 and the median of all of it.
        """
        first = frames[:, :, :1] if first is None else first
        median = frames.median(2, keepdim=True).values if median is None else median
        batch, count = frames.shape[0], frames.shape[2]
        with torch.no_grad():
            now, _ = self.video.features(frames)  # (B, T, h, w, D)
            then, _ = self.video.features(first)  # (B, 1, h, w, D)
        change = frames[:, :, 1:] - frames[:, :, :-1]
        still = torch.zeros_like(frames[:, :, :1])
        since, until = torch.cat([still, change], 2), torch.cat([change, still], 2)
        seen = torch.cat(
            [frames - 0.5, 2 * since, 2 * until, LOUDER * (frames - first), LOUDER * (frames - median)], 1
        )  # (B, 15, T, H, W)
        x = nn.functional.gelu(self.into(rearrange(seen, "b c t h w -> (b t) h w c")))  # (BT, H/2, W/2, C/2)
        x = self.first(self.down(x))  # (BT, h, w, C)
        both = torch.cat([now, then.expand_as(now)], -1).flatten(0, 1)
        fine = self.join(torch.cat([x, both], -1))
        x = self.further(rearrange(fine, "b (h p) (w q) c -> b h w (p q c)", p=2, q=2))  # (BT, h/2, w/2, D)
        for block, context, over_time in zip(self.blocks, self.context, self.over_time, strict=True):
            x = block(x) + context(_summary(x))[:, None, None]
            x = over_time(x.unflatten(0, (batch, count))).flatten(0, 1)
        coarse = x
        x = fine + rearrange(self.back(x), "b h w (p q c) -> b (h p) (w q) c", p=2, q=2)
        x = self.norm(self.last(x))  # (BT, h, w, C)
        cell, kind = self.read(x).unflatten(0, (batch, count)).split([1, len(KINDS)], -1)
        whole = self.frame_norm(torch.cat([_summary(x), coarse.amax((1, 2))], -1))
        return FaultPrediction(
            cell.squeeze(-1), kind, self.read_frame(whole).squeeze(-1).unflatten(0, (batch, count))
        )


def _summary(x: Tensor) -> Tensor:
    """Cells (B, h, w, C) -> their mean and maximum, (B, 2 C)."""
    return torch.cat([x.mean((1, 2)), x.amax((1, 2))], -1)


@dataclass(frozen=True, eq=False)
class Faults:
    """The visible faults of one clip."""

    frames: Tensor  # (T,) probability of a fault in each of the clip's frames
    cells: Tensor  # (T, h, w) probability of a fault in each cell
    kinds: Tensor  # (K,) share of each of `KINDS` in what is wrong; they add up to 1
    logit: float  # of the clip: higher is worse
    threshold: float  # probability from which on a frame counts as faulty

    @property
    def clean(self) -> float:
        """Share of the frames without a visible fault."""
        return int((self.frames < self.threshold).sum()) / len(self.frames)  # exactly 0.9 where it is

    @property
    def kind(self) -> str:
        """The likeliest one."""
        return KINDS[int(self.kinds.argmax())]


@torch.no_grad()
def find_faults(detector: FaultDetector, clip: Clip) -> Faults:
    """What is visibly wrong with a clip.

    Raises:
        InputError: the clip has no video.
    """
    if clip.frames is None:
        raise InputError("visible faults need a clip with video; its frames are None")
    device, grid = detector.frame_threshold.device, detector.grid
    with autocast_if_faster(device):
        predicted = detector(grid.resample_video(clip.frames[None].to(device), clip.frames_per_second))
    frame, cell = predicted.frame[0].float().cpu(), predicted.cell[0].float().sigmoid().cpu()
    kinds = (predicted.kind[0].float().softmax(-1).cpu() * cell[..., None].square()).sum((0, 1, 2))
    seconds = clip.spec.frame_seconds()
    at = (seconds * grid.frames_per_second).long().clamp(max=len(frame) - 1)  # the grid's frame of each
    return Faults(
        frame.sigmoid()[at],
        cell[at],
        kinds / kinds.sum().clamp(min=1e-12),
        float(pooled(frame)),
        float(detector.frame_threshold),
    )
