"""A model of synchrony: by how much the audio of a clip is later than its video.

Two towers, as in Synchformer (2401.16423). Their features are correlated over every shift within a second,
instead of being classified by a transformer: all shifts share one measure of what belongs together.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from avsim.clip import Clip
from avsim.devices import autocast_if_faster
from avsim.errors import InputError
from avsim.perception.audio_detector import AudioDetector
from avsim.perception.blocks import Errors, TemporalConv
from avsim.perception.video_detector import VideoDetector
from avsim.weights import configured

MAX_SHIFT = 1.0  # s
STEPS = 4  # time steps of a frame: 64 a second
TOLERANCE = 2  # time steps by which video and audio in sync may differ: 31 ms
SURE = 0.995  # least probability of a shift that is accepted: a row of notes fits at several shifts
ERRORS = ("shift/seconds", "shift/within 40 ms", "shift/within a frame")


@dataclass(frozen=True)
class Shift:
    """The estimated shift of one clip."""

    seconds: float  # > 0 where the audio is later than the video
    probability: float  # that it is within a frame of that

    @property
    def sure(self) -> bool:
        """Whether the estimate is accepted."""
        return self.probability >= SURE


@configured
class SyncModel(nn.Module):
    """Two towers and their correlation over shifts; each tower is a detector's without its heads."""

    def __init__(
        self,
        video: VideoDetector | None = None,
        audio: AudioDetector | None = None,
        width: int = 48,  # E, features of a time step
        blocks: int = 3,  # over time, in each tower
    ) -> None:
        super().__init__()
        self.video, self.audio = video or VideoDetector(), audio or AudioDetector()
        self.rate = STEPS * self.video.grid.frames_per_second  # time steps a second
        self.lags = round(MAX_SHIFT * self.rate)
        cells, columns = self.video.norm.normalized_shape[0], self.audio.norm.normalized_shape[0]
        self.video_proj = nn.Linear(cells, width)
        self.attend = nn.Linear(cells, 1)
        self.video_steps = nn.Linear(2 * width, STEPS * width)
        self.audio_proj = nn.Linear(columns, width)
        self.video_blocks = nn.ModuleList(TemporalConv(width, 2**k) for k in range(blocks))
        self.audio_blocks = nn.ModuleList(TemporalConv(width, 2**k) for k in range(blocks))
        self.scale = nn.Parameter(torch.zeros(()))
        self.errors = Errors(ERRORS)

    def shifts(self) -> Tensor:
        """Seconds of each shift, (2 lags + 1,); negative where the audio is earlier."""
        return torch.arange(-self.lags, self.lags + 1, dtype=torch.float64) / self.rate

    def forward(self, frames: Tensor, wave: Tensor) -> Tensor:
        """Frames (B, 3, T, H, W) and wave (B, A, N) of the grid -> logits of every shift, (B, 2 lags + 1)."""
        v = self.encode_video(frames)  # (B, 4 T, E)
        return self.logits(v, self.encode_audio(wave, v.shape[1]))

    def encode_video(self, frames: Tensor) -> Tensor:
        """Frames (B, 3, T, H, W) of the grid -> features of each time step, (B, 4 T, E)."""
        cells, _ = self.video.features(frames)
        flat = rearrange(cells, "b t h w c -> b t (h w) c")
        weights = self.attend(flat).float().softmax(2).to(flat.dtype)  # (B, T, h w, 1)
        projected = self.video_proj(flat)  # (B, T, h w, E)
        pooled = torch.cat([(weights * projected).sum(2), projected.amax(2)], -1)  # (B, T, 2 E)
        v = rearrange(self.video_steps(pooled), "b t (p e) -> b (t p) e", p=STEPS)  # (B, 4 T, E)
        for block in self.video_blocks:
            v = block(v)
        return v.float()

    def encode_audio(self, wave: Tensor, steps: int) -> Tensor:
        """Wave (B, A, N) of the grid -> features of so many time steps, (B, L, E)."""
        columns = self.audio_proj(self.audio.features(wave)).transpose(1, 2).float()  # (B, E, F)
        a = F.interpolate(columns, steps, mode="linear", align_corners=False).transpose(1, 2)
        for block in self.audio_blocks:
            a = block(a)
        return a.float()

    def logits(self, v: Tensor, a: Tensor) -> Tensor:
        """Video and audio features of each time step, (B, L, E) each -> logits of every shift."""
        return self.correlation(v, a) * self.scale.exp()

    def correlation(self, v: Tensor, a: Tensor) -> Tensor:
        """Sum over t of <v(t), a(t + shift)> / sqrt(L E), (B, L, E) each -> (B, 2 lags + 1).

        The means over time are subtracted, so that only changes count.
        """
        v, a = v - v.mean(1, keepdim=True), a - a.mean(1, keepdim=True)
        shifted = F.pad(a, (0, 0, self.lags, self.lags)).unfold(1, v.shape[1], 1)  # (B, 2 lags + 1, E, L)
        return torch.einsum("ble,bsel->bs", v, shifted) / (v.shape[1] * v.shape[2]) ** 0.5


def soft_target(shift: Tensor, model: SyncModel, deviation: float = 0.012) -> Tensor:
    """A Gaussian of `deviation` s around each true shift (B,) in s -> probabilities (B, 2 lags + 1)."""
    away = model.shifts().to(shift.device) - shift.double()[:, None]
    return (-(away**2) / (2 * deviation**2)).softmax(-1).float()


def estimate(logits: Tensor, model: SyncModel) -> tuple[Tensor, Tensor]:
    """Logits (B, 2 lags + 1) -> seconds (B,), the mean around the likeliest shift; probability (B,) of it.

    Both are over the shifts within a frame of the likeliest one.
    """
    probability = logits.double().softmax(-1)
    shifts = model.shifts().to(logits.device)
    peak = shifts[probability.argmax(-1)]
    near = ((shifts - peak[:, None]).abs() <= STEPS / model.rate + 1e-9) * probability
    mass = near.sum(-1)
    return (near * shifts).sum(-1) / mass, mass


def in_sync_score(logits: Tensor) -> Tensor:
    """Logits (B, 2 lags + 1) -> log evidence for no shift, (B,).

    It is not normalised over shifts: a row of notes fits at several of them, and is in sync all the same.
    """
    middle = logits.shape[1] // 2
    return logits[:, middle - TOLERANCE : middle + TOLERANCE + 1].logsumexp(1)


@torch.no_grad()
def shift(model: SyncModel, clip: Clip) -> Shift:
    """By how much the audio of a clip is later than its video, within a second.

    Raises:
        InputError: the clip lacks video or audio.
    """
    if clip.frames is None or clip.wave is None:
        raise InputError("a shift is between video and audio; the clip lacks one of them")
    device = model.scale.device
    with autocast_if_faster(device):
        frames = model.video.grid.resample_video(clip.frames[None].to(device), clip.frames_per_second)
        wave = model.audio.grid.resample_audio(clip.wave[None].to(device), clip.sample_rate)
        seconds, probability = estimate(model(frames, wave), model)
    return Shift(float(seconds[0]), float(probability[0]))
