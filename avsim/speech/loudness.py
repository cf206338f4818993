"""Loudness by EBU R 128 (ITU-R BS.1770), measured by FFmpeg's `ebur128`; FFmpeg's filters for waves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from avsim.errors import InputError

LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}  # of FFmpeg, by the number of channels
STEPS = 10  # of the measurement per second
BLOCK = 4  # steps of a gating block; shorter audio is padded with silence
ABSOLUTE_GATE = -70.0  # LUFS, below which a block does not count


@dataclass(frozen=True)
class Loudness:
    """Integrated loudness in LUFS and true peak in dBTP; -inf of silence."""

    integrated: float
    true_peak: float


def loudness(wave: Tensor, sample_rate: int) -> Loudness:
    """The loudness of a wave (A, N).

    Raises:
        InputError: other than 1, 2 or 6 channels.
    """
    step = int(sample_rate) // STEPS  # what is left of a step at the end is not measured
    count = max(BLOCK, math.ceil(wave.shape[1] / step))
    wave = pad(wave, (0, count * step - wave.shape[1]))
    frames = _run([wave], sample_rate, [("ebur128", "peak=true:metadata=1:framelog=quiet")])
    last = next(frame.metadata for frame in reversed(frames) if "lavfi.r128.I" in frame.metadata)
    integrated, peak = float(last["lavfi.r128.I"]), float(last["lavfi.r128.true_peak"])
    return Loudness(
        -math.inf if integrated <= ABSOLUTE_GATE else integrated,
        20 * math.log10(peak) if peak > 0 else -math.inf,
    )


def filtered(waves: Sequence[Tensor], sample_rate: int, name: str, options: str) -> Tensor:
    """Waves (A, N) through one of FFmpeg's audio filters, which takes as many inputs; (A, N).

    Raises:
        InputError: other than 1, 2 or 6 channels.
    """
    frames = _run(waves, sample_rate, [(name, options), ("aformat", "sample_fmts=fltp")])
    made = torch.from_numpy(np.concatenate([frame.to_ndarray() for frame in frames], 1))
    count = waves[0].shape[1]
    return pad(made[:, :count], (0, max(0, count - made.shape[1])))


def _run(waves: Sequence[Tensor], sample_rate: int, filters: Sequence[tuple[str, str]]) -> list[Any]:
    """The frames that leave a chain of filters; all waves enter its first."""
    if (channels := waves[0].shape[0]) not in LAYOUTS:
        raise InputError(f"audio of {channels} channels; expected 1, 2 or 6")
    layout, tick = LAYOUTS[channels], Fraction(1, int(sample_rate))
    graph = av.filter.Graph()
    sources = [
        graph.add_abuffer(sample_rate=int(sample_rate), format="fltp", layout=layout, time_base=tick)
        for _ in waves
    ]
    chain = [graph.add(name, options) for name, options in filters] + [graph.add("abuffersink")]
    for index, source in enumerate(sources):
        source.link_to(chain[0], 0, index)
    for one, other in zip(chain, chain[1:], strict=False):
        one.link_to(other)
    graph.configure()
    for source, wave in zip(sources, waves, strict=True):
        samples = np.ascontiguousarray(wave.detach().cpu().float().numpy())
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
        frame.sample_rate, frame.time_base, frame.pts = int(sample_rate), tick, 0
        source.push(frame)
        source.push(None)
    frames = []
    while True:
        try:
            frames.append(chain[-1].pull())
        except (av.EOFError, av.BlockingIOError):
            return frames
