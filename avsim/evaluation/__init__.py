"""Judges of picture and sound, proven on the world's truth before they judge.

A `Judge` is a `torchmetrics.Metric` of plain values (`separation`, `localization`, `grounding`, `space`,
`events`, `card`, `integrity`, `text`, `fidelity`, `diversity`). A `Question` asks it of a clip by what
detectors find there (`evidence`); the `Panel` asks all, and `Calibration` says which answers to believe.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avsim.evaluation.bss import bss_eval
    from avsim.evaluation.calibration import Calibration
    from avsim.evaluation.card import ReportCard
    from avsim.evaluation.diversity import Diversity, Memorization
    from avsim.evaluation.events import EventSynchrony, Offset
    from avsim.evaluation.evidence import Detectors, Evidence
    from avsim.evaluation.fidelity import Fidelity
    from avsim.evaluation.grounding import Grounding
    from avsim.evaluation.integrity import Integrity
    from avsim.evaluation.judge import Judge
    from avsim.evaluation.localization import Localization
    from avsim.evaluation.panel import Panel, Question
    from avsim.evaluation.score import Score
    from avsim.evaluation.separation import Separation
    from avsim.evaluation.space import Space
    from avsim.evaluation.text import TextAgreement

_HOMES = {
    "Calibration": "calibration",
    "Detectors": "evidence",
    "Diversity": "diversity",
    "EventSynchrony": "events",
    "Evidence": "evidence",
    "Fidelity": "fidelity",
    "Grounding": "grounding",
    "Integrity": "integrity",
    "Judge": "judge",
    "Localization": "localization",
    "Memorization": "diversity",
    "Offset": "events",
    "Panel": "panel",
    "Question": "panel",
    "ReportCard": "card",
    "Score": "score",
    "Separation": "separation",
    "Space": "space",
    "TextAgreement": "text",
    "bss_eval": "bss",
}
__all__ = [
    "Calibration",
    "Detectors",
    "Diversity",
    "EventSynchrony",
    "Evidence",
    "Fidelity",
    "Grounding",
    "Integrity",
    "Judge",
    "Localization",
    "Memorization",
    "Offset",
    "Panel",
    "Question",
    "ReportCard",
    "Score",
    "Separation",
    "Space",
    "TextAgreement",
    "bss_eval",
]


def __getattr__(name: str) -> Any:
    """Import a judge when it is first used."""
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
