"""The held-out clips of the video, and intervals by bootstrap over shots."""

import random
from collections.abc import Iterator, Sequence

import torch

from avsim.clip import ClipSpec
from avsim.data.shards import ShardFolder
from avsim.data.sources import ShardSource
from avsim.measures import Interval
from avsim.seeds import derive, generator

SPEC = ClipSpec(2.0)
HELD_OUT = ("validation", "test")  # both: nothing was chosen by the validation shots


def picked(shards: str, splits: Sequence[str] = HELD_OUT) -> Iterator:
    """(shot, sample) of every clip of the splits, in order."""
    for split in splits:
        source, items = ShardSource(shards, split), ShardFolder.open(shards, "clips").items(split)
        for index, item in enumerate(items):
            yield item["group"], source.sample(index, SPEC, generator(0, "evaluate", index))


def over_shots(values: Sequence[float], shots: Sequence[str], resamples: int = 2000) -> Interval:
    """Mean over clips with a 95 % interval, by bootstrap over whole shots."""
    by_shot: dict[str, list[float]] = {}
    for value, shot in zip(values, shots, strict=True):
        if value == value:
            by_shot.setdefault(shot, []).append(value)
    groups = list(by_shot.values())
    chance = random.Random(derive(0, "bootstrap over shots"))
    means = []
    for _ in range(resamples):
        resampled = [value for group in chance.choices(groups, k=len(groups)) for value in group]
        means.append(sum(resampled) / len(resampled))
    low, high = torch.quantile(
        torch.tensor(means, dtype=torch.float64), torch.tensor([0.025, 0.975]).double()
    )
    every = [value for group in groups for value in group]
    return Interval(sum(every) / len(every), low.item(), high.item())
