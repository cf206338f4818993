"""Speech and a scene, mixed: the one in the background is ducked by the other (sidechain compression)."""

from __future__ import annotations

import math

import torch
import torchaudio
from torch import Tensor
from torch.nn.functional import pad

from avsim.clip import Clip
from avsim.speech.loudness import filtered, loudness

TARGET = -23.0  # LUFS, of programmes by EBU R 128
PEAK = -1.0  # dBTP, the highest that EBU R 128 allows
CEILING = 10 ** ((PEAK - 0.5) / 20)  # of samples; true peaks between them are higher
LARGEST_GAIN = 12.0  # dB, of the scene: what is nearly silent stays quiet
# Speech of -23 LUFS is 14 dB above the threshold while it sounds: the scene is lowered by 14 (1 - 1/6) dB.
DUCKING = "threshold=0.02:ratio=6:attack=20:release=300"
LIMITER = f"limit={CEILING:.4f}:attack=5:release=50:level=0:latency=1"
CENTRE = 2  # channel of 5.1


def mix(scene: Tensor, speech: Clip, sample_rate: int, under: bool = False) -> Tensor:
    """Audio of a scene (A, N) with speech from its beginning on, (A, max(N, speech)), at `TARGET`.

    Both are brought to `TARGET` first. The scene is ducked while speech sounds; with `under` the speech is,
    while the scene sounds. The scene is raised by at most `LARGEST_GAIN`. Peaks are limited to `PEAK`.

    Raises:
        InputError: a scene of other than 1, 2 or 6 channels.
    """
    voice = _spread(speech, sample_rate, scene.shape[0])
    length = max(scene.shape[1], voice.shape[1])
    scene, voice = (pad(each.float(), (0, length - each.shape[1])) for each in (scene, voice))
    voice = _at_target(voice, sample_rate, math.inf)
    scene = _at_target(scene, sample_rate, LARGEST_GAIN)
    if under:
        voice = filtered([voice, scene], sample_rate, "sidechaincompress", DUCKING)
    else:
        scene = filtered([scene, voice], sample_rate, "sidechaincompress", DUCKING)
    mixed = _at_target(scene + voice, sample_rate, math.inf)
    if float(mixed.abs().max()) > CEILING:
        mixed = filtered([mixed], sample_rate, "alimiter", LIMITER)
    excess = loudness(mixed, sample_rate).true_peak - PEAK
    return mixed * 10 ** (-max(0.0, excess) / 20)


def _at_target(wave: Tensor, sample_rate: int, most: float) -> Tensor:
    """A wave at `TARGET`, raised by at most `most` dB; silence stays."""
    level = loudness(wave, sample_rate).integrated
    return wave if level == -math.inf else wave * 10 ** (min(TARGET - level, most) / 20)


def _spread(speech: Clip, sample_rate: int, channels: int) -> Tensor:
    """Speech as (A, N) at a rate: in all channels alike, of 5.1 in the centre."""
    assert speech.wave is not None
    voice = speech.wave.mean(0, keepdim=True).float()
    if speech.sample_rate != sample_rate:
        voice = torchaudio.functional.resample(voice, int(speech.sample_rate), int(sample_rate))
    if channels < 6:
        return voice.expand(channels, -1)
    spread = torch.zeros(channels, voice.shape[1])
    spread[CENTRE] = voice[0]
    return spread
