"""Runs beside each other: a row for each prompt and seed, a column for each run, with the sound on.

A run keeps what it generated under RUN/samples/step=NNN/: mp4 files and `samples.json`, a list of
{"file", "prompt", "seed", "task"}. The latest such step of each run is compared.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from avsim.errors import InputError
from avsim.report.html import Section, page, table
from avsim.report.players import embed
from avsim.untrusted import MALFORMED, inside, read_json, read_text

if TYPE_CHECKING:
    from wandb_workspaces.workspaces import Workspace

TABLE = "compare"  # the key of the table on wandb
SAMPLES = "samples/table"  # the key of each run's own, which `avsim.report.callbacks.Samples` logs
METRICS_BYTES = 1 << 30  # of a run's metrics.csv, at most
FIELDS = ("file", "prompt", "seed", "task")


class Row(NamedTuple):
    """What a row is about: samples of several runs that agree in it stand beside each other."""

    prompt: str
    seed: int
    task: str
    number: int = 0  # among those of one run that agree in all of these, such as foley without captions

    @property
    def cells(self) -> list[str]:
        """As a page shows it."""
        return [self.prompt, str(self.seed), self.task]


@dataclass(frozen=True)
class Run:
    """What a comparison shows of a run."""

    name: str
    step: int
    samples: dict[Row, Path]  # their files
    metrics: dict[str, str]  # the last value of each that was logged

    @property
    def title(self) -> str:
        """Its name and the step its samples are from."""
        return f"{self.name} (step {self.step})"


def read_runs(folders: Sequence[str | Path]) -> list[Run]:
    """The latest samples of each run, in the order given.

    Raises:
        InputError: a folder that is no run with samples, or a samples.json that can't be used.
    """
    paths = [Path(folder) for folder in folders]
    names = _names(paths)
    runs = []
    for path, name in zip(paths, names, strict=True):
        step, folder = _latest(path)
        runs.append(Run(name, step, _read_samples(folder), _last_metrics(path)))
    return runs


def rows(runs: Sequence[Run]) -> list[Row]:
    """Every row that a run has, in order of first appearance."""
    return list(dict.fromkeys(row for run in runs for row in run.samples))


def write_page(runs: Sequence[Run], path: str | Path) -> Path:
    """One self-contained page of all samples, and of the last metrics."""
    clips = table(
        ["prompt", "seed", "task", *(run.title for run in runs)],
        [[*row.cells, *(_player(run, row) for run in runs)] for row in rows(runs)],
    )
    metrics = sorted({name for run in runs for name in run.metrics})
    numbers = table(
        ["last logged", *(run.name for run in runs)],
        [[name, *(run.metrics.get(name, "–") for run in runs)] for name in metrics],
    )
    sections = [Section("Samples", [clips])] + ([Section("Metrics", [numbers])] if metrics else [])
    return page(path, "Runs compared: " + ", ".join(run.name for run in runs), sections)


def log_table(runs: Sequence[Run], folder: str | Path, project: str = "avsim") -> None:
    """Log the same rows and columns as one wandb.Table; offline unless WANDB_MODE says otherwise."""
    import wandb

    mode = os.environ.get("WANDB_MODE", "offline")
    Path(folder).mkdir(parents=True, exist_ok=True)
    run = wandb.init(project=project, name=TABLE, job_type=TABLE, dir=str(folder), mode=mode)  # type: ignore[arg-type]
    shown = wandb.Table(columns=["prompt", "seed", "task", *(run.title for run in runs)])
    for row in rows(runs):
        cells = [wandb.Video(str(r.samples[row]), format="mp4") if row in r.samples else None for r in runs]
        shown.add_data(row.prompt, row.seed, row.task, *cells)
    run.log({TABLE: shown})
    run.finish()


def workspace(runs: Sequence[Run], entity: str, project: str = "avsim") -> Workspace:
    """The wandb workspace that matches: the table, the samples with their sound, and a plot for each metric.

    It is made here and sent by its `save()`, which needs an account.

    Raises:
        InputError: `wandb-workspaces` is not installed.
    """
    try:
        import wandb_workspaces.reports.v2 as panels
        import wandb_workspaces.workspaces as workspaces
    except ImportError as error:
        raise InputError("a workspace needs wandb-workspaces: pip install 'avsim[workspaces]'") from error
    wide = panels.Layout(w=24, h=16)
    sections = [
        workspaces.Section(
            "Compared", is_open=True, panels=[panels.WeavePanelSummaryTable(table_name=TABLE, layout=wide)]
        ),
        workspaces.Section(
            "Samples",
            is_open=True,
            panels=[panels.WeavePanelSummaryTable(table_name=SAMPLES, layout=wide)],
        ),
    ]
    metrics = sorted({name for run in runs for name in run.metrics})
    for group in dict.fromkeys(map(_group, metrics)):
        plots: list[Any] = [panels.LinePlot(title=n, y=[n]) for n in metrics if _group(n) == group]
        sections.append(workspaces.Section(group, panels=plots, is_open=group == "Training"))
    name = "Runs compared: " + ", ".join(run.name for run in runs)
    return workspaces.Workspace(entity=entity, project=project, name=name, sections=sections)


def save_workspace(runs: Sequence[Run], entity: str, project: str = "avsim") -> str:
    """Send the workspace to wandb; its address.

    Raises:
        InputError: no account, or the project is not this one's.
    """
    import wandb

    made = workspace(runs, entity, project)
    try:
        return str(made.save().url)
    except (wandb.errors.Error, OSError, ValueError) as error:
        raise InputError(
            f"the workspace could not be sent to wandb: {' '.join(str(error).split())}"
        ) from error


def _group(metric: str) -> str:
    return metric.partition("/")[0] if "/" in metric else "Training"


def _player(run: Run, row: Row) -> str:
    return embed(run.samples[row]) if row in run.samples else "–"


def _names(paths: Sequence[Path]) -> list[str]:
    """Folder names where they tell the runs apart, else whole paths."""
    names = [path.resolve().name for path in paths]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]


def _latest(run: Path) -> tuple[int, Path]:
    if not run.is_dir():
        raise InputError(f"{run}: no such folder; expected a run")
    found = {}
    for listing in run.glob("samples/step=*/samples.json"):
        number = listing.parent.name.partition("=")[2]
        if number.isascii() and number.isdecimal():
            found[int(number)] = listing.parent
    if not found:
        inside = ", ".join(sorted(path.name for path in run.iterdir())[:8]) or "nothing"
        lacks = "a samples folder without any step" if (run / "samples").is_dir() else "no samples folder"
        raise InputError(
            f"{run}: lacks samples/step=…/samples.json (it holds {lacks}; found: {inside}); expected a run "
            "of avsim fit that has drawn samples"
        )
    return max(found.items())


def _read_samples(folder: Path) -> dict[Row, Path]:
    listing = folder / "samples.json"
    entries = read_json(listing, list)
    kinds = {name: int if name == "seed" else str for name in FIELDS}
    if not all(isinstance(e, dict) and all(type(e.get(n)) is kinds[n] for n in FIELDS) for e in entries):
        raise InputError(f"{listing}: expected a list of objects with {', '.join(FIELDS)} (seed whole)")
    samples: dict[Row, Path] = {}
    for entry in entries:
        file = inside(folder, entry["file"], listing)
        row = Row(entry["prompt"], entry["seed"], entry["task"])
        while row in samples:
            row = row._replace(number=row.number + 1)
        samples[row] = file
    return samples


def _last_metrics(run: Path) -> dict[str, str]:
    path = run / "csv" / "metrics.csv"
    last: dict[str, str] = {}
    if not path.exists():
        return {}
    try:
        for line in csv.DictReader(io.StringIO(read_text(path, METRICS_BYTES), newline="")):
            last.update({name: value for name, value in line.items() if name and value})
        return {name: f"{float(value):.4g}" for name, value in last.items() if name not in ("epoch", "step")}
    except InputError:
        raise
    except MALFORMED as error:
        raise InputError(f"{path}: no metrics of a run ({error})") from error
