"""How well metrics tell true audio from audio in which one fact is wrong, and how sensitive they are.

Each clip of the benchmark is judged with its true audio and with each corruption: the audio of the pair's
other clip (one wrong fact, equal hit times), a delay, a gain, or a panning. A metric's AUROC is how often a
true clip gets the better value than a corrupted one; 1/2 is chance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch

from avsim.benchmark.make import Bench
from avsim.clip import Clip
from avsim.evaluation.calibration import auroc
from avsim.evaluation.corruptions import Corruption, with_sound_of
from avsim.evaluation.features import Detectors, Features
from avsim.evaluation.suite import Metric, value_of_clip
from avsim.measures import Interval
from avsim.seeds import generator

DELAYS = (20, 40, 80, 160, 320)  # ms
GAINS = (-12, -6, -3, 3, 6)  # dB
PANS = (10, 20, 40)  # degrees, by which the stereo image is rotated; 45 puts the middle hard to one side
DRAWS = 1000  # bootstrap samples


@dataclass(frozen=True)
class Sensitivity:
    """How well a metric detects one corruption."""

    metric: str
    corruption: str
    auroc: Interval
    judged: int  # clips for which the metric has a value with the true and with the corrupted audio
    clips: int

    def plain(self) -> dict[str, object]:
        """As dicts, strings and numbers."""
        return {
            "metric": self.metric,
            "corruption": self.corruption,
            "auroc": self.auroc.plain(),
            "judged": f"{self.judged} of {self.clips}",
        }


def delayed(clip: Clip, milliseconds: float) -> Clip:
    """The audio is later; silence comes before it."""
    assert clip.wave is not None
    samples = round(milliseconds / 1000 * clip.sample_rate)
    wave = torch.zeros_like(clip.wave)
    wave[:, samples:] = clip.wave[:, : clip.wave.shape[1] - samples]
    return replace(clip, wave=wave)


def amplified(clip: Clip, decibels: float) -> Clip:
    """The audio is louder or softer, without clipping: values may exceed 1."""
    assert clip.wave is not None
    return replace(clip, wave=clip.wave * 10 ** (decibels / 20))


def panned(clip: Clip, degrees: float) -> Clip:
    """The stereo image is rotated to the right; mono stays as it is."""
    assert clip.wave is not None
    if clip.wave.shape[0] != 2:
        return clip
    turn = math.radians(degrees)
    left, right = clip.wave
    wave = torch.stack([math.cos(turn) * left - math.sin(turn) * right,
                        math.sin(turn) * left + math.cos(turn) * right])  # fmt: skip
    return replace(clip, wave=wave)


CURVES: dict[str, Corruption] = {
    **{f"delay of {ms} ms": partial(delayed, milliseconds=ms) for ms in DELAYS},
    **{f"gain of {db:+d} dB": partial(amplified, decibels=db) for db in GAINS},
    **{f"panned by {degrees}°": partial(panned, degrees=degrees) for degrees in PANS},
}


def sensitivities(
    bench: Bench,
    metrics: Sequence[Metric],
    detectors: Detectors,
    done: Callable[[], object] = lambda: None,
) -> Iterator[Sensitivity]:
    """The AUROC of each metric against each corruption.

    Args:
        bench: the clips.
        metrics: metrics of single clips.
        detectors: the detectors that the metrics use.
        done: called after each clip.
    """
    true: dict[str, dict[str, float]] = {metric.name: {} for metric in metrics}
    false: dict[tuple[str, str], dict[str, float]] = {}
    partner = {one.name: other for pair in bench.pairs() for one, other in (pair, pair[::-1])}
    for clip in bench.clips:
        video = bench.video(clip)
        whole = with_sound_of(video, bench.truth(clip))
        found = Features(whole, detectors, clip.caption, clip.name)
        for metric in metrics:
            true[metric.name][clip.name] = value_of_clip(metric, found)
        wrong = {f"wrong {clip.change}": with_sound_of(video, bench.truth(partner[clip.name]))}
        wrong |= {name: change(whole) for name, change in CURVES.items()}
        for name, corrupted in wrong.items():
            changed = found.with_sound_of(Features(corrupted, detectors, clip.caption, clip.name))
            for metric in metrics:
                false.setdefault((metric.name, name), {})[clip.name] = value_of_clip(metric, changed)
        done()
    for (metric_name, name), values in false.items():
        yield _compared(metric_name, name, true[metric_name], values)


def _compared(metric: str, corruption: str, true: dict[str, float], false: dict[str, float]) -> Sensitivity:
    """AUROC over the clips with both values, with a bootstrap interval over clips."""
    names = [name for name in false if not (math.isnan(true[name]) or math.isnan(false[name]))]
    right = torch.tensor([true[name] for name in names], dtype=torch.float64)
    wrong = torch.tensor([false[name] for name in names], dtype=torch.float64)
    if not names:
        return Sensitivity(metric, corruption, Interval(math.nan, math.nan, math.nan), 0, len(false))
    chosen = torch.randint(len(names), (DRAWS, len(names)), generator=generator(0, metric, corruption))
    drawn = torch.tensor([auroc(right[rows], wrong[rows]) for rows in chosen], dtype=torch.float64)
    low, high = torch.quantile(drawn, torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return Sensitivity(metric, corruption, Interval(auroc(right, wrong), low, high), len(names), len(false))


def table(found: Sequence[Sensitivity]) -> str:
    """As a Markdown table: one row per metric, one column per corruption."""
    metrics = list(dict.fromkeys(one.metric for one in found))
    corruptions = list(dict.fromkeys(one.corruption for one in found))
    by = {(one.metric, one.corruption): one for one in found}
    lines = ["| metric | " + " | ".join(corruptions) + " |", "|---" * (len(corruptions) + 1) + "|"]
    for metric in metrics:
        cells = []
        for corruption in corruptions:
            one = by.get((metric, corruption))
            area = None if one is None or math.isnan(one.auroc.mean) else one.auroc
            cells.append("–" if area is None else f"{area.mean:.2f} ({area.low:.2f} … {area.high:.2f})")
        lines.append(f"| {metric} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
