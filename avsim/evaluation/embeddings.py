"""Embeddings of clips that need no training: statistics of sound and of picture.

They are baselines by honest names, for judges to start with; trained ones are plain functions too.
"""

import torch
import torch.nn.functional as F
import torchaudio
from torch import Tensor

from avsim.clip import Clip
from avsim.evaluation.score import Reason, Unjudged

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


def both_statistics(clip: Clip) -> Tensor:
    """Those of sound and picture beside each other, (208,).

    Raises:
        Unjudged: the clip lacks one of them.
    """
    return torch.cat([sound_statistics(clip), picture_statistics(clip)])
