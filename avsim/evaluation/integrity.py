"""Do things stay what they are? Number, kind, colour and size along the clip, and how they fall.

A frame is right where exactly the clip's things are seen in it, each of its typical size: no ghost, none
missing (unless it was last seen at the frame's edge), none changed. What the clip's things are is given, or
is what most frames show. A lenient version of this hides everything: one wrong thing makes a frame wrong.
"""

from collections import Counter
from collections.abc import Sequence
from statistics import median

import torch
from torch import Tensor

from avsim.evaluation.metric import ClipScorer, mean
from avsim.evaluation.result import Reason
from avsim.perception.detections import DetectedThing

MOST_FRAMES = 0.9  # share of a clip's frames that must be right
STRETCH = 1.4  # factor by which a thing's size may differ from its median
EDGE = 0.08  # of the video: what is nearer to its edge may leave or come
SHORTEST = 5  # frames of a fall that are fitted
LEAST_DROP = 0.1  # frame heights that a fall goes down
GRAVITY = 9.81  # m/s^2
VIEW = 2.0  # m that the frame's height shows, unless a camera zooms

What = tuple[str, str]  # kind, colour


class Integrity(ClipScorer):
    """Shares of clips and of frames that are right, and acceleration in free fall."""

    width = 6  # shares of frames right, of right number, of right kinds and colours, of right sizes; whether
    #            the clip is right; acceleration over gravity's, nan without a fall

    def update(
        self,
        frames: Sequence[Sequence[DetectedThing]],
        frames_per_second: float,
        expected: Sequence[What] | None = None,
    ) -> None:
        """Score the things of one clip.

        Args:
            frames: what is seen in each frame.
            frames_per_second: of the video.
            expected: kind and colour of each thing that should be there; None: what most frames show.
        """
        wanted = Counter(expected) if expected is not None else typical_things(frames)
        if not wanted:
            self.skip(Reason.NOTHING_THERE)
            return
        sizes = {what: _median_size(frames, what) for what in wanted}
        right = torch.tensor([_checks(frames, k, wanted, sizes) for k in range(len(frames))]).double()
        shares = torch.cat([right.prod(1, keepdim=True), right], 1).mean(0)
        ratios = [
            ratio for what, count in wanted.items() if count == 1
            for ratio in falls(frames, what, frames_per_second)
        ]  # fmt: skip
        fall = median(ratios) if ratios else torch.nan
        self.keep([*shares.tolist(), float(shares[0] >= MOST_FRAMES), fall])

    def numbers(self, rows: Tensor) -> dict[str, Tensor]:
        """Shares over clips."""
        right, number, kinds, sizes, clip, fall = rows.unbind(-1)
        return {
            "clips with at least 90 % of frames right": mean(clip),
            "frames right": mean(right),
            "frames of the right number": mean(number),
            "frames of the right kinds and colours": mean(kinds),
            "frames of the right sizes": mean(sizes),
            "acceleration in free fall over gravity's, median": fall.nanmedian(-1).values,
        }

    def each(self, rows: Tensor) -> Tensor:
        """Of its frames, the mean share that are right, of right number, of right kinds, of right sizes.

        In shades, as with detectors that err once in most frames no frame of a true clip is wholly right,
        and none could be distinguished from a corruption; the score of clips stays strict.
        """
        return rows[:, :4].mean(1)


def typical_things(frames: Sequence[Sequence[DetectedThing]]) -> Counter[What]:
    """How many of each kind and colour the middle one of all frames shows."""
    counts = [Counter((seen.kind, seen.colour) for seen in frame) for frame in frames]
    every = {what for count in counts for what in count}
    return +Counter({what: int(median(count[what] for count in counts)) for what in every})


def _checks(
    frames: Sequence[Sequence[DetectedThing]], k: int, wanted: Counter[What], sizes: dict[What, float]
) -> tuple[bool, bool, bool]:
    """Whether frame k has the right number, kinds and colours, and sizes."""
    found = Counter((seen.kind, seen.colour) for seen in frames[k])
    away = Counter({what: wanted[what] - found[what] for what in wanted if _may_be_away(frames, k, what)})
    excused = sum((+away).values())
    number = sum(wanted.values()) - excused <= sum(found.values()) <= sum(wanted.values())
    kinds = not (found - wanted) and not (wanted - found - away)
    fits = all(
        1 / STRETCH <= seen.size / sizes[(seen.kind, seen.colour)] <= STRETCH
        for seen in frames[k]
        if sizes.get((seen.kind, seen.colour), 0) > 0
    )
    return number, kinds, fits


def _may_be_away(frames: Sequence[Sequence[DetectedThing]], k: int, what: What) -> bool:
    """Whether it was at the edge in the frame nearest to k that shows it."""
    distances = [
        (abs(j - k), seen)
        for j, frame in enumerate(frames)
        for seen in frame
        if (seen.kind, seen.colour) == what
    ]
    if not distances:
        return False
    nearest = min(distance for distance, _ in distances)
    return any(
        min(seen.x, 1 - seen.x, seen.y, 1 - seen.y) < EDGE + seen.size / 2
        for distance, seen in distances
        if distance == nearest > 0
    )


def _median_size(frames: Sequence[Sequence[DetectedThing]], what: What) -> float:
    sizes = [seen.size for frame in frames for seen in frame if (seen.kind, seen.colour) == what]
    return median(sizes) if sizes else 0.0


def falls(frames: Sequence[Sequence[DetectedThing]], what: What, frames_per_second: float) -> list[float]:
    """Acceleration over gravity's of each stretch in which the one thing of this kind goes down.

    Of a camera that stands still and shows 2 m of height; y = y0 + v t + a t^2 / 2 by least squares.
    """
    heights = [
        next((seen.y for seen in frame if (seen.kind, seen.colour) == what), torch.nan) for frame in frames
    ]
    steps = torch.tensor(heights, dtype=torch.float64).diff()
    found, first = [], 0
    falling = [bool(step > 1e-3) for step in steps] + [False]
    for k, down in enumerate(falling):
        if down:
            continue
        # The last frame of a stretch may show the bounce already.
        moments = torch.tensor(heights[first : k + 1], dtype=torch.float64)
        if len(moments) >= SHORTEST and moments[-1] - moments[0] > LEAST_DROP:
            moments = moments[:-1]
            time = torch.arange(len(moments), dtype=torch.float64) / frames_per_second
            terms = torch.stack([torch.ones_like(time), time, time**2 / 2], 1)
            fitted = torch.linalg.lstsq(terms, moments[:, None]).solution[2].item()
            found.append(fitted * VIEW / GRAVITY)
        first = k + 1
    return found
