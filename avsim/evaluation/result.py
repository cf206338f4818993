"""What a judge says: a value with its interval, between a floor and a ceiling, and the clips it rests on."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

LEAST_GAP = 0.3  # between floor and ceiling: below it, a share of the way between them says nothing


class Reason(StrEnum):
    """Why a clip was not judged."""

    NO_PICTURE = "has no picture"
    NO_SOUND = "has no sound"
    SILENT = "is silent"
    MONO = "has one channel of sound"
    NOTHING_HAPPENS = "nothing happens in it"
    NOTHING_THERE = "nothing is seen in it"
    NO_DETECTOR = "no detector for this was given"
    NO_CAPTION = "has no caption"
    ALONE = "has no other clip before it to be compared with"
    UNSURE = "the judge isn't sure of it"
    NOT_CALIBRATED = "outside what the judge was calibrated for"


class Unjudged(Exception):
    """A clip can't be judged, for this reason; it is counted, never averaged in."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(str(reason))
        self.reason = reason


@dataclass(frozen=True)
class Score:
    """A value over `clips` clips, its 95 % bootstrap interval, and how many were skipped for which reasons.

    `floor` is what the judge gives to lies (shuffled or silenced pairs), `ceiling` what it gives to the
    truth: the larger of truth and truth through the codecs. What isn't known is nan.
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
        """As numbers that JSON knows: what isn't finite is None."""
        numbers = {
            name: getattr(self, name) for name in ("value", "low", "high", "floor", "ceiling", "of_ceiling")
        }
        return {
            **{name: number if math.isfinite(number) else None for name, number in numbers.items()},
            "clips": self.clips,
            "skipped": dict(self.skipped),
        }
