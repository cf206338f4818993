"""The sound of a file on a clip's grid of samples."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avsim.errors import InputError
from avsim.media.opening import Decoding, MediaFile, channels_of, own_order
from avsim.media.video import check_whole

_PREROLL = 0.3  # seconds: MP3's bit reservoir, Opus' 80 ms and AAC's overlap lie within it
_MARGIN = 0.02  # seconds on both sides for the resampling filter
_MAX_RATIO = 1000  # of two sample rates
_PLANES = 7  # channels of a frame at most that PyAV reads
_GAP = 0.01  # seconds of deviation from here on are a gap in the sound, not rounded time stamps
_DIAGONAL = math.sqrt(0.5)

# ITU-R BS.775: (left, right) gains of each channel; LFE is left out.
_DOWNMIX = {
    "FL": (1.0, 0.0),
    "FR": (0.0, 1.0),
    "FC": (_DIAGONAL, _DIAGONAL),
    "LFE": (0.0, 0.0),
    "BL": (_DIAGONAL, 0.0),
    "BR": (0.0, _DIAGONAL),
    "SL": (_DIAGONAL, 0.0),
    "SR": (0.0, _DIAGONAL),
    "FLC": (_DIAGONAL, _DIAGONAL / 2),
    "FRC": (_DIAGONAL / 2, _DIAGONAL),
    "BC": (0.5, 0.5),
}
_SURROUND = ["FL", "FR", "FC", "LFE", "BL", "BR"]  # FFmpeg's order of 5.1


def read_audio(
    file: MediaFile,
    start: float,
    seconds: float | None,
    rate: int | None,
    channels: int | None,
    budget: float,
) -> tuple[Tensor, int]:
    """The wave (A, N) from `start` on, float32, and its rate; silence fills gaps between time stamps.

    Nothing may have been read of `file` before.

    N = round(seconds rate), less where the sound ends earlier (down to 0 where it ends before `start`).

    Raises:
        InputError: the span is damaged, or the data ends before its header says.
    """
    path, declared = file.path, file.declared_end("audio")
    until = math.inf if seconds is None else start + seconds + _MARGIN
    found = channels_of(file)
    decoding = Decoding(file, "audio", max(0.0, start - _MARGIN), _PREROLL)
    mixing = found > _PLANES or (found > 2 and own_order(file))
    if mixing and channels not in (None, 1, 2):
        raise InputError(
            f"{path}: channels={channels} was requested; it has {found}, which can become 1 or 2"
        )
    pieces: list[tuple[float, NDArray[np.float32]]] = []
    own_rate, layout = 0, None
    ended = True
    for moment, frame in _in_stereo(file) if mixing else decoding:
        if layout is None:
            own_rate, layout = frame.sample_rate, frame.layout
        if moment >= until:
            ended = False
            pieces = pieces or [(moment, _samples(frame)[:, :0])]  # all of it comes after the span
            break
        if frame.sample_rate != own_rate or frame.layout.nb_channels != layout.nb_channels:
            raise InputError(f"{path}: its sound changes its rate or channels at {moment:.2f} s")
        pieces.append((moment, _samples(frame)))
    if layout is None:
        raise InputError(f"{path}: none of its sound could be decoded")
    runs = _runs(pieces, own_rate, float(file.audio.time_base))
    end = runs[-1][0] + runs[-1][1].shape[1] / own_rate
    if ended:
        check_whole(path, "audio", math.inf if seconds is None else start + seconds, end, declared)
    if decoding.damage is not None and decoding.damage < until:
        raise InputError(f"{path}: its sound is damaged at {decoding.damage:.2f} s; choose a span without it")
    if declared is not None and "mov" in file.container.format.name.split(","):
        end = min(end, declared)  # a last packet of AAC is decoded whole, however little of it was meant
    rate = rate or own_rate
    count = max(0, round((end - start) * rate))
    if seconds is not None:
        count = min(count, round(seconds * rate))
    if count * max(1, own_rate / rate) * 2 * 4 * 2 > budget:
        raise InputError(
            f"{path}: {count / rate:.0f} s of sound take more than {budget / 1e9:g} GB; read a span"
        )
    names = [channel.name for channel in layout.channels]
    runs = [(moment, _mixed(path, samples, names, channels)) for moment, samples in runs]
    wave = _on_grid(runs, start, count, end, own_rate, rate)
    if not np.isfinite(wave).all():
        raise InputError(f"{path}: its sound holds values that are not finite")
    return torch.from_numpy(wave), rate


def _in_stereo(file: MediaFile) -> Iterator[tuple[float, Any]]:
    """Frames of the sound, mixed to stereo by FFmpeg itself (ITU-R BS.775), from the beginning on.

    PyAV 18.1 crashes on frames of eight planes and on layouts in an order of their own, so none reaches it:
    the filter `amovie` opens, decodes and mixes.
    """
    name = re.sub(r"([\\':])", r"\\\1", f"file:{file.path}")
    graph = av.filter.Graph()
    source = graph.add("amovie", f"filename={name}:stream_index={file.audio.index}")
    mixed = graph.add("aresample", "out_sample_fmt=flt:out_chlayout=stereo:rematrix_maxval=1")
    sink = graph.add("abuffersink")
    source.link_to(mixed)
    mixed.link_to(sink)
    graph.configure(auto_buffer=False)
    while True:
        try:
            frame: Any = sink.pull()
        except (av.EOFError, av.BlockingIOError):
            return
        yield float(frame.pts * frame.time_base) - file.zero, frame


def _samples(frame: Any) -> NDArray[np.float32]:
    """Samples of a decoded frame, (A, n) in [-1, 1]."""
    # PyAV 18.1 has no arrays of 64-bit integers.
    array = _of_64_bits(frame) if frame.format.name.startswith("s64") else frame.to_ndarray()
    if not frame.format.is_planar:
        array = array.reshape(-1, frame.layout.nb_channels).T
    if array.dtype == np.uint8:
        return (array.astype(np.float32) - 128.0) / 128.0
    if np.issubdtype(array.dtype, np.integer):
        return (array / -float(np.iinfo(array.dtype).min)).astype(np.float32)
    return array.astype(np.float32)


def _of_64_bits(frame: Any) -> NDArray[np.int64]:
    """The samples of a frame of 64-bit integers, shaped as `to_ndarray` shapes others."""
    count = frame.samples * (1 if frame.format.is_planar else frame.layout.nb_channels)
    return np.stack([np.frombuffer(plane, np.int64)[:count] for plane in frame.planes])


def _runs(
    pieces: list[tuple[float, NDArray[np.float32]]], rate: int, tick: float
) -> list[tuple[float, NDArray[np.float32]]]:
    """Join pieces that follow one another. A run's start is the mean over its pieces of what each says.

    Containers round time stamps to a `tick` (Matroska: 1 ms); the mean recovers what single ones lost, and a
    sound that starts within half a tick of 0 starts there.
    """
    runs: list[tuple[float, NDArray[np.float32]]] = []
    says: list[float] = []  # where each piece says that its run starts
    joined: list[NDArray[np.float32]] = []
    length, total = 0, 0.0  # samples of the run; the sum of `says`, for a mean in constant time

    def close() -> None:
        moment = float(np.mean(says))
        runs.append((0.0 if abs(moment) <= 0.5001 * tick else moment, np.concatenate(joined, axis=1)))

    for moment, samples in pieces:
        if says and abs(moment - length / rate - total / len(says)) > _GAP:
            close()
            says, joined, length, total = [], [], 0, 0.0
        says.append(moment - length / rate)
        total += says[-1]
        joined.append(samples)
        length += samples.shape[1]
    close()
    return runs


def _mixed(
    path: Path, samples: NDArray[np.float32], names: list[str], channels: int | None
) -> NDArray[np.float32]:
    """Samples (A, n) mixed to `channels`; None keeps mono and stereo and mixes anything wider to stereo.

    Mono is copied to both sides; stereo is averaged to mono; wider sound is mixed by ITU-R BS.775, scaled so
    that full scale in every channel stays full scale.
    """
    found = samples.shape[0]
    wanted = channels or min(found, 2)
    if wanted == found:
        return samples
    if wanted not in (1, 2):
        raise InputError(f"{path}: channels={wanted} was requested; it has {found}, which can become 1 or 2")
    if found > 2:
        gains = np.array([_DOWNMIX.get(name, (0.5, 0.5)) for name in names], np.float32).T  # (2, A)
        samples = (gains / gains.sum(1).max()) @ samples
        found = 2
    if wanted == found:
        return samples
    return samples.mean(0, keepdims=True) if wanted == 1 else np.repeat(samples, 2, axis=0)


def as_stereo(wave: Tensor) -> Tensor:
    """A wave (A, N) of any channels as one or two, mixed as `read` mixes a file's.

    Six are taken for 5.1 in FFmpeg's order. Of other layouts nothing is known here: each channel goes to both
    sides alike.
    """
    names = _SURROUND if wave.shape[0] == len(_SURROUND) else [""] * wave.shape[0]
    samples = wave.detach().cpu().float().numpy()
    return torch.from_numpy(_mixed(Path(), samples, names, None))


def _on_grid(
    runs: list[tuple[float, NDArray[np.float32]]],
    start: float,
    count: int,
    end: float,
    own_rate: int,
    rate: int,
) -> NDArray[np.float32]:
    """Samples at start, start + 1 / rate, ...; silence outside the runs (at `own_rate`) and beyond `end`."""
    # Both grids meet every 1 / gcd seconds: from such a moment on, resampling shifts nothing.
    meeting = math.gcd(own_rate, rate)
    origin = math.floor((start - _MARGIN) * meeting) / meeting
    length = math.ceil((start + count / rate + _MARGIN - origin) * own_rate)
    line = np.zeros((runs[0][1].shape[0], max(length, 1)), np.float32)
    for moment, samples in runs:
        at = round((moment - origin) * own_rate)
        cut = min(samples.shape[1], round((end - moment) * own_rate))
        first, last = max(0, -at), max(0, min(cut, line.shape[1] - at))
        if first < last:
            line[:, at + first : at + last] = samples[:, first:last]
    if rate != own_rate:
        line = resampled(line, own_rate, rate)
    offset = round((start - origin) * rate)
    wave = line[:, offset : offset + count]
    return np.pad(wave, ((0, 0), (0, count - wave.shape[1])))


def resampled(wave: NDArray[np.float32], rate: int, wanted: int) -> NDArray[np.float32]:
    """A wave (A, n) at another rate (FFmpeg's swresample), its first sample staying where it was."""
    if rate > _MAX_RATIO * wanted:  # a damaged header; the filter grows with it
        raise InputError(
            f"sound of {rate} Hz can't be resampled to {wanted} Hz: more than {_MAX_RATIO} times"
        )
    channels = []
    for row in wave:
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=wanted)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(row[None]), format="fltp", layout="mono")
        frame.sample_rate = rate
        frame.pts = 0
        pieces = [*resampler.resample(frame), *resampler.resample(None)]
        if not pieces:
            raise InputError(f"sound of {rate} Hz can't be resampled to {wanted} Hz")
        channels.append(np.concatenate([piece.to_ndarray() for piece in pieces], axis=1))
    return np.concatenate(channels)
