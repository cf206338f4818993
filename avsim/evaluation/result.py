"""A metric's result: a value with its interval, floor and ceiling, and the number of clips judged."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

LEAST_GAP = 0.3  # least gap of floor and ceiling for which a share of it is given


class Reason(StrEnum):
    """Why a clip was not judged."""

    NO_VIDEO = "has no video"
    NO_AUDIO = "has no audio"
    SILENT = "is silent"
    MONO = "has one audio channel"
    NOTHING_HAPPENS = "nothing happens in it"
    NOTHING_THERE = "nothing is seen in it"
    NO_DETECTOR = "no detector for it"
    NO_CAPTION = "has no caption"
    ALONE = "has no clip before it to compare with"
    UNSURE = "the estimate is uncertain"
    NOT_CALIBRATED = "outside the calibration"
    GUIDED = "the network that would judge it has guided its generation"


class NotJudged(Exception):
    """A clip can't be judged, for this reason; it is counted, never averaged in."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(str(reason))
        self.reason = reason


@dataclass(frozen=True)
class Score:
    """A value over `clips` clips, its 95 % bootstrap interval, and how many were skipped for which reasons.

    `floor` is the value for corrupted clips (shuffled or silenced pairs), `ceiling` that for true clips: the
    larger of truth and truth through the codecs. Unknown values are nan.
    """

    value: float
    low: float
    high: float
    clips: int
    skipped: Mapping[str, int] = field(default_factory=dict)
    floor: float = math.nan
    ceiling: float = math.nan

    @property
    def of_ceiling(self) -> float:
        """(value - floor) / (ceiling - floor); void (nan) where that gap is under 0.3."""
        gap = self.ceiling - self.floor
        return (self.value - self.floor) / gap if abs(gap) >= LEAST_GAP else math.nan

    def plain(self) -> dict[str, Any]:
        """As JSON values: a number that is not finite is None."""
        numbers = {
            name: getattr(self, name) for name in ("value", "low", "high", "floor", "ceiling", "of_ceiling")
        }
        return {
            **{name: number if math.isfinite(number) else None for name, number in numbers.items()},
            "clips": self.clips,
            "skipped": dict(self.skipped),
        }
