"""What scorers say of clips, as a page: a table, a plot of each value between its floor and ceiling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from avsim.evaluation.result import Score
from avsim.evaluation.suite import Result
from avsim.report.card import KEYS, SCRIPT, STYLE
from avsim.report.html import Html, Section, escaped, page, table

WIDE, HIGH = 360, 34  # pixels of a plot
HEADER = ["number", "value", "95 % interval", "floor", "ceiling", "of the ceiling", "clips", "skipped"]


def cells(name: str, score: Score) -> list[str]:
    """A row of the table."""
    skipped = "; ".join(f"{count} {reason}" for reason, count in score.skipped.items())
    interval = f"{shown(score.low)} … {shown(score.high)}" if math.isfinite(score.low) else "–"
    return [
        name, shown(score.value), interval, shown(score.floor), shown(score.ceiling), shown(score.of_ceiling),
        str(score.clips), skipped or "–",
    ]  # fmt: skip


def shown(value: float) -> str:
    """Three digits, a dash for what isn't known."""
    return f"{value if abs(value) > 1e-9 else 0:.3g}" if math.isfinite(value) else "–"


def plot(score: Score) -> Html:
    """The value as a dot with its interval as a line, between floor and ceiling as ticks; an inline SVG."""
    places = [v for v in (score.low, score.high, score.value, score.floor, score.ceiling) if math.isfinite(v)]
    low, high = min(places), max(places)
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    spread = (high - low) or 1.0

    def x(value: float) -> float:
        return 12 + (WIDE - 24) * (value - low) / spread

    middle = HIGH / 2 - 5
    parts = [
        f'<line x1="12" x2="{WIDE - 12}" y1="{middle}" y2="{middle}" stroke="currentColor" opacity=".2"/>'
    ]
    for value, word in ((score.floor, "floor"), (score.ceiling, "ceiling")):
        if math.isfinite(value):
            parts.append(
                f'<line x1="{x(value):.1f}" x2="{x(value):.1f}" y1="{middle - 8}" y2="{middle + 8}" '
                f'stroke="currentColor" opacity=".6"/><text x="{x(value):.1f}" y="{HIGH - 2}" font-size="10" '
                f'text-anchor="middle" fill="currentColor" opacity=".7">{word}</text>'
            )
    if math.isfinite(score.low):
        parts.append(
            f'<line x1="{x(score.low):.1f}" x2="{x(score.high):.1f}" y1="{middle}" y2="{middle}" '
            'stroke="#2f7ed8" stroke-width="4" opacity=".5"/>'
        )
    parts.append(f'<circle cx="{x(score.value):.1f}" cy="{middle}" r="5" fill="#2f7ed8"/>')
    label = f"{shown(score.value)} on a line from {shown(low)} to {shown(high)}"
    return Html(
        f'<svg role="img" aria-label="{escaped(label)}" width="{WIDE}" height="{HIGH}">{"".join(parts)}</svg>'
    )


def write_scores(
    path: str | Path,
    title: str,
    results: Sequence[Result],
    notes: Sequence[str],
    examples: Sequence[Html] = (),
    summary: Sequence[str] = (),
) -> Path:
    """One self-contained page: what can be believed first, then what can't and why.

    Args:
        path: of the page.
        title: of the page.
        results: of all scorers.
        notes: sentences on what was judged.
        examples: cards of clips, the worst first.
        summary: the main numbers, a line each.
    """
    sections = [Section("Summary", [*summary, *notes])]
    clips = Section(f"Clips, the worst first ({len(examples)})", [KEYS, *examples])
    for result in sorted(results, key=lambda each: each.warning is not None):
        parts: list[str] = [result.metric.about]
        if result.warning is not None:
            parts.append(f"{result.warning[0].upper()}{result.warning[1:]}.")
        if result.scores[result.headline].clips:
            if math.isfinite(result.scores[result.headline].value):
                parts.append(plot(result.scores[result.headline]))
            parts.append(table(HEADER, [cells(name, score) for name, score in result.scores.items()]))
        sections.append(Section(result.metric.name[0].upper() + result.metric.name[1:], parts))
    return page(path, title, [*sections, *([clips] if examples else [])], SCRIPT, STYLE)
