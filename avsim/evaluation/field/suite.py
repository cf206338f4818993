"""Several metrics of the field at once; one that can't be loaded or computed is reported, others go on."""

from __future__ import annotations

from collections.abc import Iterable

from avsim.clip import Clip
from avsim.errors import InputError
from avsim.evaluation.field.metrics import FieldMetric, FieldResult, field_metric
from avsim.weights import NotAllowed


class FieldSuite:
    """The metrics of some `--metrics` values.

    Args:
        given: such as "fad:clap=PATH"; the same one twice counts once.

    Raises:
        NotAllowed: a function of a module that the user did not allow.
    """

    def __init__(self, given: Iterable[str]) -> None:
        self.metrics: list[FieldMetric] = []
        self.failed: dict[str, str] = {}  # value of --metrics -> why there is no result
        self._results: list[FieldResult] | None = None  # of all clips so far
        for spec in dict.fromkeys(each.strip() for each in given if each.strip()):
            try:
                metric = field_metric(spec)
            except NotAllowed:
                raise
            except InputError as error:
                self.failed[spec] = str(error)
                continue
            if any(other.name == metric.name for other in self.metrics):  # by another network of its kind
                metric.name = f"{metric.name} ({spec})"
            self.metrics.append(metric)

    def update(self, clip: Clip, caption: str = "") -> None:
        """Take in a clip."""
        self._results = None
        for metric in self.metrics:
            metric.update(clip, caption)

    def add_reference(self, clip: Clip) -> None:
        """Take in a true clip."""
        self._results = None
        for metric in self.metrics:
            metric.add_reference(clip)

    def results(self) -> list[FieldResult]:
        """Of the metrics that can be computed; `failed` states why others can't."""
        if self._results is None:
            self._results = []
            for metric in self.metrics:
                try:
                    self._results.append(metric.result())
                except InputError as error:
                    self.failed[metric.name] = str(error)
        return self._results

    def plain(self) -> dict[str, object]:
        """As JSON values, by name; a string states why a metric has no value."""
        return {result.name: result.plain() for result in self.results()} | dict(self.failed)

    def lines(self) -> list[str]:
        """A line for each metric."""
        return [*map(str, self.results()), *(f"{name}: no value: {why}" for name, why in self.failed.items())]
