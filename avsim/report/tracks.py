"""A card's tracks: a strip of frames, a waveform, a log-mel spectrogram; and the outlines of regions."""

from __future__ import annotations

import base64
import math
import warnings

import cv2
import numpy as np
import torch
import torch.nn.functional as F
import torchaudio
from einops import rearrange
from torch import Tensor

from avsim.clip import Region

STRIP = 72, 760  # pixels of a strip of frames, (height, width at most)
PEAKS = 480  # columns of a waveform
BANDS, COLUMNS = 80, 480  # of a spectrogram
WINDOW, HOP = 0.032, 0.004  # s, of the spectrogram; the hop grows with the clip
LOWEST = -100.0  # dB of a full-scale sine in a band: level 0; level 255 is 0 dB
TOP = 16000.0  # Hz, the upper end of a spectrogram at most
CHUNK = 2**22  # numbers of a spectrum in memory at a time
FINEST = 128  # pixels of a mask's longer side, from which outlines are taken
OUTLINED = 300  # outlines of a moving region, at most


def data_uri(data: bytes, kind: str) -> str:
    """Bytes as an address that a page holds."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def packed(values: Tensor) -> str:
    """A tensor's bytes, little-endian, in base64."""
    array = values.contiguous().numpy()
    return base64.b64encode(array.astype(array.dtype.newbyteorder("<")).tobytes()).decode()


def frame_strip(frames: Tensor) -> tuple[str, int]:
    """Frames side by side as a JPEG, and their number; frame k is that of the middle of its share of time.

    Shapes: frames (3, T, H, W) in [0, 1].
    """
    _, count, height, width = frames.shape
    high, wide = STRIP
    fitting = max(1, min(round(wide * height / (high * width)), 24))
    chosen = ((torch.arange(fitting) + 0.5) * count / fitting).long().clamp(max=count - 1)
    seen = frames[:, chosen].detach().float().cpu().clamp(0, 1)
    shape = high, max(1, round(high * width / height))
    mode = "nearest-exact" if height < high else "area"
    scaled = F.interpolate(seen.transpose(0, 1), shape, mode=mode)
    picture = rearrange(scaled, "t c h w -> h (t w) c").mul(255).round().byte().numpy()
    coded = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 82])[1]
    return data_uri(coded.tobytes(), "image/jpeg"), fitting


def waveform(wave: Tensor) -> str:
    """Lowest and highest sample of each of `PEAKS` spans, of all channels: packed int8, (PEAKS, 2).

    Shapes: wave (A, N) in [-1, 1].
    """
    heard = wave.detach().float().cpu()[None]
    high = F.adaptive_max_pool1d(heard, PEAKS)[0].amax(0)
    low = -F.adaptive_max_pool1d(-heard, PEAKS)[0].amax(0)
    return packed((torch.stack([low, high], 1).clamp(-1, 1) * 127).round().to(torch.int8))


def log_mel(wave: Tensor, rate: float, top: float | None = None) -> Tensor:
    """Level of each mel band over time in dB of a full-scale sine, (BANDS, COLUMNS); low bands first.

    Shapes: wave (A, N); channels are added by power.

    Args:
        wave: the audio.
        rate: its samples per second.
        top: upper end in Hz; None: half the sample rate, at most `TOP`. Bands above half the rate are empty.
    """
    top = top or highest(rate)
    heard = wave.detach().float().cpu()
    window = max(2, round(WINDOW * rate))
    length = 2 ** math.ceil(math.log2(2 * window))  # so that the lowest bands have bins too
    hop = max(1, round(HOP * rate), heard.shape[1] // (4 * COLUMNS))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of empty bands: those above half the rate
        bank = torchaudio.functional.melscale_fbanks(length // 2 + 1, 30.0, top, BANDS, int(rate))
    bank[torch.linspace(0, rate / 2, length // 2 + 1) > top] = 0
    hann = torch.hann_window(window)
    padded = F.pad(heard, (window // 2, window - window // 2))
    columns = 1 + heard.shape[1] // hop
    at_once = max(1, CHUNK // length)
    parts = []
    for first in range(0, columns, at_once):
        last = min(columns, first + at_once)
        piece = padded[:, first * hop : (last - 1) * hop + window]
        framed = piece.unfold(1, window, hop) * hann
        power = torch.fft.rfft(framed, length).abs().square().sum(0)  # (columns, bins)
        parts.append(4 / (length * float(hann.square().sum())) * power @ bank)
    mel = (
        F.interpolate(torch.cat(parts).T[None], COLUMNS, mode="linear")[0]
        if columns < COLUMNS
        else (F.adaptive_avg_pool1d(torch.cat(parts).T[None], COLUMNS)[0])
    )
    return 10 * mel.clamp(min=1e-12).log10()


def highest(rate: float) -> float:
    """The upper end of a spectrogram of a sample rate, in Hz."""
    return min(rate / 2, TOP)


def mel_image(levels: Tensor) -> str:
    """Levels in dB as a grey PNG, low bands below: 0 is `LOWEST`, 255 is 0 dB.

    Shapes: levels (bands, columns).
    """
    grey = ((1 - levels / LOWEST).clamp(0, 1) * 255).round().byte().flip(0).numpy()
    return data_uri(cv2.imencode(".png", grey)[1].tobytes(), "image/png")


def outlines(region: Region) -> list[str]:
    """The outline of a region as SVG paths over a square of 1000 x 1000: one, or one for each frame.

    Cells above half of the region's largest value are inside.
    """
    masks = region.mask if region.mask.ndim == 3 else region.mask[None]
    step = math.ceil(len(masks) / OUTLINED)
    inside = (masks[::step] > 0.5 * float(masks.max())).cpu().numpy().astype(np.uint8)
    return [_path(mask) for mask in inside]


def _path(mask: np.ndarray) -> str:
    """Polygons around a mask's cells, (H, W) uint8."""
    height, width = mask.shape
    scale = min(1.0, FINEST / max(height, width))
    if scale < 1:
        mask = cv2.resize(mask, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        height, width = mask.shape
    fine = np.pad(np.kron(mask, np.ones((4, 4), np.uint8)), 1)  # so that edges of cells are met, not middles
    found, _ = cv2.findContours(fine, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    parts = []
    for contour in found:
        points = cv2.approxPolyDP(contour, 1.0, True)[:, 0].astype(float) - 0.5  # x, y in quarter cells
        places = np.rint(points / (4 * width, 4 * height) * 1000).astype(int)
        parts.append("M" + "L".join(f"{x} {y}" for x, y in places) + "Z")
    return "".join(parts)
