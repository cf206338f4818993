"""How well a metric distinguishes true clips from corrupted ones, and for which clips that was measured."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from avsim.clip import ClipSpec
from avsim.errors import InputError
from avsim.evaluation.metric import ranks
from avsim.files import atomic
from avsim.world.plain import typed

LEAST_AUROC = (
    0.9  # between truth and a corruption that the metric must detect; below it the metric has failed
)
QUANTITIES = {  # of a clip that a calibration covers, and their wording
    "frames_per_second": "{:g} fps",
    "height": "{:g} pixels of height",
    "sample_rate": "{:g} Hz",
    "seconds": "{:g} s",
}


@dataclass(frozen=True)
class Range:
    """From `low` to `high`, both included."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True)
class CorruptionResult:
    """How well a metric distinguishes one corruption from the truth."""

    corruption: str
    value: float  # the metric's value; nan where it can't be judged
    auroc: float  # of its clips against the true ones; 0.5 by chance
    own: bool = False  # whether the metric must detect this corruption
    low: float = 0.0  # and its 95 % interval over clips
    high: float = 1.0
    clips: int = 0  # corrupted clips that were judged
    unchanged: int = 0  # clips left out because the corruption did not change what the metric measures


@dataclass(frozen=True)
class Weights:
    """The weights of a trained part that the metric uses: a detector, or a separator."""

    part: str
    sha256: str  # of its file


@dataclass(frozen=True)
class Calibration:
    """The calibration of a metric, made by a script and committed with the weights.

    A metric whose AUROC against one of the corruptions that it must detect is under 0.9 has failed and is not
    shown by default; one without such corruptions isn't calibrated. A calibration holds for the weights that
    it was made with, and no others.
    """

    metric: str
    frames_per_second: Range
    height: Range
    sample_rate: Range
    seconds: Range
    clips: int
    truth: float
    through_codecs: float | None
    corruptions: tuple[CorruptionResult, ...]
    weights: tuple[Weights, ...]  # of the trained parts that the metric uses
    made_by: str  # command and commit
    higher_is_better: bool = True
    least: float = LEAST_AUROC  # least AUROC against each corruption that it must detect
    min_clips: int = 1  # number of clips that are compared as a set with as many corrupted ones

    @property
    def failures(self) -> tuple[CorruptionResult, ...]:
        """The corruptions that the metric must detect, and does not."""
        return tuple(one for one in self.corruptions if one.own and not one.auroc >= self.least)

    @property
    def calibrated(self) -> bool:
        """Whether there are corruptions that it must detect, and it detects all of them."""
        return any(one.own for one in self.corruptions) and not self.failures

    @property
    def floor(self) -> float:
        """The best value of a corruption that it must detect; nan where there is none."""
        return self._best([one.value for one in self.corruptions if one.own])

    @property
    def ceiling(self) -> float:
        """The better of its values for the truth and for the truth through the codecs."""
        return self._best([self.truth, self.truth if self.through_codecs is None else self.through_codecs])

    def _best(self, values: list[float]) -> float:
        known = [value for value in values if not math.isnan(value)]
        return (max if self.higher_is_better else min)(known, default=math.nan)

    def refusal(self, spec: ClipSpec) -> str | None:
        """Why clips like this can't be judged, such as "not calibrated for 8 fps"; None where they can."""
        for name, worded in QUANTITIES.items():
            covered, value = getattr(self, name), getattr(spec, name)
            if value not in covered:
                return (
                    f"not calibrated for {worded.format(value)} ({self.metric} was for "
                    f"{covered.low:g} to {worded.format(covered.high)})"
                )
        return None

    def other_weights(self, loaded: Mapping[str, str]) -> str | None:
        """Why a metric with these weights, {part: sha256}, is another than was calibrated; or None."""
        for one in self.weights:
            found = loaded.get(one.part, "")
            if found != one.sha256:
                other, own = (
                    f"weights of sha256 {sha[:12]}…" if sha else "none" for sha in (found, one.sha256)
                )
                return f"not calibrated with this {one.part}: it has {other}, the calibration's had {own}"
        return None

    def save(self, path: str | Path) -> Path:
        """Write a JSON file."""
        with atomic(path) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=1))
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> "Calibration":
        """Read what `save` wrote.

        Raises:
            InputError: it isn't there, or isn't a calibration.
        """
        try:
            return typed(cls, json.loads(Path(path).read_text()), str(path))
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: no calibration can be read here ({error})") from error


def auroc(truth: Tensor, corruption: Tensor) -> float:
    """How often a true clip is judged above a false one, ties half (the area under the ROC curve).

    Shapes: truth (n,), corruption (m,), higher is better; nan values are left out; nan where none is left.
    """
    truth, corruption = truth[~truth.isnan()], corruption[~corruption.isnan()]
    if not (len(truth) and len(corruption)):
        return torch.nan
    won = ranks(torch.cat([truth, corruption]))[: len(truth)].sum() - len(truth) * (len(truth) + 1) / 2
    return (won / (len(truth) * len(corruption))).item()
