"""Questions that compare with true clips: fidelity, memorization, and what true clips get themselves."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from avsim.errors import InputError
from avsim.evaluation.clips import Clips
from avsim.evaluation.diversity import Memorization
from avsim.evaluation.embeddings import Embedding
from avsim.evaluation.features import Detectors
from avsim.evaluation.fidelity import Fidelity
from avsim.evaluation.result import Unjudged
from avsim.evaluation.suite import CROWD, Panel, Question

Embedded = dict[str, Tensor]  # (n, d) of each embedding that applies to any clip


def seen_by(clips: Clips, detectors: Detectors, panel: Panel | None = None) -> Embedded:
    """Embed clips, and show them to a panel on the way.

    Raises:
        InputError: none of them can be read.
    """
    rows: dict[str, list[Tensor]] = {name: [] for name in detectors.embeddings}
    for found in clips.evidence(detectors):
        if panel is not None:
            panel.update(found)
        for name, embed in detectors.embeddings.items():
            try:
                rows[name].append(embed(found.clip))
            except Unjudged:
                continue
    if not clips.specs:
        raise InputError(f"none of the {len(clips.paths)} clips to compare with can be read")
    return {name: torch.stack(each) for name, each in rows.items() if each}


def ceilings(panel: Panel) -> dict[str, float]:
    """What each judge's first number is for the clips that the panel was shown."""
    found = {verdict.question.name: verdict.scores[verdict.headline].value for verdict in panel.verdicts()}
    return {name: value for name, value in found.items() if not math.isnan(value)}


def fidelity(name: str, embed: Embedding, reference: Tensor, lies: tuple[str, ...] = ()) -> Question:
    """The distance from real clips, whose embeddings are (m, d)."""
    trained = name.startswith("world-trained")
    return Question(
        f"fidelity of {name}",
        f"How far the clips are, as a crowd, from the reference in the space of {name}.",
        lambda: Fidelity(name, reference),
        lambda judge, found: judge.update(embed(found.clip)),
        lies=lies,
        floor=False,
        uses=tuple(p for p in ("sound", "picture") if trained and (p in name or name.endswith("both"))),
        crowd=CROWD,
    )


def memorization(name: str, embed: Embedding, training: Tensor, held_out: Tensor) -> Question:
    """Whether clips are nearer to training clips (n, d) than held-out true ones (m, d) are."""
    return Question(
        f"memorization by {name}",
        f"How often a clip is nearer to a training clip than held-out truth is, by {name}; 0.5 by chance.",
        lambda: Memorization(training, held_out),
        lambda judge, found: judge.update(embed(found.clip)),
        floor=False,
    )


def comparisons(detectors: Detectors, reference: Embedded, training: Embedded | None) -> list[Question]:
    """Every comparison that the embeddings allow."""
    questions = [fidelity(name, detectors.embeddings[name], rows) for name, rows in reference.items()]
    for name, rows in (training or {}).items():
        if name in reference:
            questions.append(memorization(name, detectors.embeddings[name], rows, reference[name]))
    return questions
