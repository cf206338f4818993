"""The audio detector: onsets with their kinds and positions, and the labels of a whole clip."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
import torchaudio
from einops import rearrange
from torch import Tensor, nn

from avsim.codecs.spectra import stft
from avsim.perception.blocks import CellBlock, Conv, Errors, TemporalConv
from avsim.perception.grid import Grid
from avsim.perception.video_detector import RARE
from avsim.perception.vocabulary import KINDS, MATERIALS, PLACES
from avsim.weights import configured

FLOOR = -100.0  # dB of full scale, of a band in a column
WINDOW = 400  # samples
ERRORS = tuple(
    f"{what}/{how}"
    for what, hows in {
        "onset": ("precision", "recall", "kind", "material", "seconds", "level"),
        "heard": ("kinds", "materials"),
        "place": ("accuracy",),
        "decay": ("octaves",),
    }.items()
    for how in hows
)


@dataclass(frozen=True, eq=False)
class AudioPrediction:
    """Raw outputs of the audio detector."""

    onset: Tensor  # (B, F) logits
    level: Tensor  # (B, F) dB
    kind: Tensor  # (B, F, 23) logits, of what begins
    material: Tensor  # (B, F, 7) logits
    kinds: Tensor  # (B, 22) multi-label logits of the clip's sounds
    materials: Tensor  # (B, 6) logits
    place: Tensor  # (B, 6) logits
    decay: Tensor  # (B,) log2 of seconds


@configured
class AudioDetector(nn.Module):
    """A small convolutional network over mel bands in dB, a column every 10 ms; a head for each question.

    Bands are halved on the way; then each column is one vector, and dilated taps look up to 1.2 s around.
    """

    melody: Tensor  # (257, bands), weights that add up to 1 in each band
    window: Tensor  # (400,)
    onset_threshold: Tensor  # (), the best on clips that it was not trained on

    def __init__(
        self,
        grid: Grid = Grid(),  # noqa: B008 (frozen)
        bands: int = 64,  # a multiple of 16
        widths: tuple[int, ...] = (24, 32, 48, 64),  # channels, bands halved between
        width: int = 160,  # of a column
        blocks: int = 7,  # over time; each looks twice as far as the one before
    ) -> None:
        super().__init__()
        self.grid, self.n_fft = grid, 512
        scale = torchaudio.functional.melscale_fbanks(
            self.n_fft // 2 + 1, 40.0, grid.sample_rate / 2, bands, grid.sample_rate, norm="slaney"
        )
        self.register_buffer("melody", scale / scale.sum(0), persistent=False)
        self.register_buffer("window", torch.hann_window(WINDOW), persistent=False)
        self.into = Conv(3, widths[0], 3, padding=1)
        self.blocks = nn.ModuleList(CellBlock(one) for one in widths)
        halves = zip(widths, (*widths[1:], widths[-1]), strict=True)
        self.downs = nn.ModuleList(nn.Linear(2 * one, other) for one, other in halves)
        self.join = nn.Linear(bands // 2 ** len(widths) * widths[-1], width)
        self.over_time = nn.ModuleList(TemporalConv(width, 2**k) for k in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.parts = (1, 1, len(KINDS), len(MATERIALS))
        self.read = nn.Linear(width, sum(self.parts))
        self.clip_parts = (len(KINDS) - 1, len(MATERIALS) - 1, len(PLACES), 1)
        self.attend = nn.Linear(width, 4)
        self.clip_norm, self.read_clip = nn.LayerNorm(6 * width), nn.Linear(6 * width, sum(self.clip_parts))
        with torch.no_grad():
            self.read.bias[0] = RARE
        self.register_buffer("onset_threshold", torch.tensor(0.4))
        self.errors = Errors(ERRORS)

    def spectrum(self, wave: Tensor) -> Tensor:
        """Wave (B, A, N) at the grid's rate -> mel bands in dB of full scale, channels' mean, (B, bands, F).

        Column i is centred on sample (i + 1/2) hop; a full-scale sine is at about -6 dB in the band of its
        own, less what its neighbours take.
        """
        with torch.autocast(wave.device.type, enabled=False):
            power = stft(wave, self.n_fft, self.grid.hop, self.window).abs().square().mean(1)  # (B, 257, F)
            return 10 * torch.log10((self.melody.T @ power).clamp(min=10 ** (FLOOR / 10)))

    def features(self, wave: Tensor) -> Tensor:
        """Wave (B, A, N) at the grid's rate -> columns (B, F, W)."""
        decibels = self.spectrum(wave)  # (B, M, F)
        rise = F.pad(decibels[..., 1:] - decibels[..., :-1], (1, 0))
        band = torch.linspace(-1, 1, decibels.shape[1], device=wave.device)[:, None].expand_as(decibels)
        x = self.into(torch.stack([(decibels + 60) / 20, rise / 10, band], -1))  # (B, M, F, C)
        for block, down in zip(self.blocks, self.downs, strict=True):
            x = down(rearrange(block(x), "b (m p) f c -> b m f (p c)", p=2))  # (B, M / 2, F, C')
        x = self.join(rearrange(x, "b m f c -> b f (m c)"))  # (B, F, W)
        for over_time in self.over_time:
            x = over_time(x)
        return self.norm(x)

    def forward(self, wave: Tensor) -> AudioPrediction:
        """Wave (B, A, N) at the grid's rate -> what there is."""
        x = self.features(wave)  # (B, F, W)
        weights = self.attend(x).float().softmax(1)  # (B, F, 4)
        kept = torch.einsum("bfk,bfw->bkw", weights, x.float()).flatten(1)  # (B, 4 W)
        whole = torch.cat([kept, x.float().mean(1), x.float().amax(1)], -1)  # (B, 6 W)
        onset, level, kind, material = self.read(x).split(self.parts, -1)
        said = self.read_clip(self.clip_norm(whole)).split(self.clip_parts, -1)
        onset, level = onset.squeeze(-1), 20 * level.squeeze(-1) - 30  # dB
        kinds, materials, place, decay = said
        return AudioPrediction(onset, level, kind, material, kinds, materials, place, decay.squeeze(-1))
