"""A comparison on wandb: the clips and the paired differences as tables, a workspace, a report."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avsim.errors import InputError
from avsim.report.columns import Column, shared
from avsim.report.paired import Difference

if TYPE_CHECKING:
    from wandb_workspaces.reports.v2 import Report
    from wandb_workspaces.workspaces import Workspace

TABLE, PAIRED = "compare", "compare/paired"  # the keys of the tables on wandb
PAIRED_FIELDS = ("metric", "number", "first", "second", "value", "low", "high", "judged", "total")
SAMPLES = "samples/table"  # the key of each run's own, which `avsim.report.callbacks.Samples` logs


def log_table(
    runs: Sequence[Column],
    folder: str | Path,
    project: str = "avsim",
    differences: Mapping[str, Sequence[Difference]] | None = None,
) -> None:
    """Log the clips and the paired differences as tables; offline unless WANDB_MODE says otherwise."""
    import wandb

    mode = os.environ.get("WANDB_MODE", "offline")
    Path(folder).mkdir(parents=True, exist_ok=True)
    run = wandb.init(project=project, name=TABLE, job_type=TABLE, dir=str(folder), mode=mode)  # type: ignore[arg-type]
    shown = wandb.Table(columns=["prompt", "seed", "task", *(column.title for column in runs)])
    for row in shared(runs):
        cells = [wandb.Video(str(r.clips[row].path), format="mp4") if row in r.clips else None for r in runs]
        shown.add_data(row.prompt, row.seed, row.task, *cells)
    run.log({TABLE: shown})
    if differences:
        paired = wandb.Table(columns=["column", *PAIRED_FIELDS, "verdict"])
        for name, found in differences.items():
            for each in found:
                values = [getattr(each, field) for field in PAIRED_FIELDS]
                paired.add_data(name, *(None if v != v else v for v in values), each.verdict)
        run.log({PAIRED: paired})
    run.finish()


SECTIONS = {  # of a workspace and of a report, by what a metric's name has in it; the rest is by its prefix
    "Losses by noise level": ("_s_",),
    "Losses": ("loss",),
    "Synchrony": ("sync", "gain", "offset", "onset", "attention"),
    "Separation": ("sdr", "sir", "sar", "separation", "grounding"),
    "Cost": ("per_second", "gradient_norm", "lr", "memory"),
}
SYSTEM = ("system/cpu", "system/memory_percent", "system/gpu.0.gpu", "system/gpu.0.memoryAllocated")


def metric_sections(metrics: Sequence[str]) -> dict[str, list[str]]:
    """Metrics by the section that shows them, in the order of `SECTIONS`, then by prefix."""
    found: dict[str, list[str]] = {section: [] for section in SECTIONS}
    for name in sorted(metrics):
        own = next((title for title, parts in SECTIONS.items() if any(p in name for p in parts)), None)
        found.setdefault(own or (name.partition("/")[0] if "/" in name else "Training"), []).append(name)
    return {section: names for section, names in found.items() if names}


def workspace(runs: Sequence[Column], entity: str, project: str = "avsim") -> Workspace:
    """The wandb workspace that matches: the tables, the samples, and a plot for each metric.

    It is made here and sent by its `save()`, which needs an account.

    Raises:
        InputError: `wandb-workspaces` is not installed.
    """
    panels, workspaces = _package()
    wide = panels.Layout(w=24, h=16)
    tables = {"Compared": (PAIRED, TABLE), "Samples": (SAMPLES,)}
    sections = [
        workspaces.Section(
            title,
            is_open=True,
            panels=[panels.WeavePanelSummaryTable(table_name=key, layout=wide) for key in keys],
        )
        for title, keys in tables.items()
    ]
    for title, names in _plots(runs).items():
        plots: list[Any] = [panels.LinePlot(title=name, y=[name]) for name in names]
        sections.append(workspaces.Section(title, panels=plots, is_open=title == "Losses"))
    return workspaces.Workspace(entity=entity, project=project, name=_title(runs), sections=sections)


def report(runs: Sequence[Column], entity: str, project: str = "avsim") -> Report:
    """The wandb Report that matches: paired differences, samples, and a section of plots for each group.

    It is made here and sent by its `save()`, which needs an account.

    Raises:
        InputError: `wandb-workspaces` is not installed.
    """
    panels, _ = _package()

    def grid(found: list[Any]) -> Any:
        return panels.PanelGrid(runsets=[panels.Runset(entity, project)], panels=found)

    def tables(*keys: str) -> list[Any]:
        wide = panels.Layout(w=24, h=16)
        return [panels.WeavePanelSummaryTable(table_name=key, layout=wide) for key in keys]

    blocks: list[Any] = [panels.TableOfContents()]
    blocks += [panels.H1("Paired differences"), grid(tables(PAIRED)), panels.H1("Clips side by side")]
    blocks += [grid(tables(TABLE)), panels.H1("Samples"), grid(tables(SAMPLES))]
    for title, names in _plots(runs).items():
        blocks += [panels.H1(title), grid([panels.LinePlot(title=name, y=[name]) for name in names])]
    about = f"{len(shared(runs))} prompts and seeds; made by avsim compare."
    return panels.Report(project, entity, _title(runs), about, blocks, "fluid")


def save(made: Workspace | Report) -> str:
    """Send a workspace or a report to wandb; its address.

    Raises:
        InputError: no account, or the project is not this one's.
    """
    import wandb

    try:
        return str(made.save().url)
    except Exception as error:
        if not (type(error) is Exception or isinstance(error, (wandb.errors.Error, OSError, ValueError))):
            raise  # the package raises a bare Exception where nobody is logged in
        what = type(made).__name__.lower()
        raise InputError(f"the {what} could not be sent to wandb: {' '.join(str(error).split())}") from error


def _package() -> tuple[Any, Any]:
    try:
        import wandb_workspaces.reports.v2 as panels
        import wandb_workspaces.workspaces as workspaces
    except ImportError as error:
        why = "a workspace or report needs wandb-workspaces: pip install 'avsim[workspaces]'"
        raise InputError(why) from error
    return panels, workspaces


def _plots(runs: Sequence[Column]) -> dict[str, list[str]]:
    return metric_sections([*{name for run in runs for name in run.curves}]) | {"System": list(SYSTEM)}


def _title(runs: Sequence[Column]) -> str:
    return "Compared: " + ", ".join(run.name for run in runs)
