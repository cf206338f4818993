"""Columns of clips beside each other: paired differences above, then a group of cards for each prompt."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from avsim import media
from avsim.errors import InputError
from avsim.evaluation.features import Features
from avsim.evaluation.suite import METRICS
from avsim.report.card import KEYS, MARKS
from avsim.report.card import SCRIPT as CARD_SCRIPT
from avsim.report.card import STYLE as CARD_STYLE
from avsim.report.columns import Column, Row, shared
from avsim.report.examine import Examined, examine, judges_of, metrics_for
from avsim.report.html import Html, Section, check_own_page, escaped, page, table
from avsim.report.paired import FEWEST, Difference, difference
from avsim.report.scores import arrow, shown
from avsim.report.tracks import highest

_BESIDE = Path(__file__).parent
_UPLOT = (_BESIDE / "vendor" / "uPlot.iife.min.js").read_text()
_UPLOT = "/*" + _UPLOT.partition("*/")[2].join(
    ("! uPlot 1.6.32, MIT, (c) Leon Sorokin */", "")
)  # without its address
SCRIPT = CARD_SCRIPT + (_BESIDE / "compare.js").read_text()
STYLE = (
    CARD_STYLE + (_BESIDE / "vendor" / "uPlot.min.css").read_text() + (_BESIDE / "compare.css").read_text()
)
LETTERS = "ABCDEFGH"  # of columns, and their keys
WIDE, HIGH = 180, 22  # pixels of an interval's plot
ABOUT = (
    "The clips of a prompt play together. You hear the one that you point at or tap; keys A, B, … choose. "
    "Strips below a clip show how its frames and its audio differ from the first column's."
)


@dataclass(frozen=True)
class Comparison:
    """Columns, their shared rows, and the paired differences of each further column from the first."""

    columns: Sequence[Column]
    rows: Sequence[Row]
    cells: Mapping[tuple[str, Row], Examined]  # by the column's name
    differences: Mapping[str, Sequence[Difference]]  # by the second column's name
    left_out: Sequence[str]  # metrics, and why


def compare(columns: Sequence[Column], grounding: bool = False) -> Comparison:
    """Judge every clip of a shared row, and pair each column with the first.

    Raises:
        InputError: too many columns, or no clip of a column can be read.
    """
    if len(columns) > len(LETTERS):
        raise InputError(f"{len(columns)} columns; at most {len(LETTERS)} can be compared on a page")
    common = shared(columns)
    metrics, left_out = metrics_for(grounding, len(common))
    judges, top = judges_of(grounding), _top(columns, common)
    cells: dict[tuple[str, Row], Examined] = {}
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("comparing", total=len(common) * len(columns))
        for letter, column in zip(LETTERS, columns, strict=False):
            before: Features | None = None
            for row in common:
                if row in column.clips:
                    label = f"{letter} · {column.title}"
                    found = examine(column.clips[row], label, judges, metrics, before, top)
                    cells[column.name, row], before = found
                progress.advance(task)
    first, *others = columns
    pairs = {
        other.name: [row for row in common if row in first.clips and row in other.clips] for other in others
    }
    differences = {
        name: [
            difference(
                metric,
                [cells[first.name, row].rows[metric.name] for row in own],
                [cells[name, row].rows[metric.name] for row in own],
            )
            for metric in metrics
        ]
        for name, own in pairs.items()
    }
    return Comparison(columns, common, cells, differences, left_out)


def _top(columns: Sequence[Column], rows: Sequence[Row]) -> float | None:
    """One upper end for all spectrograms, so that they are aligned."""
    rates = []
    for column in columns:
        entry = next((column.clips[row] for row in rows if row in column.clips), None)
        try:
            rate = media.probe(entry.path).sample_rate if entry is not None else None
        except InputError:
            rate = None
        rates += [rate] if rate else []
    return max(map(highest, rates), default=None)


def write_page(found: Comparison, path: str | Path) -> Path:
    """One self-contained page.

    Raises:
        InputError: it can't be written, or a file of another kind has its name.
    """
    check_own_page(path)
    names = [column.name for column in found.columns]
    sections = [
        *_decided(found),
        Section("", [*_curves(found.columns), *_config(found.columns), *_cost(found.columns)]),
        Section("Clips", [ABOUT, MARKS, KEYS, *(_group(found, row) for row in found.rows)]),
    ]
    title = f"{' and '.join(names)} compared" if len(names) > 1 else f"{names[0]}: samples"
    return page(path, title, sections, _UPLOT + "\n" + SCRIPT, STYLE)


def _decided(found: Comparison) -> list[Section]:
    first = found.columns[0]
    sections = []
    for letter, column in zip(LETTERS[1:], found.columns[1:], strict=False):
        differences = found.differences[column.name]
        total = differences[0].total if differences else 0
        rows = [_difference(each) for each in differences if math.isfinite(each.value)]
        unjudged = [f"{d.metric} ({_reasons(d)})" for d in differences if not math.isfinite(d.value)]
        notes = [
            f"Paired over {total} prompts and seeds; 95 % intervals by the paired bootstrap over prompts. "
            "One of twenty metrics seems decided even where nothing differs. "
            "↑: higher is better, ↓: lower is."
        ]
        if total < FEWEST:
            notes.append(f"Nothing is decided by fewer than {FEWEST} pairs.")
        missing = [f"Not judged: {'; '.join(unjudged)}."] if unjudged else []
        left = [f"Left out: {'; '.join(found.left_out)}."] if found.left_out else []
        header = ["metric", f"{letter} is", f"{letter} − A", "95 % interval", "", "A", letter, "judged"]
        heading = f"Is {letter} ({column.title}) better than A ({first.title})?"
        parts = [*notes, table(header, rows), *missing, *left, _measured(differences)]
        sections.append(Section(heading, parts))
    return sections


def _measured(differences: Sequence[Difference]) -> Html:
    """What each metric of the table measures, to be opened."""
    about = {metric.name: metric.about for metric in METRICS}
    rows = [[each.metric, about.get(each.metric, "")] for each in differences if math.isfinite(each.value)]
    body = table(["metric", "what it measures"], rows)
    return Html(f"<details><summary>What the metrics measure</summary>{body}</details>")


def _difference(each: Difference) -> list[str]:
    interval = f"{shown(each.low)} … {shown(each.high)}" if math.isfinite(each.low) else "–"
    name = f"{each.metric}: {each.number}"
    if each.number in each.metric or each.number.startswith(each.metric):
        name = max(each.metric, each.number, key=len)
    name += f"\u00a0{arrow(each.higher_is_better)}"
    verdict = Html(f'<span class="{each.verdict.split()[0]}">{each.verdict}</span>')
    judged = f"{each.judged} of {each.total}"
    return [
        name, verdict, shown(each.value), interval, _plot(each), shown(each.first), shown(each.second),
        Html(f'<span title="{escaped(_reasons(each))}">{judged}</span>'),
    ]  # fmt: skip


def _reasons(each: Difference) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in each.why.items()) or "nothing to compare"


def _plot(each: Difference) -> Html:
    """The interval as a line about 0, drawn from the lower end to the upper."""
    if not math.isfinite(each.low):
        return Html("")
    reach = max(abs(each.low), abs(each.high), abs(each.value), 1e-9) * 1.1

    def x(value: float) -> float:
        return WIDE / 2 * (1 + value / reach)

    label, middle = f"from {shown(each.low)} to {shown(each.high)}", HIGH / 2
    return Html(
        f'<svg role="img" aria-label="{label}" width="{WIDE}" height="{HIGH}">'
        f'<line x1="{WIDE / 2}" x2="{WIDE / 2}" y1="2" y2="{HIGH - 2}" stroke="currentColor" opacity=".35"/>'
        f'<line x1="{x(each.low):.1f}" x2="{x(each.high):.1f}" y1="{middle}" y2="{middle}" '
        f'stroke="#2f7ed8" stroke-width="4" opacity=".6"/>'
        f'<circle cx="{x(each.value):.1f}" cy="{middle}" r="4" fill="#2f7ed8"/></svg>'
    )


def _curves(columns: Sequence[Column]) -> list[Html]:
    """Each metric of runs over steps, drawn once its part of the page is opened."""
    metrics = sorted({name for column in columns for name in column.curves})
    if not metrics:
        return []
    data = {
        "names": [column.name for column in columns],
        "curves": {name: [column.curves.get(name, []) for column in columns] for name in metrics},
    }
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    last = table(
        ["last logged", *(column.name for column in columns)],
        [[name, *(column.metrics.get(name, "–") for column in columns)] for name in metrics],
    )
    return [
        Html(
            f'<details class="curves"><summary>{len(metrics)} metrics over steps</summary>'
            f'<script type="application/json">{text}</script></details>'
            f"<details><summary>Metrics as last logged</summary>{last}</details>"
        )
    ]


def _config(columns: Sequence[Column]) -> list[Html]:
    """The keys of settings that differ."""
    known = [column for column in columns if column.config]
    keys = dict.fromkeys(key for column in known for key in column.config)
    differing = [key for key in keys if len({column.config.get(key) for column in known}) > 1]
    if len(known) < 2:
        return []
    rows = [[key, *(column.config.get(key, "not set") for column in columns)] for key in differing]
    body = table(["setting", *(column.name for column in columns)], rows) if rows else Html("<p>None.</p>")
    some = "1 setting differs" if len(rows) == 1 else f"{len(rows)} settings differ"
    return [Html(f"<details><summary>{some}</summary>{body}</details>")]


def _cost(columns: Sequence[Column]) -> list[Html]:
    names = list(dict.fromkeys(name for column in columns for name in column.cost))
    if not names:
        return []
    rows = [[name, *(column.cost.get(name, "–") for column in columns)] for name in names]
    body = table(["cost", *(column.name for column in columns)], rows)
    return [Html(f"<details open><summary>Cost</summary>{body}</details>")]


def _group(found: Comparison, row: Row) -> Html:
    cards = []
    for letter, column in zip(LETTERS, found.columns, strict=False):
        cell = found.cells.get((column.name, row))
        missing = f'<p class="missing">{letter} · {escaped(column.title)}: has no clip of this prompt</p>'
        cards.append(cell.card if cell is not None else missing)
    prompt, seed, task = row.cells
    about = " · ".join(filter(None, (f"seed {seed}" if seed else "", task)))
    return Html(
        f'<section class="group"><h3>{escaped(prompt or "no prompt")}</h3><p>{escaped(about)}</p>'
        f'<div class="cards">{"".join(cards)}</div></section>'
    )
