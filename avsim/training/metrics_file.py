"""The metrics file of a run: one continuous curve, even if the run was killed and resumed."""

import csv
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter

from avsim.errors import InputError
from avsim.files import atomic


class _Curve(ExperimentWriter):
    """Appends to an existing file, which Lightning's writer would delete."""

    def _check_log_dir_exists(self) -> None:
        if Path(self.metrics_file_path).is_file():
            with open(self.metrics_file_path, newline="") as file:
                try:
                    self.metrics_keys = next(csv.reader(file), [])
                except (ValueError, csv.Error) as error:
                    raise InputError(f"{self.metrics_file_path}: no metrics ({error}); remove it") from error

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        with open(self.metrics_file_path, newline="") as file:
            rows = list(csv.DictReader(file))
        _write(self.metrics_file_path, fieldnames, rows)


class MetricsFile(CSVLogger):
    """`save_dir`/csv/metrics.csv: a row for each logged step, written at once, kept through resumes."""

    def __init__(self, save_dir: str = ".") -> None:
        super().__init__(save_dir, name="csv", version="", flush_logs_every_n_steps=1)

    @property
    def experiment(self) -> _Curve:
        """The writer, on the process of rank 0 (others' calls are dropped by Lightning's decorators)."""
        if not isinstance(self._experiment, _Curve):
            self._experiment = _Curve(log_dir=self.log_dir)
        return self._experiment

    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        """Write a row; a NaN (nothing was measured) stays empty."""
        super().log_metrics({name: value for name, value in metrics.items() if value == value}, step)

    def rewind(self, step: int) -> None:
        """Drop what a killed run logged at `step` or later: the resumed run will log it again."""
        path = Path(self.experiment.metrics_file_path)
        if not path.is_file():
            return
        try:
            whole = path.read_text().rpartition("\n")[0]  # a kill may have torn the last line
            reader = csv.DictReader(whole.splitlines())
            rows = [row for row in reader if int(row["step"]) < step]
        except (ValueError, KeyError, TypeError, csv.Error) as error:
            raise InputError(f"{path}: no metrics of a run ({error!r}); remove it") from error
        _write(path, list(reader.fieldnames or []), rows)


def _write(path: str | Path, fieldnames: list[str], rows: list[dict[str, str]]) -> None:
    with atomic(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=fieldnames)
        writer.writeheader()
        writer.writerows(rows)
