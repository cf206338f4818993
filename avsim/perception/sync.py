"""The judge of synchrony that listens for a shift: how much later the sound comes than the picture.

Two towers, as in Synchformer (2401.16423), but their moments aren't classified by a transformer: they are
correlated over every shift within a second, so that what is learned is which moments belong together, and
every shift is judged alike.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from avsim.clip import Clip
from avsim.devices import quickest
from avsim.errors import InputError
from avsim.perception.audio_detector import SoundDetector
from avsim.perception.blocks import Errors, OverTime
from avsim.perception.video_detector import PictureDetector
from avsim.weights import configured

LONGEST = 1.0  # s, of a shift
MOMENTS = 4  # of a frame: 64 a second
NEAR = 2  # moments by which what is in time may be off: 31 ms
SURE = 0.995  # probability of a shift from which on it is to be believed: notes of a row fit at several
ERRORS = ("shift/seconds", "shift/within 40 ms", "shift/within a frame")


@dataclass(frozen=True)
class Shift:
    """What the judge says of one clip."""

    seconds: float  # > 0 where the sound comes later than the picture
    probability: float  # that it is within a frame of that

    @property
    def sure(self) -> bool:
        """Whether it is to be believed."""
        return self.probability >= SURE


@configured
class OffsetJudge(nn.Module):
    """Two towers and their correlation over shifts; each tower is a detector's without its heads."""

    def __init__(
        self,
        picture: PictureDetector | None = None,
        sound: SoundDetector | None = None,
        width: int = 48,  # features of a moment
        blocks: int = 3,  # over time, in each tower
    ) -> None:
        super().__init__()
        self.picture, self.sound = picture or PictureDetector(), sound or SoundDetector()
        self.rate = MOMENTS * self.picture.grid.frames_per_second  # moments a second
        self.lags = round(LONGEST * self.rate)
        cells, columns = self.picture.norm.normalized_shape[0], self.sound.norm.normalized_shape[0]
        self.look = nn.Linear(cells, width)
        self.attend = nn.Linear(cells, 1)
        self.moments = nn.Linear(2 * width, MOMENTS * width)
        self.listen = nn.Linear(columns, width)
        self.seen = nn.ModuleList(OverTime(width, 2**k) for k in range(blocks))
        self.heard = nn.ModuleList(OverTime(width, 2**k) for k in range(blocks))
        self.scale = nn.Parameter(torch.zeros(()))
        self.errors = Errors(ERRORS)

    def shifts(self) -> Tensor:
        """Seconds of each shift that is judged, (2 lags + 1,); first those of a sound that comes too soon."""
        return torch.arange(-self.lags, self.lags + 1, dtype=torch.float64) / self.rate

    def forward(self, frames: Tensor, wave: Tensor) -> Tensor:
        """Frames (B, 3, T, H, W) and wave (B, A, N) of the grid -> logits of every shift, (B, 2 lags + 1)."""
        v = self.looked(frames)
        return self.logits(v, self.listened(wave, v.shape[1]))

    def looked(self, frames: Tensor) -> Tensor:
        """Frames (B, 3, T, H, W) of the grid -> what each moment shows, (B, 4 T, E)."""
        cells, _ = self.picture.features(frames)
        flat = rearrange(cells, "b t h w c -> b t (h w) c")
        weights = self.attend(flat).float().softmax(2).to(flat.dtype)  # (B, T, h w, 1)
        looked = self.look(flat)  # (B, T, h w, E)
        pooled = torch.cat([(weights * looked).sum(2), looked.amax(2)], -1)  # (B, T, 2 E)
        v = rearrange(self.moments(pooled), "b t (p e) -> b (t p) e", p=MOMENTS)  # (B, 4 T, E)
        for see in self.seen:
            v = see(v)
        return v.float()

    def listened(self, wave: Tensor, moments: int) -> Tensor:
        """Wave (B, A, N) of the grid -> what each of so many moments sounds like, (B, L, E)."""
        columns = self.listen(self.sound.features(wave)).transpose(1, 2).float()  # (B, E, F)
        a = F.interpolate(columns, moments, mode="linear", align_corners=False).transpose(1, 2)
        for hear in self.heard:
            a = hear(a)
        return a.float()

    def logits(self, v: Tensor, a: Tensor) -> Tensor:
        """What is seen and heard at each moment, (B, L, E) each -> logits of every shift."""
        return self.correlation(v, a) * self.scale.exp()

    def correlation(self, v: Tensor, a: Tensor) -> Tensor:
        """Sum over t of <v(t), a(t + shift)> / sqrt(L E), (B, L, E) each -> (B, 2 lags + 1).

        Both are taken about their means, so that only what changes counts.
        """
        v, a = v - v.mean(1, keepdim=True), a - a.mean(1, keepdim=True)
        shifted = F.pad(a, (0, 0, self.lags, self.lags)).unfold(1, v.shape[1], 1)  # (B, 2 lags + 1, E, L)
        return torch.einsum("ble,bsel->bs", v, shifted) / (v.shape[1] * v.shape[2]) ** 0.5


def soft_target(shift: Tensor, judge: OffsetJudge, deviation: float = 0.012) -> Tensor:
    """A bell of `deviation` s around each true shift (B,) in s -> probabilities (B, 2 lags + 1)."""
    away = judge.shifts().to(shift.device) - shift.double()[:, None]
    return (-(away**2) / (2 * deviation**2)).softmax(-1).float()


def read(logits: Tensor, judge: OffsetJudge) -> tuple[Tensor, Tensor]:
    """Logits (B, 2 lags + 1) -> seconds (B,), the mean around the likeliest shift; probability (B,) of it.

    Both are over the shifts within a frame of the likeliest one.
    """
    probability = logits.double().softmax(-1)
    shifts = judge.shifts().to(logits.device)
    peak = shifts[probability.argmax(-1)]
    near = ((shifts - peak[:, None]).abs() <= MOMENTS / judge.rate + 1e-9) * probability
    mass = near.sum(-1)
    return (near * shifts).sum(-1) / mass, mass


def in_time(logits: Tensor) -> Tensor:
    """Logits (B, 2 lags + 1) -> how much speaks for no shift, (B,).

    It is no probability: notes of a row fit at several shifts, and are in time all the same.
    """
    middle = logits.shape[1] // 2
    return logits[:, middle - NEAR : middle + NEAR + 1].logsumexp(1)


@torch.no_grad()
def shift(judge: OffsetJudge, clip: Clip) -> Shift:
    """How much later the sound of a clip comes than its picture, within a second.

    Raises:
        InputError: the clip lacks picture or sound.
    """
    if clip.frames is None or clip.wave is None:
        raise InputError("a shift is between picture and sound; the clip lacks one of them")
    device = judge.scale.device
    with quickest(device):
        frames = judge.picture.grid.see(clip.frames[None].to(device), clip.frames_per_second)
        logits = judge(frames, judge.sound.grid.hear(clip.wave[None].to(device), clip.sample_rate))
    seconds, probability = read(logits, judge)
    return Shift(float(seconds[0]), float(probability[0]))
