"""Baselines of the benchmark: the true audio, another clip's, silence, simple rules, and a model's foley."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from avsim.benchmark.make import Bench, BenchClip
from avsim.benchmark.pairs import stream
from avsim.clip import Clip, samples_of
from avsim.errors import InputError
from avsim.evaluation.corruptions import through_codecs
from avsim.seeds import derive

if TYPE_CHECKING:
    from avsim.simulator import Simulator

Audio = Callable[[BenchClip], Clip]

MOTION = 0.3  # share of a clip's greatest frame difference above which something moves
DIP = 0.7  # share of the greatest difference in the three frames before, below which it stops or turns
APART = 0.2  # s between triggered samples, at least
DECAY = 0.08  # s, of the triggered sample
PITCH = 700.0  # Hz


def baseline(name: str, bench: Bench, checkpoint: str = "small") -> Audio:
    """A baseline: a function from a clip of the benchmark to its audio.

    truth: the true audio; codec: the true audio through the checkpoint's codec; shuffled: the true audio of a
    clip of another pair; silence; triggered: a decaying tone wherever motion stops or turns (simple foley);
    model: the checkpoint's foley, without a prompt; prompted: the same with the true caption.

    Raises:
        InputError: an unknown name, or a checkpoint without the parts.
    """
    if name not in BASELINES:
        raise InputError(f"baseline {name!r}: expected one of {', '.join(BASELINES)}")
    if name in WITHOUT_MODEL:
        return WITHOUT_MODEL[name](bench)
    from avsim.devices import accelerator
    from avsim.simulator import load

    return OF_A_MODEL[name](bench, load(checkpoint, device=accelerator()))


def _truth(bench: Bench) -> Audio:
    return bench.truth


def _shuffled(bench: Bench) -> Audio:
    clips = bench.clips
    places = {clip.name: k for k, clip in enumerate(clips)}

    def audio(clip: BenchClip) -> Clip:
        others = [each for each in clips if (each.change, each.pair) != (clip.change, clip.pair)]
        if not others:
            raise InputError("a single pair can't be shuffled")
        return bench.truth(others[derive(0, "shuffled", places[clip.name]) % len(others)])

    return audio


def _silence(bench: Bench) -> Audio:
    spec = bench.spec
    return lambda clip: Clip(None, torch.zeros(spec.channels, spec.samples), sample_rate=spec.sample_rate)


def _triggered(bench: Bench) -> Audio:
    def audio(clip: BenchClip) -> Clip:
        video = bench.video(clip)
        assert video.frames is not None
        rate, spec = video.frames_per_second, bench.spec
        count = samples_of(video.frames.shape[1], rate, spec.sample_rate)
        wave = torch.zeros(count)
        time = torch.arange(round(6 * DECAY * spec.sample_rate)) / spec.sample_rate
        sample = 0.5 * torch.exp(-time / DECAY) * torch.sin(2 * torch.pi * PITCH * time)
        for moment in motion_stops(video.frames, rate):
            first = round(moment * spec.sample_rate)
            part = sample[: max(0, count - first)]
            wave[first : first + len(part)] += part
        return Clip(None, wave.expand(spec.channels, -1).clone(), sample_rate=spec.sample_rate)

    return audio


def motion_stops(frames: Tensor, rate: float) -> list[float]:
    """Seconds at which motion in frames (3, T, H, W) stops or turns: dips in the frame difference."""
    change = frames.diff(dim=1).abs().mean((0, 2, 3))  # (T - 1,)
    moves = MOTION * change.max().item()
    found: list[float] = []
    for k in range(1, len(change)):
        before = change[max(0, k - 3) : k].max().item()
        falls = change[k] < change[k - 1] and (k + 1 == len(change) or change[k] <= change[k + 1])
        moment = (k + 1) / rate
        if (
            before > moves
            and falls
            and change[k] < DIP * before
            and (not found or moment - found[-1] >= APART)
        ):
            found.append(moment)
    return found


def _codec(bench: Bench, simulator: Simulator) -> Audio:
    codec = simulator.audio_codec
    if codec is None or codec.sample_rate != bench.spec.sample_rate:
        raise InputError(f"{simulator.source}: has no audio codec of {bench.spec.sample_rate} Hz")

    def audio(clip: BenchClip) -> Clip:
        true = bench.truth(clip)
        assert true.wave is not None
        made = through_codecs(replace(true, wave=true.wave.to(simulator.device)), None, codec)
        assert made.wave is not None
        return replace(true, wave=made.wave.float().cpu().clamp(-1, 1))

    return audio


def _model(bench: Bench, simulator: Simulator) -> Audio:
    return lambda clip: simulator.foley(bench.video(clip), "", seed=_seed(clip))


def _prompted(bench: Bench, simulator: Simulator) -> Audio:
    return lambda clip: simulator.foley(bench.video(clip), clip.caption, seed=_seed(clip))


def _seed(clip: BenchClip) -> int:
    """Both clips of a pair get the same noise: only the video (and caption) differs."""
    return derive(0, "AV-Truth", stream(clip.change), clip.pair) % 2**31


WITHOUT_MODEL: dict[str, Callable[[Bench], Audio]] = {
    "truth": _truth,
    "shuffled": _shuffled,
    "silence": _silence,
    "triggered": _triggered,
}
OF_A_MODEL: dict[str, Callable[[Bench, Simulator], Audio]] = {
    "codec": _codec,
    "model": _model,
    "prompted": _prompted,
}
BASELINES = (*WITHOUT_MODEL, *OF_A_MODEL)
