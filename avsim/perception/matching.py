"""Which of the moments found are the true ones: one-to-one, within a tolerance."""

from collections.abc import Sequence
from dataclasses import dataclass


def match(found: Sequence[float], true: Sequence[float], tolerance: float) -> list[tuple[int, int]]:
    """As many pairs (i, j) as there can be with |found[i] - true[j]| <= tolerance, each used once.

    Both are gone through in order of time; the earlier of two moments that are too far apart has no partner
    left. As all windows are equally wide, no other choice makes more pairs.
    """
    order = sorted(range(len(found)), key=found.__getitem__)
    truth = sorted(range(len(true)), key=true.__getitem__)
    pairs, a, b = [], 0, 0
    while a < len(order) and b < len(truth):
        i, j = order[a], truth[b]
        late = found[i] - true[j]
        if abs(late) <= tolerance:
            pairs.append((i, j))
        a += late <= tolerance
        b += late >= -tolerance
    return pairs


@dataclass(frozen=True)
class Counts:
    """How many moments were right. Counts of many clips add up."""

    right: int = 0  # found that are true
    found: int = 0  # of those, and of the wrong ones
    true: int = 0  # that could be found

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.right + other.right, self.found + other.found, self.true + other.true)

    @property
    def precision(self) -> float:
        """Share of what was found that is true; nan if nothing was found."""
        return self.right / self.found if self.found else float("nan")

    @property
    def recall(self) -> float:
        """Share of what is true that was found; nan if nothing is true."""
        return self.right / self.true if self.true else float("nan")

    @property
    def f1(self) -> float:
        """Harmonic mean of both, 2 right / (found + true); nan if there is nothing at all."""
        total = self.found + self.true
        return 2 * self.right / total if total else float("nan")


def count(
    found: Sequence[float], true: Sequence[float], tolerance: float, doubtful: Sequence[float] = ()
) -> Counts:
    """Count matched moments; a detected `doubtful` one (too faint to be labeled) counts as neither."""
    pairs = match(found, true, tolerance)
    taken = {i for i, _ in pairs}
    rest = [moment for i, moment in enumerate(found) if i not in taken]
    excused = len(match(rest, doubtful, tolerance))
    return Counts(len(pairs), len(found) - excused, len(true))
