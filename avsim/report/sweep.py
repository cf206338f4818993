"""The page of a sweep: the best trial, parallel coordinates, importance, every trial, the best clips."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avsim.errors import InputError
from avsim.report.card import KEYS, SCRIPT, STYLE, card
from avsim.report.columns import latest_samples
from avsim.report.files import seen_file, shown_file
from avsim.report.html import Html, Section, escaped, page, table
from avsim.report.listing import entries
from avsim.training.sweep import TRIAL, Parameter, Sweep

if TYPE_CHECKING:
    import optuna

WIDE, HIGH, EDGE = 1100, 320, 70  # pixels of the parallel coordinates, and of their margins
BEST, CLIPS = 3, 4  # trials whose clips are shown, and clips of each
FEWEST = 10  # complete trials, below which no importance is given: it compares the best tenth with the others


def write_page(sweep: Sweep, study: optuna.Study, folder: Path) -> Path:
    """Write `index.html` to the sweep's folder.

    Raises:
        InputError: no trial has ended well, or the page can't be written.
    """
    from optuna.trial import TrialState

    trials = study.get_trials(deepcopy=False)
    good = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if not good:
        why = next(
            (str(trial.user_attrs["error"]) for trial in trials if "error" in trial.user_attrs), "none ran"
        )
        raise InputError(f"{folder}: none of {len(trials)} trials has ended well; the first: {why}")
    ordered = sorted(good, key=_value, reverse=not sweep.minimize)
    best, failed = ordered[0], [trial for trial in trials if trial.state == TrialState.FAIL]
    goal = "lowest" if sweep.minimize else "highest"
    settings = ", ".join(f"{name} = {shown_value(value)}" for name, value in best.params.items())
    count = f"{len(good)} trial{'s' * (len(good) != 1)}"
    about = [
        f"{count}, {len(failed)} failed. The {goal} {sweep.metric} is {_value(best):.4g}, of "
        f"{TRIAL.format(best.number)}: {settings}.",
        Html(f"<p><code>{escaped(_command(sweep, best, folder))}</code></p>"),
    ]
    sections = [
        Section("", about),
        Section("Trials", [coordinates(sweep, ordered), _importance(study, len(good))]),
        Section("Clips of the best trials", _clips(ordered[:BEST], folder)),
        Section("All trials", [_table(sweep, ordered, failed)]),
    ]
    return page(folder / "index.html", f"Sweep of {sweep.metric}", sections, SCRIPT, STYLE)


def _value(trial: Any) -> float:
    assert trial.value is not None
    return float(trial.value)


def shown_value(value: Any) -> str:
    """A setting's value."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _command(sweep: Sweep, trial: Any, folder: Path) -> str:
    return shlex.join(["avsim", *sweep.line(trial.params, folder / TRIAL.format(trial.number))])


def coordinates(sweep: Sweep, trials: Sequence[Any]) -> Html:
    """A line for each trial over an axis for each parameter and the metric; the best ones in front."""
    axes = len(sweep.parameters)
    step = (WIDE - 2 * EDGE) / max(1, axes)
    values = [_value(trial) for trial in trials]
    low, high = min(values), max(values)

    def y(share: float) -> float:
        return HIGH - 30 - (HIGH - 80) * share

    parts = []
    for k, parameter in enumerate(sweep.parameters):
        ends = _ends(parameter)
        parts.append(_axis(EDGE + k * step, parameter.name, *ends, y))
    parts.append(_axis(EDGE + axes * step, sweep.metric, shown_value(low), shown_value(high), y))
    count = max(1, len(trials) - 1)
    for rank in reversed(range(len(trials))):
        trial = trials[rank]
        points = [(k, place(p, trial.params.get(p.name))) for k, p in enumerate(sweep.parameters)]
        points.append((axes, (values[rank] - low) / (high - low) if high > low else 0.5))
        line = " ".join(f"{EDGE + k * step:.1f},{y(share):.1f}" for k, share in points)
        hue, opacity = 210 - 180 * (1 - rank / count), 1 - 0.75 * rank / count
        text = f"{TRIAL.format(trial.number)}: {values[rank]:.4g}"
        parts.append(
            f'<polyline points="{line}" fill="none" stroke="hsl({hue:.0f} 85% 50%)" stroke-width="2" '
            f'opacity="{opacity:.2f}"><title>{escaped(text)}</title></polyline>'
        )
    label = f"Parallel coordinates of {len(trials)} trials; orange is best"
    return Html(
        f'<div class="wide"><svg role="img" aria-label="{label}" viewBox="0 0 {WIDE} {HIGH}" '
        f'style="min-width:{max(900, 150 * (axes + 1))}px;width:100%">{"".join(parts)}</svg></div>'
        f"<p>{label}.</p>"
    )


def _axis(x: float, name: str, low: str, high: str, y: Any) -> str:
    style = 'font-size="12" fill="currentColor" text-anchor="middle"'

    def label(text: str, y: float, more: str = "") -> str:
        half = 3.3 * min(len(text), 26)  # pixels of the text, about: none beyond the edge
        words = escaped(text if len(text) <= 26 else f"…{text[-25:]}")
        at = f'x="{min(max(x, half), WIDE - half):.1f}" y="{y:.1f}"'
        return f"<text {at} {style}{more}><title>{escaped(text)}</title>{words}</text>"

    faint = ' opacity=".7"'
    ends = f'y1="{y(0):.1f}" y2="{y(1):.1f}"'
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" {ends} stroke="currentColor" opacity=".4"/>'
        + label(name, 16.0)
        + label(high, y(1) - 8, faint)
        + label(low, y(0) + 16, faint)
    )


def _ends(parameter: Parameter) -> tuple[str, str]:
    if parameter.values:
        return shown_value(parameter.values[0]), shown_value(parameter.values[-1])
    return f"{parameter.low:g}", f"{parameter.high:g}"


def place(parameter: Parameter, value: Any) -> float:
    """Where a value lies on its axis, 0 to 1."""
    if parameter.values:
        last = len(parameter.values) - 1
        return list(parameter.values).index(value) / last if last and value in parameter.values else 0.5
    numbers = (parameter.low, parameter.high, float(value))
    low, high, at = map(math.log, numbers) if parameter.log else numbers
    return (at - low) / (high - low)


def _importance(study: optuna.Study, count: int) -> Html:
    """How much of the metric each parameter decides, by PED-ANOVA."""
    import warnings

    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    if count < FEWEST:
        return Html(
            f"<p>No importance of the parameters: it needs {FEWEST} complete trials, there are {count}.</p>"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the evaluator is experimental
        try:
            found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
        except (RuntimeError, ValueError) as error:
            return Html(f"<p>No importance: {escaped(str(error))}</p>")
    rows = [[name, f"{share:.2f}", _bar(share)] for name, share in found.items()]
    about = (
        "Importance: by how much a parameter tells the best tenth of the trials from the others (PED-ANOVA); "
        "the shares add up to 1."
    )
    return Html(f"<p>{about}</p>{table(['parameter', 'importance', ''], rows)}")


def _bar(share: float) -> Html:
    return Html(
        f'<svg width="120" height="14" role="img" aria-label="{share:.2f}">'
        f'<rect width="{120 * share:.1f}" height="14" fill="#2f7ed8"/></svg>'
    )


def _table(sweep: Sweep, good: Sequence[Any], failed: Sequence[Any]) -> Html:
    names = [parameter.name for parameter in sweep.parameters]
    rows = [
        [TRIAL.format(t.number), f"{_value(t):.4g}", *(shown_value(t.params.get(n, "–")) for n in names)]
        for t in good
    ]
    rows += [
        [
            TRIAL.format(t.number),
            f"failed: {t.user_attrs.get('error', '')}",
            *(shown_value(t.params.get(n, "–")) for n in names),
        ]
        for t in failed
    ]
    return table(["trial", sweep.metric, *names], rows)


def _clips(trials: Sequence[Any], folder: Path) -> list[Html]:
    cards = []
    for trial in trials:
        run = folder / TRIAL.format(trial.number)
        found = latest_samples(run)
        for entry in entries(found[1])[:CLIPS] if found else ():
            shown = shown_file(entry, seen_file(entry, None))
            cards.append(card(_labelled(shown, f"{run.name}, step {found[0] if found else ''}")))
    none = Html("<p>The runs have generated no samples (configs/samples.yaml).</p>")
    return [KEYS, *cards] if cards else [none]


def _labelled(shown: Any, label: str) -> Any:
    from dataclasses import replace

    return replace(shown, label=label)
