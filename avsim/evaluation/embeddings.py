"""Embeddings of clips: statistics of sound and picture, which need no training, and detectors' features.

Each is a plain function of a clip, under an honest name: never call one by another's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
import torchaudio
from torch import Tensor

from avsim.clip import Clip
from avsim.evaluation.result import Reason, Unjudged

if TYPE_CHECKING:
    from avsim.perception.audio_detector import SoundDetector
    from avsim.perception.video_detector import PictureDetector

Embedding = Callable[[Clip], Tensor]  # a clip -> (d,); raises Unjudged where it can't
RATE, WINDOW, HOP, BANDS = 16000, 1024, 256, 32
FLOOR = -80.0  # dB
GRID = 4  # cells of the picture each way


def sound_statistics(clip: Clip) -> Tensor:
    """Mean, spread over time and mean change of 32 mel bands in dB, (96,), in units of 20 dB.

    Raises:
        Unjudged: the clip has no sound.
    """
    if clip.wave is None:
        raise Unjudged(Reason.NO_SOUND)
    wave = torchaudio.functional.resample(clip.wave.float().mean(0), clip.sample_rate, RATE)
    window = torch.hann_window(WINDOW, device=wave.device)
    padded = F.pad(wave, (WINDOW // 2, WINDOW // 2))
    power = torch.stft(padded, WINDOW, HOP, window=window, center=False, return_complex=True).abs().square()
    mel = torchaudio.functional.melscale_fbanks(WINDOW // 2 + 1, 30.0, RATE / 2, BANDS, RATE).to(power)
    level = 10 * torch.log10((mel.T @ power / window.sum() ** 2).clamp(min=10 ** (FLOOR / 10)))
    change = level.diff(dim=1).abs().mean(1) if level.shape[1] > 1 else torch.zeros(BANDS)
    return torch.cat([level.mean(1), level.std(1, correction=0), change]).double() / 20


def picture_statistics(clip: Clip) -> Tensor:
    """Mean and spread of each colour, and mean change from frame to frame, of 4 x 4 cells, (112,).

    Raises:
        Unjudged: the clip has no picture.
    """
    if clip.frames is None:
        raise Unjudged(Reason.NO_PICTURE)
    frames = clip.frames.float()
    mean = F.adaptive_avg_pool2d(frames, GRID)  # (3, T, 4, 4)
    spread = (F.adaptive_avg_pool2d(frames.square(), GRID) - mean.square()).clamp(min=0).sqrt()
    change = frames.diff(dim=1).abs().mean(0) if frames.shape[1] > 1 else torch.zeros_like(frames[0])
    change = F.adaptive_avg_pool2d(change, GRID).mean(0)
    return torch.cat([mean.mean(1).flatten(), spread.mean(1).flatten(), 10 * change.flatten()]).double()


def sound_features(detector: SoundDetector) -> Embedding:
    """The mean of a world-trained detector's columns, (160,)."""

    @torch.no_grad()
    def embed(clip: Clip) -> Tensor:
        if clip.wave is None:
            raise Unjudged(Reason.NO_SOUND)
        heard = detector.grid.hear(clip.wave[None].to(detector.melody.device), clip.sample_rate)
        return detector.features(heard)[0].double().mean(0).cpu()

    return embed


def picture_features(detector: PictureDetector) -> Embedding:
    """The mean and the largest of a world-trained detector's coarse cells over the clip, (192,)."""

    @torch.no_grad()
    def embed(clip: Clip) -> Tensor:
        if clip.frames is None:
            raise Unjudged(Reason.NO_PICTURE)
        frames = clip.frames[None].to(detector.event_threshold.device)
        seen = detector.grid.see(frames, clip.frames_per_second)
        return detector.features(seen)[1][0].double().cpu()

    return embed


def beside(one: Embedding, other: Embedding) -> Embedding:
    """Two embeddings as one: (d,) and (e,) -> (d + e,)."""
    return lambda clip: torch.cat([one(clip), other(clip)])


UNTRAINED: dict[str, Embedding] = {
    "log-mel statistics": sound_statistics,
    "picture statistics": picture_statistics,
    "statistics of both": beside(sound_statistics, picture_statistics),
}


def world_trained(sound: SoundDetector | None, picture: PictureDetector | None) -> dict[str, Embedding]:
    """The features of the detectors that there are, by name."""
    found: dict[str, Embedding] = {}
    if sound is not None:
        found["world-trained sound features"] = sound_features(sound)
    if picture is not None:
        found["world-trained picture features"] = picture_features(picture)
    if len(found) == 2:
        found["world-trained features of both"] = beside(*found.values())
    return found
