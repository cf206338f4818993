"""Read what a run has logged: each metric over its steps. Lightning is not imported."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

from avsim.errors import InputError
from avsim.untrusted import MALFORMED, read_text

METRICS_BYTES = 1 << 30  # of a metrics.csv, at most


def read_curves(run: Path) -> dict[str, list[tuple[float, float]]]:
    """Every metric of a run over its steps, (step, value).

    Raises:
        InputError: its metrics.csv can't be read.
    """
    path = run / "csv" / "metrics.csv"
    curves: dict[str, list[tuple[float, float]]] = {}
    if not path.exists():
        return curves
    try:
        for number, line in enumerate(
            csv.DictReader(io.StringIO(read_text(path, METRICS_BYTES), newline=""))
        ):
            step = float(line.get("step") or number)
            for name, value in line.items():
                if name and value and name not in ("epoch", "step") and math.isfinite(float(value)):
                    curves.setdefault(name, []).append((step, float(value)))
        return curves
    except InputError:
        raise
    except MALFORMED as error:
        raise InputError(f"{path}: no metrics of a run ({error})") from error
