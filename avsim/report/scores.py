"""What scorers say of clips, as a page: a table, a plot of each value between its floor and ceiling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from avsim.evaluation.result import Score
from avsim.evaluation.suite import Result
from avsim.report.card import KEYS, MARKS, SCRIPT, STYLE
from avsim.report.html import Html, Section, escaped, link, page, table

WIDE, HIGH = 360, 46  # pixels of a plot
LEGEND = (
    "↑: higher is better, ↓: lower is. The floor is the value of the same clips with each other's audio, "
    "which means little where their prompts are alike; the ceiling is that of true clips."
)
HEADER = ["measure", "value", "95 % interval", "floor", "ceiling", "of the ceiling", "clips", "skipped"]


def cells(name: str, score: Score) -> list[str]:
    """A row of the table."""
    skipped = "; ".join(f"{count}: {reason}" for reason, count in score.skipped.items())
    interval = f"{shown(score.low)} … {shown(score.high)}" if math.isfinite(score.low) else "–"
    return [
        name, shown(score.value), interval, shown(score.floor), shown(score.ceiling), shown(score.of_ceiling),
        str(score.clips), skipped or "–",
    ]  # fmt: skip


def shown(value: float) -> str:
    """Three digits, a dash for what isn't known."""
    return f"{value if abs(value) > 1e-9 else 0:.3g}" if math.isfinite(value) else "–"


def arrow(higher_is_better: bool) -> str:
    """The direction in which a value is better."""
    return "↑" if higher_is_better else "↓"


def plot(score: Score) -> Html:
    """The value as a dot with its interval as a line, between floor and ceiling as ticks; an inline SVG."""
    places = [v for v in (score.low, score.high, score.value, score.floor, score.ceiling) if math.isfinite(v)]
    low, high = min(places), max(places)
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    spread = (high - low) or 1.0

    def x(value: float) -> float:
        return 12 + (WIDE - 24) * (value - low) / spread

    middle = HIGH / 2
    parts = [
        f'<line x1="12" x2="{WIDE - 12}" y1="{middle}" y2="{middle}" stroke="currentColor" opacity=".2"/>'
    ]
    for value, word, y in ((score.floor, "floor", HIGH - 4), (score.ceiling, "ceiling", 10)):
        if math.isfinite(value):
            at = min(max(x(value), 20), WIDE - 20)  # the word within the plot
            parts.append(
                f'<line x1="{x(value):.1f}" x2="{x(value):.1f}" y1="{middle - 8}" y2="{middle + 8}" '
                f'stroke="currentColor" opacity=".6"/><text x="{at:.1f}" y="{y}" font-size="10" '
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
        f'<svg role="img" aria-label="{escaped(label)}" width="{WIDE}" viewBox="0 0 {WIDE} {HIGH}" '
        f'style="max-width:100%">{"".join(parts)}</svg>'
    )


def write_scores(
    path: str | Path,
    title: str,
    results: Sequence[Result],
    notes: Sequence[str],
    examples: Sequence[Html] = (),
    summary: Sequence[str] = (),
    published: Sequence[str] = (),
) -> Path:
    """One self-contained page: what can be believed first, then what can't and why.

    Args:
        path: of the page.
        title: of the page.
        results: of all scorers.
        notes: sentences on what was judged.
        examples: cards of clips, the worst first.
        summary: names of the metrics whose main number is in the table on top.
        published: results of published metrics, a line each.
    """
    ordered = sorted(results, key=lambda each: each.warning is not None)
    names = {result.metric.name: f"metric-{number}" for number, result in enumerate(ordered)}
    heading = f"Clips, the worst first ({len(examples)})"
    clips = [Section(heading, [MARKS, KEYS, *examples], "clips")] if examples else []
    rows = [_main(result, names[result.metric.name]) for result in ordered if result.metric.name in summary]
    top: list[str] = [table(["metric", *HEADER], rows), LEGEND] if rows else []
    further = [Html(f"<p>{link('clips', heading)}</p>")] if examples else []
    sections = [Section("Summary", [*top, *notes, *further])]
    if published:
        sections.append(Section("Published metrics", published))
    for result in ordered:
        parts: list[str] = [result.metric.about]
        if result.warning is not None:
            parts.append(f"{result.warning[0].upper()}{result.warning[1:]}.")
        if result.scores[result.headline].clips:
            if math.isfinite(result.scores[result.headline].value):
                parts.append(plot(result.scores[result.headline]))
            parts.append(table(HEADER, [cells(name, score) for name, score in result.scores.items()]))
        name = result.metric.name
        sections.append(Section(name[0].upper() + name[1:], parts, names[name]))
    return page(path, title, [*sections, *clips], SCRIPT, STYLE)


def _main(result: Result, name: str) -> list[str]:
    """The row of a metric's main number."""
    score = result.scores[result.headline]
    measure = f"{result.headline}\u00a0{arrow(result.metric.scorer().higher_is_better)}"
    if result.calibration is not None and result.calibration.failures:
        measure += " (failed its calibration)"
    return [link(name, result.metric.name), *cells(measure, score)]
