"""Pictures of clips: a strip of frames, a spectrogram. Both are PNG bytes."""

import math

import cv2
import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from avsim.clip import Clip
from avsim.errors import InputError

HIGH = 96  # pixels that a strip's frames are at least high
WINDOW, HOP = 0.032, 0.008  # s, of the spectrogram
RANGE = 70.0  # dB from the brightest point of a spectrogram to black
SIZE = (160, 320)  # pixels of a spectrogram's picture, (height, width)
_GREY = (128, 128, 128)  # readable on light and on dark


def strip(clip: Clip, count: int = 8) -> bytes:
    """`count` frames side by side, evenly spread from the first to the last (all, where there are fewer).

    Raises:
        InputError: the clip has no frames, or count is below 1.
    """
    if clip.frames is None:
        raise InputError("a strip needs frames; the clip has none")
    if count < 1:
        raise InputError(f"a strip of {count} frames; expected at least 1")
    total = clip.frames.shape[1]
    chosen = torch.linspace(0, total - 1, min(count, total)).round().long()
    frames = clip.frames[:, chosen].detach().float().cpu().clamp(0, 1)
    picture = rearrange(frames, "c t h w -> h (t w) c").mul(255).round().byte().numpy()
    factor = math.ceil(HIGH / frames.shape[2])
    picture = picture.repeat(factor, 0).repeat(factor, 1)
    return _png(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))


def spectrogram(wave: Tensor, rate: int) -> bytes:
    """Power over time and frequency, in dB below its own maximum; channels are added by power.

    Shapes: wave (A, N) in [-1, 1]; rate in Hz. Frequency runs from 0 to rate / 2, upwards.

    Raises:
        InputError: a wave of another shape.
    """
    if wave.ndim != 2 or 0 in wave.shape:
        raise InputError(f"a spectrogram of a wave of {tuple(wave.shape)}; expected (A, N)")
    window, hop = round(WINDOW * rate), max(1, round(HOP * rate))
    line = wave.detach().float().cpu()
    spectrum = torch.stft(
        torch.nn.functional.pad(line, (window // 2, window - window // 2)),
        n_fft=window,
        hop_length=hop,
        window=torch.hann_window(window),
        center=False,
        return_complex=True,
    )
    power = spectrum.abs().square().sum(0).clamp_min(1e-12)  # (F, frames)
    level = 10 * power.log10()
    shade = (
        ((level - level.max()) / RANGE + 1).clamp(0, 1) if power.max() > 1e-12 else torch.zeros_like(level)
    )
    grey = shade.flip(0).mul(255).byte().numpy()
    picture = cv2.resize(grey, SIZE[::-1], interpolation=cv2.INTER_AREA)
    return _png(_with_axes(cv2.applyColorMap(picture, cv2.COLORMAP_INFERNO), line.shape[1] / rate, rate / 2))


def _with_axes(picture: np.ndarray, seconds: float, highest: float) -> np.ndarray:
    """Ticks for kHz at the left and seconds below; the ground is transparent."""
    left, below = 30, 16
    height, width = picture.shape[:2]
    out = np.zeros((height + below, width + left, 4), np.uint8)
    out[:height, left:, :3], out[:height, left:, 3] = picture, 255
    for share in (0.0, 0.5, 1.0):
        row = min(height - 2, max(9, round(height * (1 - share)) + 4))
        _write(out, f"{highest * share / 1000:.3g}k" if share else "0", (2, row))
        text = f"{seconds * share:.3g}s"
        _write(out, text, (min(left + round(width * share), left + width - 7 * len(text)), height + 12))
    return out


def _write(out: np.ndarray, text: str, place: tuple[int, int]) -> None:
    cv2.putText(out, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.36, (*_GREY, 255), 1, cv2.LINE_AA)


def _png(picture: np.ndarray) -> bytes:
    return cv2.imencode(".png", picture)[1].tobytes()
