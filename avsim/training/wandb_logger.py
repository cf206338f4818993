"""The wandb logger of a run: what was not measured is not logged."""

from collections.abc import Mapping
from typing import Any

from lightning.pytorch.loggers import WandbLogger as _WandbLogger


class WandbLogger(_WandbLogger):
    """Lightning's `WandbLogger`, which skips NaN values: an empty bin of noise levels adds no point."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._wandb_init.pop("anonymous", None)  # wandb warns about it at every start

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log the numbers of a step."""
        numbers = {name: value for name, value in metrics.items() if not _is_nan(value)}
        if numbers:
            super().log_metrics(numbers, step)


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and value != value
