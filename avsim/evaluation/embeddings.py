"""Embeddings of clips: statistics of audio and video, which need no training, and detectors' features.

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
from avsim.evaluation.result import NotJudged, Reason

if TYPE_CHECKING:
    from avsim.perception.audio_detector import AudioDetector
    from avsim.perception.video_detector import VideoDetector

Embedding = Callable[[Clip], Tensor]  # a clip -> (d,); raises NotJudged where it can't
RATE, WINDOW, HOP, BANDS = 16000, 1024, 256, 32
FLOOR = -80.0  # dB
GRID = 4  # cells of the video each way


def audio_statistics(clip: Clip) -> Tensor:
    """Mean, spread over time and mean change of 32 mel bands in dB, (96,), in units of 20 dB.

    Raises:
        NotJudged: the clip has no audio.
    """
    if clip.wave is None:
        raise NotJudged(Reason.NO_AUDIO)
    wave = torchaudio.functional.resample(clip.wave.float().mean(0), clip.sample_rate, RATE)
    window = torch.hann_window(WINDOW, device=wave.device)
    padded = F.pad(wave, (WINDOW // 2, WINDOW // 2))
    power = torch.stft(padded, WINDOW, HOP, window=window, center=False, return_complex=True).abs().square()
    mel = torchaudio.functional.melscale_fbanks(WINDOW // 2 + 1, 30.0, RATE / 2, BANDS, RATE).to(power)
    level = 10 * torch.log10((mel.T @ power / window.sum() ** 2).clamp(min=10 ** (FLOOR / 10)))
    change = level.diff(dim=1).abs().mean(1) if level.shape[1] > 1 else torch.zeros(BANDS)
    return torch.cat([level.mean(1), level.std(1, correction=0), change]).double() / 20


def video_statistics(clip: Clip) -> Tensor:
    """Mean and spread of each colour, and mean change from frame to frame, of 4 x 4 cells, (112,).

    Raises:
        NotJudged: the clip has no video.
    """
    if clip.frames is None:
        raise NotJudged(Reason.NO_VIDEO)
    frames = clip.frames.float()
    mean = F.adaptive_avg_pool2d(frames, GRID)  # (3, T, 4, 4)
    spread = (F.adaptive_avg_pool2d(frames.square(), GRID) - mean.square()).clamp(min=0).sqrt()
    change = frames.diff(dim=1).abs().mean(0) if frames.shape[1] > 1 else torch.zeros_like(frames[0])
    change = F.adaptive_avg_pool2d(change, GRID).mean(0)
    return torch.cat([mean.mean(1).flatten(), spread.mean(1).flatten(), 10 * change.flatten()]).double()


def audio_features(detector: AudioDetector) -> Embedding:
    """The mean of a world-trained detector's columns, (160,)."""

    @torch.no_grad()
    def embed(clip: Clip) -> Tensor:
        if clip.wave is None:
            raise NotJudged(Reason.NO_AUDIO)
        heard = detector.grid.resample_audio(clip.wave[None].to(detector.melody.device), clip.sample_rate)
        return detector.features(heard)[0].double().mean(0).cpu()

    return embed


def video_features(detector: VideoDetector) -> Embedding:
    """The mean and the largest of a world-trained detector's coarse cells over the clip, (192,)."""

    @torch.no_grad()
    def embed(clip: Clip) -> Tensor:
        if clip.frames is None:
            raise NotJudged(Reason.NO_VIDEO)
        frames = clip.frames[None].to(detector.event_threshold.device)
        seen = detector.grid.resample_video(frames, clip.frames_per_second)
        return detector.features(seen)[1][0].double().cpu()

    return embed


def beside(one: Embedding, other: Embedding) -> Embedding:
    """Two embeddings as one: (d,) and (e,) -> (d + e,)."""
    return lambda clip: torch.cat([one(clip), other(clip)])


UNTRAINED: dict[str, Embedding] = {
    "log-mel statistics": audio_statistics,
    "video statistics": video_statistics,
    "statistics of both": beside(audio_statistics, video_statistics),
}


def world_trained(audio: AudioDetector | None, video: VideoDetector | None) -> dict[str, Embedding]:
    """The features of the detectors that there are, by name."""
    found: dict[str, Embedding] = {}
    if audio is not None:
        found["world-trained audio features"] = audio_features(audio)
    if video is not None:
        found["world-trained video features"] = video_features(video)
    if len(found) == 2:
        found["world-trained features of both"] = beside(*found.values())
    return found
