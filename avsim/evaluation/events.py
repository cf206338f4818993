"""Synchrony: onsets in the audio against events in the video, one to one, within a tolerance."""

from collections.abc import Sequence

import torch
from torch import Tensor

from avsim.evaluation.metric import ClipScorer, mean, rank_correlation
from avsim.evaluation.result import Reason
from avsim.perception.matching import match

TURNS = 16  # circular shifts of the audio, for the chance level


class EventSynchrony(ClipScorer):
    """Precision, recall and F1 at one frame and at half a frame, with chance, and the median offset.

    Chance is the F1 after circular shifts of the audio's moments: the same number and rhythm, unrelated.
    """

    width = (
        7  # audio events, video events, matched at 1 and 1/2 frame, the same by chance, median offset in ms
    )

    def update(
        self,
        heard: Sequence[float],
        seen: Sequence[float],
        frames_per_second: float,
        seconds: float,
        expected: int = 0,
    ) -> None:
        """Score one clip.

        Args:
            heard: onsets, s.
            seen: times of events in the video, s.
            frames_per_second: the tolerance is one frame, and half of one.
            seconds: the clip's length.
            expected: number of prompted things that sound. If nothing is heard or nothing is seen, as many
                count as missed.
        """
        if expected and not (heard and seen):
            missed = [float(max(len(each), expected)) for each in (heard, seen)]
            self.keep([*missed, 0.0, 0.0, 0.0, 0.0, torch.nan])
            return
        if not (heard or seen):
            self.skip(Reason.NOTHING_HAPPENS)
            return
        frame = 1 / frames_per_second
        pairs = match(heard, seen, frame)
        late = torch.tensor([heard[i] - seen[j] for i, j in pairs], dtype=torch.float64)
        turned = [
            [(moment + seconds * turn / TURNS) % seconds for moment in heard] for turn in range(1, TURNS)
        ]
        chance = [
            sum(len(match(each, seen, tolerance)) for each in turned) / len(turned)
            for tolerance in (frame, frame / 2)
        ]
        self.keep(
            [
                len(heard), len(seen), len(pairs), len(match(heard, seen, frame / 2)), *chance,
                late.quantile(0.5).item() * 1000 if pairs else torch.nan,
            ]
        )  # fmt: skip

    def numbers(self, rows: Tensor) -> dict[str, Tensor]:
        """Shares of all moments of all clips; the median clip's median offset."""
        heard, seen, whole, half, chance, half_chance = rows[..., :6].sum(-2).unbind(-1)
        return {
            "F1 within 1 frame": 2 * whole / (heard + seen),
            "precision within 1 frame": whole / heard,
            "recall within 1 frame": whole / seen,
            "chance of F1 within 1 frame": 2 * chance / (heard + seen),
            "F1 within 1/2 frame": 2 * half / (heard + seen),
            "chance of F1 within 1/2 frame": 2 * half_chance / (heard + seen),
            "audio after video, median, ms": rows[..., 6].nanmedian(-1).values,
            "clips with a match": mean((rows[..., 2] > 0).double()),
        }


class Offset(ClipScorer):
    """By how much the audio is later than the video, by the sync model."""

    higher_is_better = False
    width = 2  # found, and put there on purpose (nan where it isn't known), ms

    def update(self, found: float, injected: float = torch.nan) -> None:
        """Score one clip: the estimated and the true delay of its audio, s."""
        self.keep([found * 1000, injected * 1000])

    def numbers(self, rows: Tensor) -> dict[str, Tensor]:
        """Median distance from in time (or from what was put there), and how monotone it follows."""
        found, injected = rows.unbind(-1)
        return {
            "offset, median, ms": (found - injected.nan_to_num(nan=0.0)).abs().nanmedian(-1).values,
            "rank correlation with the offset put in": rank_correlation(found, injected),
        }
