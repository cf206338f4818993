"""Physics probes: six rows (`ABOUT`) on whether the audio fits the video, from clips alone.

Detectors are no truth: their own errors stand beside, as the score that true clips get.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import torch
from torch import Tensor

from avsim.clip import Clip
from avsim.evaluation.metric import ClipScorer, mean, rank_correlation
from avsim.evaluation.result import Reason
from avsim.perception.detections import AudioDetections, DetectedThing, Event, Onset, VideoDetections
from avsim.perception.ground_truth import OPEN_AIR
from avsim.perception.matching import match
from avsim.perception.vocabulary import INSTRUMENTS, MATERIALS
from avsim.world.flat.scene import SHAPES
from avsim.world.sound.rooms import RT60

SURE = 0.5  # probability above which a kind counts as audible
ATTACK = 0.1  # s, over which the spectral centroid is computed
COLUMNS = (
    "pairs", "kinds alike", "pairs of a material", "materials alike",
    "kinds seen, heard", "materials seen, heard",
    "speed, squared", "level, squared", "speed times level",
    "places alike", "place of both", "decay heard", "decay of the place seen",
    "timbre",
    "material", "size", "brightness",
    "gaps between bounces", "gaps that shrink",
    "kinds that sound", "of them heard",
)  # fmt: skip
ROWS = {  # of the card -> the columns that it is made of
    "1 identity and material": COLUMNS[:6],
    "2 speed and loudness": COLUMNS[6:9],
    "3 place and decay": COLUMNS[9:13],
    "4 timbre": COLUMNS[13:14],
    "5 size, pitch and bounces": COLUMNS[14:19],
    "6 superposition": ("kinds seen, heard", *COLUMNS[19:]),
}
ABOUT = {  # a row -> what it measures
    "1 identity and material": "Whether a sound's kind and material are those of the event seen at its time.",
    "2 speed and loudness": "Whether what is seen to hit harder is louder, of one thing in one clip.",
    "3 place and decay": "Whether the audio's place is the video's place, with its reverberation time.",
    "4 timbre": "Whether the audio detector finds the instrument that is visibly played.",
    "5 size, pitch and bounces": "Whether larger things of a material sound lower; bounces come ever sooner.",
    "6 superposition": "Whether each kind of thing that visibly sounds is audible.",
}
MADE_OF = {  # a row -> the numbers that are reported beside it
    "1 identity and material": ("kind heard is kind seen", "material heard is material seen"),
    "3 place and decay": ("place heard is place seen", "decay, rank correlation"),
    "5 size, pitch and bounces": ("larger is darker, correlation", "bounces that come sooner"),
}


@dataclass(frozen=True)
class Match:
    """An onset and the event that is seen with it."""

    onset: Onset
    event: Event


class PhysicsProbes(ClipScorer):
    """Six rows, the mean of whose scores comes first, or one of them.

    Args:
        row: one of `ROWS`, as a probe with a calibration of its own; None: all.
    """

    width = len(COLUMNS)

    def __init__(self, row: str | None = None) -> None:
        super().__init__()
        self.row = row

    def update(
        self, clip: Clip, onsets: Sequence[Onset], heard: AudioDetections, view: VideoDetections
    ) -> None:
        """Score one clip with audio by what was found in it."""
        paired = pairs(onsets, view.events, clip.frames_per_second)
        if not (paired or view.events or onsets):
            self.skip(Reason.NOTHING_HAPPENS)
            return
        seen = {event.kind for event in view.events}
        materials = {event.material for event in view.events if event.material}
        solid = [pair for pair in paired if pair.event.material]  # players have no material
        place = max(view.places, key=view.places.__getitem__) if view.places else None
        self.keep(
            [
                len(paired),
                sum(pair.onset.kind == pair.event.kind for pair in paired),
                len(solid),
                sum(pair.onset.material == pair.event.material for pair in solid),
                _mean([heard.kinds.get(kind, 0.0) for kind in seen]),
                _mean([heard.materials.get(material, 0.0) for material in materials]),
                *_hits(paired),
                float(heard.place == place) if place else math.nan,
                sum(share * heard.places.get(name, 0.0) for name, share in view.places.items())
                if place
                else math.nan,
                math.log(max(heard.decay, 0.01)),
                math.log(max(RT60[place], OPEN_AIR)) if place else math.nan,
                _mean([heard.kinds[kind] for kind in seen if kind in INSTRUMENTS]),
                *_first_body(clip, paired, view.things),
                *_gaps(view.events),
                len(seen),
                sum(heard.kinds.get(kind, 0.0) >= SURE for kind in seen),
            ]
        )

    def numbers(self, rows: Tensor) -> dict[str, Tensor]:
        """Each row's score, 1 at best, and what it is made of."""
        of = dict(zip(COLUMNS, rows.unbind(-1), strict=True))
        total = {name: values.nansum(-1) for name, values in of.items()}
        kind = total["kinds alike"] / total["pairs"]
        material = total["materials alike"] / total["pairs of a material"]
        loudness = total["speed times level"] / (total["speed, squared"] * total["level, squared"]).sqrt()
        decay = rank_correlation(of["decay heard"], of["decay of the place seen"])
        place = mean(of["places alike"])
        darker = -_within(of["material"], of["size"], of["brightness"])
        bounces = total["gaps that shrink"] / total["gaps between bounces"]
        six = {
            "1 identity and material": torch.stack([kind, material]).nanmean(0),
            "2 speed and loudness": loudness,
            "3 place and decay": torch.stack([place, decay]).nanmean(0),
            "4 timbre": mean(of["timbre"]),
            "5 size, pitch and bounces": torch.stack([darker, bounces]).nanmean(0),
            "6 superposition": total["of them heard"] / total["kinds that sound"],
        }
        parts = {
            "kind heard is kind seen": kind,
            "material heard is material seen": material,
            "place heard is place seen": place,
            "decay, rank correlation": decay,
            "larger is darker, correlation": darker,
            "bounces that come sooner": bounces,
        }
        if self.row is not None:
            return {self.row: six[self.row]} | {name: parts[name] for name in MADE_OF.get(self.row, ())}
        return {"physics, mean of six rows": torch.stack(list(six.values())).nanmean(0), **six, **parts}

    def each(self, rows: Tensor) -> Tensor:
        """The graded score of one clip, since a clip of one sound would otherwise be all right or all wrong.

        Identity and material must both be right, so that the worse of them counts; places agree as far as
        their probabilities do. Of all rows together, the mean of those that apply to the clip.
        """
        of = dict(zip(COLUMNS, rows.unbind(-1), strict=True))
        kind = torch.stack([of["kinds alike"] / of["pairs"], of["kinds seen, heard"]]).nanmean(0)
        material = torch.stack(
            [of["materials alike"] / of["pairs of a material"], of["materials seen, heard"]]
        ).nanmean(0)
        shades = {
            "1 identity and material": torch.fmin(kind, material),
            "3 place and decay": of["place of both"],
            "4 timbre": of["timbre"],
            "6 superposition": of["kinds seen, heard"],
        }
        if self.row is None:
            return torch.stack(list(shades.values())).nanmean(0)
        return shades[self.row] if self.row in shades else super().each(rows)

    def measured(self, row: Tensor) -> Tensor:
        """The part of a clip's row that is measured, see `ClipScorer.measured`."""
        names = COLUMNS if self.row is None else ROWS[self.row]
        return row[[COLUMNS.index(name) for name in names]]


def pairs(onsets: Sequence[Onset], events: Sequence[Event], frames_per_second: float) -> list[Match]:
    """Sounds and events within a frame of each other, one to one."""
    matched = match(
        [onset.seconds for onset in onsets], [event.seconds for event in events], 1 / frames_per_second
    )
    return [Match(onsets[i], events[j]) for i, j in matched]


def _hits(paired: Sequence[Match]) -> tuple[float, float, float]:
    """Sums of squares and products of speeds (as logarithms) and levels.

    Both are taken less their means over each kind and material of the clip.
    """
    sums = torch.zeros(3, dtype=torch.float64)
    moving = [pair for pair in paired if pair.event.speed > 0]  # not nan
    moving.sort(key=_what)
    for _, group in groupby(moving, key=_what):
        values = torch.tensor([(math.log(p.event.speed), p.onset.level) for p in group], dtype=torch.float64)
        speed, level = (values - values.mean(0)).T
        sums += torch.stack([speed @ speed, level @ level, speed @ level])
    squared, level_squared, product = sums.tolist()
    return squared, level_squared, product


def _what(pair: Match) -> tuple[str, str]:
    return pair.event.kind, pair.event.material


def _first_body(
    clip: Clip, paired: Sequence[Match], things: Sequence[Sequence[DetectedThing]]
) -> tuple[float, float, float]:
    """Material's number, logarithms of size and of brightness: of the first body or target that sounds."""
    for pair in paired:
        frame = min(int(pair.event.seconds * clip.frames_per_second), len(things) - 1)
        near = [seen for seen in things[frame] if (seen.kind, seen.material) == _what(pair)] if things else []
        if not near or not pair.event.material:
            continue
        nearest = min(near, key=lambda s: math.hypot(s.x - pair.event.x, s.y - pair.event.y))
        tone = brightness(clip, pair.onset.seconds)
        if nearest.size > 0 and tone > 0:
            return MATERIALS.index(pair.event.material), math.log(nearest.size), math.log(tone)
    return math.nan, math.nan, math.nan


def brightness(clip: Clip, seconds: float) -> float:
    """Centre of the power spectrum of what begins then, Hz; 0 where nothing sounds."""
    assert clip.wave is not None
    first = round(seconds * clip.sample_rate)
    attack = clip.wave.double().mean(0)[first : first + round(ATTACK * clip.sample_rate)]
    if len(attack) < 2:
        return 0.0
    power = torch.fft.rfft(attack * torch.hann_window(len(attack), dtype=torch.float64)).abs().square()
    frequency = torch.fft.rfftfreq(len(attack), 1 / clip.sample_rate, dtype=torch.float64)
    return ((power * frequency).sum() / power.sum()).item() if power.sum() > 1e-12 else 0.0


def _gaps(events: Sequence[Event]) -> tuple[int, int]:
    """Pairs of successive gaps between the bounces of a body, and how many of them shrink."""
    count = shrinking = 0
    falling = sorted((e for e in events if e.kind in SHAPES), key=lambda e: (e.kind, e.material, e.seconds))
    for _, group in groupby(falling, key=lambda event: (event.kind, event.material)):
        gaps = [late.seconds - early.seconds for early, late in pairwise(group)]
        count += max(0, len(gaps) - 1)
        shrinking += sum(late < early for early, late in pairwise(gaps))
    return count, shrinking


def _within(group: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Correlation of x and y less their means over each group, (..., n) each -> (...)."""
    sums = []
    for number in range(1, len(MATERIALS)):
        own = group == number
        count = own.sum(-1, keepdim=True).clamp(min=1)
        dx, dy = ((v - v.where(own, 0.0).sum(-1, keepdim=True) / count).where(own, 0.0) for v in (x, y))
        sums.append(torch.stack([(dx * dx).sum(-1), (dy * dy).sum(-1), (dx * dy).sum(-1)]))
    xx, yy, xy = torch.stack(sums).sum(0)
    return (xy / (xx * yy).sqrt()).where((xx > 1e-12) & (yy > 1e-12), torch.nan)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
