"""Values of all metrics on fixed clips with fixed errors of detection: a change that moves a score is seen.

`python -m tests.metric_values` writes `metric_values.json` anew, for a change that is meant to move them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from avsim.clip import Clip, Region, Stems
from avsim.evaluation.bss import bss_eval
from avsim.evaluation.corruptions import (
    OF_A_CLIP,
    sounding,
    spliced,
    with_sound_of,
    wrong_material,
    wrong_place,
)
from avsim.evaluation.embeddings import audio_statistics, video_statistics
from avsim.evaluation.faults import gradient_energy
from avsim.evaluation.features import Detectors, Features
from avsim.evaluation.fidelity import Fidelity
from avsim.evaluation.field.metrics import inception_score, kernel_audio_distance
from avsim.evaluation.frechet import frechet, frechet_extrapolated, kernel_distance
from avsim.evaluation.memorization import Memorization
from avsim.evaluation.onsets import flux_onsets, spectral_flux
from avsim.evaluation.ood import OODCheck
from avsim.evaluation.oracle import oracle_features, with_corruption
from avsim.evaluation.physics import brightness
from avsim.evaluation.regions import sounding_regions
from avsim.evaluation.result import NotJudged
from avsim.evaluation.space import between_ears
from avsim.evaluation.suite import METRICS, MetricSuite, value_of_clip
from avsim.perception.detections import VideoDetections
from avsim.perception.fault_detector import KINDS, Faults
from avsim.world import Truth, WorldDataset, world_config
from tests.shipped import fingerprint

NUMBERS = Path(__file__).with_suffix(".json")
CLIPS = 12
CONFIG = replace(world_config("medium"), spec=replace(world_config("medium").spec, seconds=1.5))
Kept = TypeVar("Kept")


def by_side(clip: Clip, regions: Sequence[Region], gain: float = 1.0) -> Stems:
    """A separator that gives each region the channel of its side, as far as its picture is bright."""
    assert clip.frames is not None and clip.wave is not None
    width, stems = clip.frames.shape[-1], []
    for region in regions:
        mask = region.mask.float().reshape(-1, *region.mask.shape[-2:]).amax(0)
        bright = float((clip.frames.mean((0, 1)) * mask).sum() / mask.sum().clamp(min=1))
        x = float((mask.mean(0) * torch.arange(width)).sum() / mask.mean(0).sum().clamp(min=1e-6)) / width
        stems.append(gain * bright * torch.tensor([[1 - x], [x]]) * clip.wave / len(regions))
    return Stems(torch.stack([*stems, clip.wave - sum(stems)]), regions, clip.sample_rate)


DETECTORS = Detectors(onsets=lambda clip: (), separate=by_side, second=lambda c, r: by_side(c, r, 2.0))


def mistaken(found: Features, random: np.random.Generator) -> Features:
    """What detectors that err find: late, moved, of another kind or material, missed, and less sure."""

    def some(items: Sequence[Kept], share: float) -> list[Kept]:
        return [item for item in items if random.random() > share]

    def probabilities(values: dict[str, float]) -> dict[str, float]:
        return {name: 0.6 * value + 0.4 * random.random() for name, value in values.items()}

    def places(values: dict[str, float]) -> dict[str, float]:
        noise = probabilities(values)
        return {name: value / sum(noise.values()) for name, value in noise.items()}

    def swapped(what: str, of: Sequence[str]) -> str:
        return str(random.choice(list(of))) if what and random.random() < 0.15 else what

    kinds = sorted(found.heard.kinds)
    materials = sorted(found.heard.materials)
    new = Features(found.clip, DETECTORS, found.caption)
    new.onsets = sorted(
        (
            replace(
                onset, seconds=max(0.0, onset.seconds + 0.03 * random.normal()),
                level=onset.level + random.normal(), kind=swapped(onset.kind, kinds),
                material=swapped(onset.material, materials),
            )
            for onset in some(found.onsets, 0.1)
        ),
        key=lambda onset: onset.seconds,
    )  # fmt: skip
    events = tuple(
        replace(
            event, kind=swapped(event.kind, kinds), speed=event.speed * float(np.exp(0.2 * random.normal()))
        )
        for event in some(found.view.events, 0.1)
    )
    things = tuple(
        tuple(
            replace(
                thing, x=thing.x + 0.01 * random.normal(), y=thing.y + 0.01 * random.normal(),
                size=thing.size * float(np.exp(0.12 * random.normal())), kind=swapped(thing.kind, kinds),
            )
            for thing in some(frame, 0.04)
        )
        for frame in found.view.things
    )  # fmt: skip
    new.view = VideoDetections(events, things, places(found.view.places))
    new.heard = replace(
        found.heard, kinds=probabilities(found.heard.kinds), materials=probabilities(found.heard.materials),
        places=places(found.heard.places), decay=found.heard.decay * float(np.exp(0.3 * random.normal())),
    )  # fmt: skip
    faults = torch.from_numpy(random.random(len(things))) ** 3
    shares = torch.from_numpy(random.random(len(KINDS)))
    new.faults = Faults(faults, torch.zeros(len(things), 2, 2), shares / shares.sum(), random.normal(), 0.6)
    if "offset" in vars(found):
        new.offset = found.offset + 0.04 * random.normal()
    return new


@cache
def features() -> tuple[list[Truth], list[Features]]:
    """The clips' truths, and what is found in them."""
    random = np.random.default_rng(0)
    made = [WorldDataset(CONFIG, seed=7)[number] for number in range(CLIPS)]
    return [truth for _, truth in made], [mistaken(oracle_features(*each), random) for each in made]


def scores() -> dict[str, dict[str, list[float]]]:
    """Of each metric each number: its value, the ends of its interval, floor and ceiling, judged clips."""
    suite = MetricSuite(METRICS, calibrated=False)
    for found in features()[1]:
        suite.update(found)
    suite_of_truth = {metric.name: 0.9 for metric in METRICS[::2]}
    return {
        result.metric.name: {
            name: [score.value, score.low, score.high, score.floor, score.ceiling, float(score.clips)]
            for name, score in result.scores.items()
        }
        for result in suite.results(suite_of_truth)
    }


def corrupted(number: int) -> dict[str, Features]:
    """What is found in clip `number` with each corruption."""
    truths, found = features()
    one, other, truth = found[number], found[(number + 1) % CLIPS], truths[number]
    clips = {name: (change(one.clip), None) for name, change in OF_A_CLIP.items()}
    clips |= {
        "shuffled": (with_sound_of(one.clip, other.clip), None),
        "spliced": (spliced(one.clip, other.clip), None),
        "another's caption": (one.clip, None),
    }
    for name, change in (("wrong material", wrong_material), ("wrong place", wrong_place)):
        with suppress(NotJudged):
            clips[name] = sounding(one.clip, change(truth.scene))
    made = {}
    for name, (clip, changed) in clips.items():
        made[name] = with_corruption(one, clip, name, changed, other)
        made[name].detectors, made[name].before = DETECTORS, other
    return {"none": one, **made}


def of_clips() -> dict[str, dict[str, list[float]]]:
    """Of each corruption, "none" first, each metric: its values of the first clips."""
    values: dict[str, dict[str, list[float]]] = {}
    for number in range(4):
        for corruption, found in corrupted(number).items():
            for metric in METRICS:
                of_metric = values.setdefault(corruption, {}).setdefault(metric.name, [])
                of_metric.append(value_of_clip(metric, found))
    return values


def measured() -> dict[str, dict[str, list[float]]]:
    """Of the first clips, what each metric measures."""
    values: dict[str, dict[str, list[float]]] = {}
    for number, found in enumerate(features()[1][:4]):
        found.before = features()[1][number + 1]
        for metric in METRICS:
            scorer = metric.scorer()
            with suppress(NotJudged):
                metric.update(scorer, found)
            rows = [scorer.measured(row).tolist() for row in scorer.rows]
            values.setdefault(str(number), {})[metric.name] = rows[0] if rows else []
    return values


def functions() -> dict[str, dict[str, list[float]]]:
    """Of the first clips, fingerprints and values of the functions that metrics are made of."""
    values: dict[str, dict[str, list[float]]] = {}
    for number, found in enumerate(features()[1][:4]):
        clip, other = found.clip, features()[1][number + 1].clip
        assert clip.wave is not None and other.wave is not None
        regions = sounding_regions(found.view, clip.spec.size, clip.frames_per_second)
        masks = torch.stack([region.mask for region in regions]) if regions else torch.zeros(1)
        onsets = flux_onsets(clip)
        stems = torch.stack([clip.wave.mean(0), other.wave.mean(0)])
        mixed = stems + 0.3 * stems.flip(0) + 0.01 * stems.roll(3, 1)
        values[str(number)] = {
            "audio statistics": fingerprint(audio_statistics(clip)),
            "video statistics": fingerprint(video_statistics(clip)),
            "spectral flux": fingerprint(spectral_flux(clip.wave.mean(0))),
            "flux onsets": [x for onset in onsets for x in (onset.seconds, onset.level, onset.probability)],
            "regions": fingerprint(masks),
            "gradient energy": [energy for _, energy in gradient_energy(clip, found.view.things)],
            "brightness": [brightness(clip, onset.seconds) / 1000 for onset in found.onsets],
            "sides of blows": [x for o in onsets for x in between_ears(clip.wave, 16000, o.seconds) or ()],
            "sides of notes": [
                x for o in onsets for x in between_ears(clip.wave, 16000, o.seconds, True) or ()
            ],
            "bss_eval": torch.cat([x[0] for x in bss_eval(stems[None], mixed.flip(0)[None], True)]).tolist(),
        }  # fmt: skip
    return values


def sets() -> dict[str, dict[str, list[float]]]:
    """Distances between sets of made-up embeddings, and what is reported of them."""
    random = np.random.default_rng(1)
    known, judged, near = (
        torch.from_numpy(offset + spread * random.standard_normal((count, 4)))
        for offset, spread, count in ((0.0, 1.0, 60), (0.3, 1.2, 40), (0.0, 0.5, 30))
    )
    fidelity, memorization = Fidelity("x", known), Memorization(known, near)
    for row in judged:
        fidelity.update(row)
        memorization.update(row)
    check = OODCheck(known)
    own = {
        "fidelity": [x for s in fidelity.scores().values() for x in (s.value, s.low, s.high)],
        "typical": fidelity.each(fidelity.rows).tolist(),
        "memorization": [x for s in memorization.scores().values() for x in (s.value, s.low, s.high)],
        "distances": [
            distance(judged, known)
            for distance in (frechet, frechet_extrapolated, kernel_distance, kernel_audio_distance)
        ],
        "inception score": [inception_score(judged.softmax(1))],
        "out of distribution": check.distances(judged).tolist(),
    }  # fmt: skip
    warned = [float(x) for x in re.findall(r"\d+\.\d+", check.warning([*(known[:5] + 3)]) or "")]
    return {"sets": {**own, "warning": warned}}


PARTS: dict[str, Callable[[], dict[str, dict[str, list[float]]]]] = {
    each.__name__: each for each in (scores, of_clips, measured, functions, sets)
}


def main() -> None:
    """Write the numbers."""
    torch.set_num_threads(1)
    NUMBERS.write_text(json.dumps({name: compute() for name, compute in PARTS.items()}, indent=0) + "\n")


if __name__ == "__main__":
    main()
