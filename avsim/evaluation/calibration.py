"""Where a judge was shown to tell the truth from lies, and its refusal elsewhere."""

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

LEAST_AUROC = 0.9  # between truth and a judge's own lie; below it the judge has failed
QUANTITIES = {  # of a clip that a calibration covers, and how a refusal words them
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
class Against:
    """How a judge tells one lie from the truth."""

    lie: str
    value: float  # what the judge gives it; nan where it can't be judged
    auroc: float  # of its clips against the true ones; 0.5 by chance
    own: bool = False  # whether this is a lie that the judge is there to find
    low: float = 0.0  # and its 95 % interval over clips
    high: float = 1.0
    clips: int = 0  # with the lie, that were judged
    unchanged: int = 0  # left out: what the judge asks about is, in truth, as it was; no lie was told


@dataclass(frozen=True)
class Weights:
    """Which weights a part of the judge had: a detector, or a separator."""

    part: str
    sha256: str  # of its file


@dataclass(frozen=True)
class Calibration:
    """What a judge was shown to do, on which clips; made by a script and committed with its weights.

    A judge whose AUROC against one of its own lies is under 0.9 has failed and is not shown by default; one
    without a lie of its own isn't proven. It holds for the weights that it was made with, and no others.
    """

    judge: str
    frames_per_second: Range
    height: Range
    sample_rate: Range
    seconds: Range
    clips: int
    truth: float
    through_codecs: float | None
    lies: tuple[Against, ...]
    weights: tuple[Weights, ...]  # of the trained parts that the judge asks; others may be any
    made_by: str  # command and commit
    higher_is_better: bool = True
    least: float = LEAST_AUROC  # that it must reach against each of its own lies
    crowd: int = 1  # clips that were told from as many with a lie at a time

    @property
    def failures(self) -> tuple[Against, ...]:
        """The judge's own lies that it can't tell from the truth."""
        return tuple(one for one in self.lies if one.own and not one.auroc >= self.least)

    @property
    def proven(self) -> bool:
        """Whether it has lies of its own, and tells all of them from the truth."""
        return any(one.own for one in self.lies) and not self.failures

    @property
    def floor(self) -> float:
        """What it gives to the best of its own lies; nan where there is none."""
        return self._best([one.value for one in self.lies if one.own])

    @property
    def ceiling(self) -> float:
        """The better of what it gives to the truth and to the truth through the codecs."""
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
                    f"not calibrated for {worded.format(value)} ({self.judge} was for "
                    f"{covered.low:g} to {worded.format(covered.high)})"
                )
        return None

    def other_weights(self, loaded: Mapping[str, str]) -> str | None:
        """Why a judge with these weights, {part: sha256}, is another than was calibrated; or None."""
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


def auroc(truth: Tensor, lie: Tensor) -> float:
    """How often a true clip is judged above a false one, ties half (the area under the ROC curve).

    Shapes: truth (n,), lie (m,), higher is better; nan values are left out; nan where none is left.
    """
    truth, lie = truth[~truth.isnan()], lie[~lie.isnan()]
    if not (len(truth) and len(lie)):
        return torch.nan
    won = ranks(torch.cat([truth, lie]))[: len(truth)].sum() - len(truth) * (len(truth) + 1) / 2
    return (won / (len(truth) * len(lie))).item()
