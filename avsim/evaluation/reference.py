"""Metrics that compare with true clips: fidelity, memorization, and the ceilings of true clips."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from avsim.clip import Clip
from avsim.errors import InputError
from avsim.evaluation.clips import Clips
from avsim.evaluation.embeddings import Embedding
from avsim.evaluation.features import Detectors
from avsim.evaluation.fidelity import Fidelity
from avsim.evaluation.memorization import Memorization
from avsim.evaluation.result import NotJudged
from avsim.evaluation.suite import MIN_CLIPS, Metric, MetricSuite

Embedded = dict[str, Tensor]  # (n, d) of each embedding that applies to any clip


def embed_clips(
    clips: Clips,
    detectors: Detectors,
    suite: MetricSuite | None = None,
    also: Callable[[Clip], None] = lambda clip: None,
) -> Embedded:
    """Embed clips and, with a suite, add them to it; `also` is called with each.

    Raises:
        InputError: none of them can be read.
    """
    rows: dict[str, list[Tensor]] = {name: [] for name in detectors.embeddings}
    for found in clips.features(detectors):
        if suite is not None:
            suite.update(found)
        also(found.clip)
        for name, embed in detectors.embeddings.items():
            try:
                rows[name].append(embed(found.clip))
            except NotJudged:
                continue
    if not clips.specs:
        raise InputError(f"none of the {len(clips.paths)} clips to compare with can be read")
    return {name: torch.stack(each) for name, each in rows.items() if each}


def ceilings(suite: MetricSuite) -> dict[str, float]:
    """The main number of each metric over the clips of a suite."""
    found = {result.metric.name: result.scores[result.headline].value for result in suite.results()}
    return {name: value for name, value in found.items() if not math.isnan(value)}


def fidelity(name: str, embed: Embedding, reference: Tensor, corruptions: tuple[str, ...] = ()) -> Metric:
    """The distance from real clips, whose embeddings are (m, d)."""
    trained = name.startswith("world-trained")
    return Metric(
        f"fidelity of {name}",
        f"Distance of the clips, as a set, from the reference in the space of {name}.",
        lambda: Fidelity(name, reference),
        lambda scorer, found: scorer.update(embed(found.clip)),
        corruptions=corruptions,
        floor=False,
        uses=tuple(
            part
            for modality, part in (("audio", "audio_detector"), ("video", "video_detector"))
            if trained and (modality in name or name.endswith("both"))
        ),
        min_clips=MIN_CLIPS,
    )


def memorization(name: str, embed: Embedding, training: Tensor, held_out: Tensor) -> Metric:
    """Whether clips are nearer to training clips (n, d) than held-out true ones (m, d) are."""
    return Metric(
        f"memorization by {name}",
        f"How often a clip is nearer to a training clip than held-out truth is, by {name}; 0.5 by chance.",
        lambda: Memorization(training, held_out),
        lambda scorer, found: scorer.update(embed(found.clip)),
        floor=False,
    )


def comparisons(detectors: Detectors, reference: Embedded, training: Embedded | None) -> list[Metric]:
    """Every comparison that the embeddings allow."""
    metrics = [fidelity(name, detectors.embeddings[name], rows) for name, rows in reference.items()]
    for name, rows in (training or {}).items():
        if name in reference:
            metrics.append(memorization(name, detectors.embeddings[name], rows, reference[name]))
    return metrics
