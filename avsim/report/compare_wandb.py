"""A comparison on wandb: the table of clips, the paired differences, and a workspace of panels."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avsim.errors import InputError
from avsim.report.columns import Column, shared
from avsim.report.paired import Difference

if TYPE_CHECKING:
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


def workspace(runs: Sequence[Column], entity: str, project: str = "avsim") -> Workspace:
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


def save_workspace(runs: Sequence[Column], entity: str, project: str = "avsim") -> str:
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
