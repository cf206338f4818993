"""Spatial agreement: interaural level and time differences against the position in the frame.

A sound panned with equal power to the side s in [-1, 1] has the levels cos a and sin a in its channels, with
a = (1 + 0.8 s) pi / 4 (`avsim.world.sound.listener`): the level difference gives the position. At the farther
ear it arrives later.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from avsim.errors import InputError
from avsim.evaluation.metric import ClipScorer
from avsim.evaluation.result import Reason

FRONT = 0.006  # s, whose power is taken against that of as long before
BEGUN = 0.5  # of the steepest rise, with which a front begins: half of what is taken is its first 3 ms
REACH = 0.012  # s around an onset, in which its front is looked for: later comes what the room answers
NOTE = 0.025  # s, of which a note's partials are taken
OWN = 0.8  # of a partial's power must be new
NEW = 0.5  # and of all power, or else it is hidden: of a blow, whose window is half full, 2 / 3 of it
DELAY_WINDOW = 0.01  # s from there on, of which time is taken
AROUND = 0.05  # s, within which all of that corruptions
LONGEST = 0.001  # s between two ears, at most
PAN = 0.8  # panning of the frame's edges, see above


class Space(ClipScorer):
    """Correlations over all sounds, and the mean distance between the audio's and the video's position."""

    width = 10  # count, then sums over a clip's sounds: see `update`

    def update(
        self,
        wave: Tensor,
        sample_rate: int,
        seconds: Sequence[float],
        x: Sequence[float],
        notes: Sequence[bool] | None = None,
    ) -> None:
        """Score the sounds of one clip, as far as what sounds when they begin doesn't hide them.

        Args:
            wave: (2, N).
            sample_rate: Hz.
            seconds: onset of each sound.
            x: where each is seen, 0 left to 1 right.
            notes: which of them are a player's notes; None: all are blows.

        Raises:
            InputError: numbers of sounds, places and notes that differ.
        """
        notes = [False] * len(seconds) if notes is None else notes
        if not len(seconds) == len(x) == len(notes):
            counts = f"{len(seconds)} sounds, {len(x)} places, {len(notes)} that may be notes"
            raise InputError(f"space: {counts}; expected as many of each")
        if wave.shape[0] != 2:
            self.skip(Reason.MONO)
            return
        found = [
            (place, *heard) for moment, place, note in zip(seconds, x, notes, strict=True)
            if (heard := between_ears(wave, sample_rate, moment, note)) is not None
        ]  # fmt: skip
        if not found:
            self.skip(Reason.UNSURE if len(seconds) else Reason.NOTHING_HAPPENS)
            return
        seen, level, late = torch.tensor(found, dtype=torch.float64).T
        place = place_of_level(level)
        terms = (
            torch.ones_like(seen), seen, seen**2, place, place**2, seen * place, late, late**2, seen * late,
            (place - seen).abs(),
        )  # fmt: skip
        self.keep(torch.stack([term.sum() for term in terms]))

    def numbers(self, rows: Tensor) -> dict[str, Tensor]:
        """Of the sums over all clips' sounds."""
        count, x, xx, p, pp, xp, d, dd, xd, error = rows.sum(-2).unbind(-1)
        return {
            "level difference against place, correlation": _correlation(count, x, xx, p, pp, xp),
            "time difference against place, correlation": _correlation(count, x, xx, d, dd, xd),
            "distance from heard to seen position, frame widths": error / count,
        }

    def each(self, rows: Tensor) -> Tensor:
        """Agreement of the audio's side with the video's: a clip's part in the correlation.

        A distance would call a sound in the middle right wherever it is seen, and a true one in a room that
        is everywhere as wrong as a mirrored one; the main number does not measure it.
        """
        count, x, _, p, _, xp = rows[:, :6].unbind(-1)
        return (xp - (x + p) / 2) / count + 0.25  # mean of (x - 1/2) (p - 1/2)

    def measured(self, row: Tensor) -> Tensor:
        """Nothing where all that sounds is seen in the middle third: mirrored, it is in the middle still."""
        count, x, xx = row[:3]
        return row * ((xx - x) / count + 0.25 > (1 / 6) ** 2)


def between_ears(
    wave: Tensor, sample_rate: int, seconds: float, note: bool = False
) -> tuple[float, float] | None:
    """Level of the right above the left in dB, and by how many ms the left is later, of what begins then.

    The level is that of a blow's first wave front alone, which comes the straight way: a room answers from
    everywhere. It is looked for around the moment that is given. Of a note, which may swell, it is that of
    the partials that weren't there before. The time is of all that sounds then. Before a clip there was
    silence.

    Shapes: wave (2, N). None beyond the clip, where nothing becomes louder, and where what does is hidden.
    """
    margin, size = round(AROUND * sample_rate), round(DELAY_WINDOW * sample_rate)
    first = round(seconds * sample_rate)
    if not 0 <= first < wave.shape[1]:
        return None
    near = F.pad(wave, (margin - first, first + margin - wave.shape[1])).double()  # less than 0: cut off
    begins, new, power = (_partials if note else _front)(near, sample_rate, margin)
    if not (new > 1e-12).all() or new.sum() < NEW * power:
        return None
    heard = near[:, begins : begins + size]
    return (10 * torch.log10(new[1] / new[0])).item(), delay(heard[0], heard[1], sample_rate) * 1000


def _front(wave: Tensor, sample_rate: int, first: int) -> tuple[int, Tensor, Tensor]:
    """Where a blow's front begins, near sample `first`, its power (2,) and that of all that sounds then."""
    size, reach = round(FRONT * sample_rate), round(REACH * sample_rate)
    power = F.avg_pool1d(wave[:, first - reach - size : first + reach + size].square(), size, 1)
    rise = power[:, size:] - power[:, :-size]
    both = rise.sum(0)
    begins = int((both >= BEGUN * both.max()).int().argmax())  # the first
    return first - reach + begins, rise[:, begins], power[:, size + begins].sum()


def _partials(wave: Tensor, sample_rate: int, first: int) -> tuple[int, Tensor, Tensor]:
    """The same of a note that begins with sample `first`: of the partials that are new."""
    size = round(NOTE * sample_rate)
    around = torch.stack([wave[:, first - size : first], wave[:, first : first + size]])
    before, power = torch.fft.rfft(around).abs().square() / size**2  # (2, bins) each
    rise = power - before
    own = rise.sum(0) > OWN * power.sum(0)
    return first, (rise.clamp(min=0) * own).sum(1), power.sum()


def delay(left: Tensor, right: Tensor, sample_rate: int) -> float:
    """By how many seconds the left comes later: where both agree best within 1 ms, between samples too.

    Shapes: (n,) each.
    """
    reach = max(1, math.ceil(LONGEST * sample_rate))
    size = 2 * len(left)
    product = torch.fft.rfft(left, size) * torch.fft.rfft(right, size).conj()
    lags = torch.fft.irfft(product, size).roll(reach)[: 2 * reach + 1]
    best = int(lags.argmax())
    shift = 0.0
    if 0 < best < 2 * reach:  # the vertex of the parabola through three points
        a, b, c = lags[best - 1 : best + 2].tolist()
        shift = 0.5 * (a - c) / (a - 2 * b + c) if a - 2 * b + c else 0.0
    return (best - reach + shift) / sample_rate


def place_of_level(level: Tensor) -> Tensor:
    """Where equal-power panning puts a difference of level in dB: 0 left to 1 right."""
    angle = torch.atan(10 ** (level / 20))
    return (0.5 + (angle * 4 / math.pi - 1) / (2 * PAN)).clamp(0, 1)


def _correlation(count: Tensor, x: Tensor, xx: Tensor, y: Tensor, yy: Tensor, xy: Tensor) -> Tensor:
    """Pearson's, from a count and sums; nan where one of both doesn't vary."""
    spread = (xx - x**2 / count) * (yy - y**2 / count)
    return ((xy - x * y / count) / spread.clamp(min=0).sqrt()).where(spread > 1e-18, torch.nan)
