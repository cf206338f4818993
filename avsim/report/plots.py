"""Videos of clips: a strip of frames, a spectrogram, a sheet of many clips' both. All are PNG bytes."""

import math
from collections.abc import Mapping, Sequence

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
SIZE = (160, 320)  # pixels of a spectrogram's video, (height, width)
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


def sheet(clips: Mapping[str, Clip], columns: int = 1, frames: int = 8) -> bytes:
    """Clips by their names: of each a strip of frames above its spectrogram, as far as it has them."""
    cells = []
    for name, clip in clips.items():
        found = [strip(clip, frames)] if clip.frames is not None else []
        found += [spectrogram(clip.wave, clip.sample_rate)] if clip.wave is not None else []
        pictures = [_on_white(png) for png in found]
        cells.append(_stacked([_title(name, max(p.shape[1] for p in pictures)), *pictures], 0))
    rows = [_stacked(cells[first : first + columns], 1) for first in range(0, len(cells), columns)]
    return _png(_stacked(rows, 0))


def _stacked(pictures: Sequence[np.ndarray], axis: int) -> np.ndarray:
    """Videos (h, w, 3) below (0) or beside (1) each other, on white where they differ in size."""
    other = 1 - axis
    size = max(picture.shape[other] for picture in pictures)
    missing = [[(0, 0)] * 3 for _ in pictures]
    for pads, picture in zip(missing, pictures, strict=True):
        pads[other] = (0, size - picture.shape[other])
        pads[axis] = (0, 6)
    return np.concatenate(
        [np.pad(p, pads, constant_values=255) for p, pads in zip(pictures, missing, strict=True)], axis
    )


def _title(text: str, width: int) -> np.ndarray:
    """A line of text, (22, width, 3)."""
    line = np.full((22, width, 3), 255, np.uint8)
    cv2.putText(line, text, (4, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    return line


def _on_white(png: bytes) -> np.ndarray:
    """PNG bytes -> (h, w, 3)."""
    picture = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    if picture.shape[2] == 3:
        return picture
    alpha = picture[..., 3:].astype(np.uint16)
    return ((picture[..., :3] * alpha + 255 * (255 - alpha)) // 255).astype(np.uint8)


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
