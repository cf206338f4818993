"""Small files made with PyAV alone, so that what avsim.media reads isn't what avsim.media wrote."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch

from avsim.clip import Clip, samples_of

TICKS = 90_000  # per second, of the videos' time stamps


def greys(count: int, height: int = 32, width: int = 48) -> list[np.ndarray]:
    """Videos (H, W, 3) whose brightness names them: video i is 40 + 12 i."""
    return [np.full((height, width, 3), 40 + 12 * i, np.uint8) for i in range(count)]


def tone(seconds: float, rate: int = 48000, channels: int = 1, pitch: float = 440.0) -> np.ndarray:
    """A sine (A, N) of amplitude 0.5."""
    line = 0.5 * np.sin(2 * np.pi * pitch * np.arange(round(seconds * rate)) / rate)
    return np.repeat(line[None].astype(np.float32), channels, axis=0)


def film(
    path: Path,
    pictures: Sequence[np.ndarray] = (),
    times: Sequence[float] = (),
    wave: np.ndarray | None = None,
    rate: int = 48000,
    wave_at: float = 0.0,
    video: str = "libx264",
    pixels: str = "yuv420p",
    audio: str = "aac",
    samples: str = "fltp",
    layout: str = "mono",
    nominal: int = 25,
    aspect: Fraction | None = None,
    options: dict[str, str] | None = None,
    muxer_options: dict[str, str] | None = None,
) -> Path:
    """Videos at `times` (seconds) and a wave that begins at `wave_at`."""
    with av.open(str(path), "w", container_options=muxer_options or {}) as output:
        packets = []
        if pictures:
            stream = output.add_stream(video, rate=nominal, options=options or {"crf": "10"})
            stream.height, stream.width, _ = pictures[0].shape
            stream.pix_fmt = pixels
            fixed = path.suffix in (".avi", ".gif")
            tick = Fraction(1, nominal) if fixed else Fraction(1, TICKS)
            stream.codec_context.time_base = tick
            if aspect is not None:
                stream.codec_context.sample_aspect_ratio = aspect
        if wave is not None:
            quality = {"b": "192k"} if audio in ("aac", "libopus", "libmp3lame") else {}
            sound = output.add_stream(audio, rate=rate, layout=layout, options=quality)
            sound.format = samples
        if pictures:
            for picture, seconds in zip(pictures, times, strict=True):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = round(seconds / tick), tick
                packets += stream.encode(frame)
            packets += stream.encode(None)
        if wave is not None:
            resampler = av.AudioResampler(format=samples, layout=layout, rate=rate)
            for first in range(0, wave.shape[1], 4096):
                part = np.ascontiguousarray(wave[:, first : first + 4096])
                frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=layout)
                frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
                frame.pts = round(wave_at * rate) + first
                for piece in resampler.resample(frame):
                    packets += sound.encode(piece)
            packets += sound.encode(None)
        for packet in sorted(packets, key=lambda p: p.dts * p.time_base):
            output.mux(packet)
    return path


def lag(found: np.ndarray, wave: np.ndarray, reach: int = 500) -> int:
    """Samples by which `found` (n,) comes later than `wave` (n,), where they match best."""
    middle = wave[reach:-reach]
    errors = [np.abs(found[k : k + len(middle)] - middle).sum() for k in range(2 * reach + 1)]
    return int(np.argmin(errors)) - reach


def brightness(clip: Clip) -> list[int]:
    """Which of `greys` each frame shows."""
    assert clip.frames is not None
    means = clip.frames.mean((0, 2, 3)) * 255
    return [round((float(mean) - 40) / 12) for mean in means]


def flash_and_click(fps: float, rate: int, frames: int, at: float = 1.0, channels: int = 2) -> Clip:
    """Dark but for one white frame, silent but for a decaying tone that starts with it."""
    picture = torch.full((3, frames, 48, 64), 0.1)
    index = round(at * fps)
    picture[:, index] = 1.0
    wave = torch.zeros(channels, samples_of(frames, fps, rate))
    first = round(index / fps * rate)
    seconds = torch.arange(wave.shape[1] - first) / rate
    wave[:, first:] = 0.8 * torch.exp(-200 * seconds) * torch.cos(2 * math.pi * 1000 * seconds)
    return Clip(picture, wave, fps, rate)


def offset(clip: Clip) -> float:
    """Seconds from the start of the flash to that of the click."""
    assert clip.frames is not None and clip.wave is not None
    flash = int(clip.frames.mean((0, 2, 3)).argmax()) / clip.frames_per_second
    level = clip.wave.abs().mean(0)
    return int((level > 0.3 * level.max()).nonzero()[0]) / clip.sample_rate - flash
