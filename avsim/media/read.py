"""A span of a file as a clip."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

from avsim.clip import Clip
from avsim.errors import InputError
from avsim.media.audio import read_audio
from avsim.media.opening import opened, worded
from avsim.media.video import rate_of, read_frames

BUDGET = 2e9  # bytes
Want = Literal["any", "frames", "wave", "both"]


def read(
    path: str | Path,
    start: float = 0.0,
    seconds: float | None = None,
    size: tuple[int, int] | None = None,
    frames_per_second: float | None = None,
    sample_rate: int | None = None,
    channels: int | None = None,
    want: Want = "any",
    budget: float = BUDGET,
) -> Clip:
    """Read a span of a video, sound file or image by its time stamps; only the span is decoded.

    The video rules the length: T frames, and the N samples that they own, padded with silence where the
    sound starts late or ends early. Frames come upright and with square pixels. A video without audio has
    `wave` None, a sound file `frames` None, an image one frame.

    Args:
        path: mp4, mov, mkv, webm, avi, gif, png, jpg, wav, flac, mp3, ogg, or what else FFmpeg reads.
        start: seconds from the beginning.
        seconds: length (rounded to whole frames), None for the rest. A file that ends earlier gives less.
        size: (H, W) to scale to (covering it, antialiased) and crop to at the centre; None for the file's.
        frames_per_second: None for the file's own (the mean where it varies; 16 for an image).
        sample_rate: in Hz; None for the file's own.
        channels: of sound, 1 or 2, or the file's own number; None keeps mono and stereo and mixes what is
            wider (5.1) to stereo.
        want: "frames" or "wave" reads that alone, "both" insists on both, "any" takes what is there.
        budget: bytes of memory that the read may take, judged by headers and time stamps before decoding.

    Raises:
        InputError: a file that is missing, empty, damaged, truncated within the span or lacks what is wanted;
            an argument out of range; a start beyond the end.
    """
    path = Path(path)
    _check(start, seconds, size, frames_per_second, sample_rate, channels)
    with worded(path), opened(path) as file:
        has_frames, has_wave = file.video is not None, file.audio is not None
        if want in ("frames", "both") and not has_frames:
            raise InputError(f"{path}: has no video, which is needed here")
        if want in ("wave", "both") and not has_wave:
            raise InputError(f"{path}: has no audio, which is needed here")
        if want == "wave" or not has_frames:
            wave, rate = read_audio(file, start, seconds, sample_rate, channels, budget)
            if not wave.shape[1]:
                raise InputError(f"{path}: start {start:g} s lies beyond the end of its sound")
            return Clip(None, wave, sample_rate=rate)
        fps = frames_per_second or rate_of(file)
        frames = read_frames(file, start, seconds, size, fps, budget)
        if want == "frames" or not has_wave:
            return Clip(frames, None, fps)
        seconds, own_rate = frames.shape[1] / fps, file.audio.rate
    _check_length(path, seconds, sample_rate or own_rate, budget)
    with worded(path), opened(path) as file:  # again, as its packets were read
        wave, rate = read_audio(file, start, seconds, sample_rate, channels, budget)
    return Clip.fitted(frames, wave, fps, rate)


def _check_length(path: Path, seconds: float, rate: int, budget: float) -> None:
    """Refuse the sound of a video that lasts for ages: it would be padded with silence to that length."""
    if seconds * rate * 2 * 4 > budget:
        raise InputError(
            f"{path}: {seconds:.0f} s of sound at {rate} Hz take more than {budget / 1e9:g} GB; read a span"
        )


def _check(
    start: float,
    seconds: float | None,
    size: tuple[int, int] | None,
    frames_per_second: float | None,
    sample_rate: int | None,
    channels: int | None,
) -> None:
    if not (math.isfinite(start) and start >= 0):
        raise InputError(f"start is {start}; expected seconds, 0 or more")
    for name, value in (("seconds", seconds), ("frames_per_second", frames_per_second)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise InputError(f"{name} is {value}; expected a positive number")
    for name, whole in (("sample_rate", sample_rate), ("channels", channels)):
        if whole is not None and not (whole == int(whole) and whole > 0):
            raise InputError(f"{name} is {whole}; expected a positive whole number")
    if size is not None and (len(size) != 2 or min(size) < 1):
        raise InputError(f"size is {size}; expected (height, width) in pixels, 1 or more")
