"""What is to be known of a clip to play any of its pixels elsewhere: in a page, without this network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from avsim.clip import Region
from avsim.separation.discovery import COLUMNS, column_power, over_frames
from avsim.separation.regions import check_regions, region_weights
from avsim.separation.separator import Maps, Separator
from avsim.separation.stems import FrameSource, Window, windows

INT16_MAX = 32767  # of a whole number that stands for a feature, on either side of 0


@dataclass(frozen=True, eq=False)
class Rounded:
    """Features as 16-bit whole numbers times a scale for each. Shapes: numbers (..., K); scale (K,)."""

    numbers: Tensor
    scale: Tensor

    @classmethod
    def of(cls, values: Tensor) -> Rounded:
        """The nearest."""
        scale = values.abs().flatten(0, -2).amax(0).clamp(min=1e-12) / INT16_MAX
        return cls((values / scale).round().to(torch.int16), scale)

    @property
    def values(self) -> Tensor:
        """As they are used, float32."""
        return self.numbers.float() * self.scale


@dataclass(frozen=True, eq=False)
class Span:
    """The columns that are taken from one window of the separator, and their maps.

    The share of bin (j, f) that cell c takes is exp(bins[j, f] . cells[columns_frame[j], c] - total[j, f]).
    Shapes: columns_frame (j,); cells (t, h w + 1, K), the last "off screen"; bins (j, F, K); total (j, F).
    """

    column: int  # the first, in the whole spectrum
    columns_frame: Tensor
    cells: Rounded
    bins: Rounded
    total: Tensor


@dataclass(frozen=True, eq=False)
class Pixels:
    """All pixels of a clip, and some regions of it.

    Shapes: power (T, h w), mean square per sample and channel at each of the network's frames; masks
    (R, J, F), the share of each bin that each region takes; places (R, T or 1, h w), how much of each cell is
    each region's.
    """

    grid: tuple[int, int]
    frames_per_second: float
    spans: list[Span]
    power: Tensor
    masks: Tensor
    places: list[Tensor]


@torch.no_grad()
def unfold(
    model: Separator, picture: FrameSource, wave: Tensor, sample_rate: int, regions: Sequence[Region] = ()
) -> Pixels:
    """Look at and listen to a whole clip once; wave (A, N).

    Between two windows, columns are taken from the nearer one (`stems` cross-fade there).

    Raises:
        InputError: a region that isn't of this video.
    """
    check_regions(regions, picture.size, picture.frames)
    grid, columns = model.grid(*picture.size), model.scale.columns(wave.shape[1], sample_rate)
    given = torch.zeros(columns, grid[0] * grid[1] + 1)
    masks = torch.zeros(len(regions), columns, model.scale.bands)
    spread = model.scale.spread(sample_rate)
    hop, spans = model.scale.hop(sample_rate), []
    for window in windows(model, picture, wave, sample_rate):
        span, mine, own = _span(window, hop)
        spans.append(span)
        weights = region_weights(regions, window.seen[own], window.maps.grid)  # (R, t, h w), as the cells
        heard = (spread.T @ column_power(window.bins[0].cpu()))[:, mine].T  # (j, F)
        cells, bins = span.cells.values, span.bins.values
        for some in torch.arange(len(span.columns_frame)).split(COLUMNS):
            frame, at = span.columns_frame[some], span.column + some
            logits = bins[some] @ cells[frame].transpose(1, 2)  # (j, F, h w + 1)
            span.total[some] = logits.logsumexp(-1)
            shares = logits.sub_(span.total[some, :, None]).exp_()
            given[at] = (shares * heard[some, :, None]).sum(1)
            taken = weights[:, frame]  # (R, j, h w)
            masks[:, at] = torch.einsum("jfc,rjc->rjf", shares[..., :-1], taken)
    seconds = model.scale.column_seconds(wave.shape[1], sample_rate)
    rate = model.frames_per_second
    starts = torch.arange(max(1, round(wave.shape[1] / sample_rate * rate))) / rate
    shown = model.frames_seen(picture.frames, picture.frames_per_second)[: len(starts)]
    places = [
        region_weights([region], shown[:1] if region.mask.ndim == 2 else shown, grid)[0] for region in regions
    ]
    power = over_frames(given, seconds, starts.double(), 1 / rate)[:, :-1]
    return Pixels(grid, rate, spans, power, masks, places)


def _span(window: Window, hop: int) -> tuple[Span, Tensor, slice]:
    """A window's own columns, without their totals; which of its columns and of its frames are its own."""
    count = len(window.columns_frame)
    low = -(-window.before // (2 * hop))
    high = min(count, -(-(window.last - window.first - window.after // 2) // hop)) if window.after else count
    mine = torch.arange(low, high)
    maps: Maps = window.maps
    frames = window.columns_frame.cpu()[mine]
    own = slice(int(frames[0]), int(frames[-1]) + 1)
    span = Span(
        window.first // hop + low,
        frames - own.start,
        Rounded.of(maps.cells[0, own].cpu().float()),
        Rounded.of(maps.bins[0].cpu().float()[mine]),
        torch.zeros(len(mine), maps.bins.shape[2]),
    )
    return span, mine, own
