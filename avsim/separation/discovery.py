"""Where the sound of a clip comes from: its power on the video's grid, and the regions that sound."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from avsim.clip import Clip, Region
from avsim.errors import InputError
from avsim.separation.separator import Separator
from avsim.separation.stems import FrameSource, audio_of, frame_source, windows

LEAST = 0.05  # of all the sound's power: a quieter region is found only with a given count
AT_MOST = 8  # regions that are found without a count
EDGE = 0.2  # of the loudest cell's power: where a region ends
ALIKE = 0.7  # cosine between the spectra of two cells of one region
SAME, NEAR = 0.9, 3  # cosine and gap in cells up to which two regions are parts of one thing, or it moved
COLUMNS = 64  # of a spectrum that are spread over the cells at a time


@dataclass(frozen=True, eq=False)
class AudioMap:
    """Where a sound's power lies. It adds up: all cells and "off screen" make the sound's own.

    Shapes: power (T, h, w) at the clip's frames, mean square per sample and channel; off_screen (T,); spectra
    (h, w, F), the power that each cell is given in each band.
    """

    power: Tensor
    off_screen: Tensor
    spectra: Tensor


@torch.no_grad()
def map_audio(model: Separator, picture: FrameSource, wave: Tensor, sample_rate: int) -> AudioMap:
    """Spread the power of every bin over the cells, by their shares."""
    grid = model.grid(*picture.size)
    power = torch.zeros(picture.frames, grid[0] * grid[1] + 1)
    spectra = torch.zeros(grid[0] * grid[1] + 1, model.scale.bands)
    spread = model.scale.spread(sample_rate)
    for window in windows(model, picture, wave, sample_rate):
        bands = (spread.T @ column_power(window.bins[0].cpu())).T  # (J, F)
        given = torch.zeros(len(bands), len(spectra))
        # Two windows share their overlap evenly: each answers for its nearer half.
        low = (window.first + window.before / 2) / sample_rate
        high = (window.last - window.after / 2) / sample_rate if window.after else torch.inf
        seconds = window.first / sample_rate + model.scale.column_seconds(
            window.last - window.first, sample_rate
        )
        mine = (seconds >= low) & (seconds < high)
        for columns in torch.arange(len(bands)).split(COLUMNS):
            shares = window.maps.at(columns, window.columns_frame).cpu()  # (j, F, h w + 1)
            part = shares * bands[columns, :, None]
            given[columns] = part.sum(1)
            spectra += part[mine[columns]].sum(0).T
        starts = torch.arange(picture.frames, dtype=torch.float64) / picture.frames_per_second
        centres = starts + 0.5 / picture.frames_per_second
        shown = ((centres >= low) & (centres < high)).nonzero()[:, 0]
        power[shown] = over_frames(given, seconds, starts[shown], 1 / picture.frames_per_second)
    return AudioMap(power[:, :-1].unflatten(1, grid), power[:, -1], spectra[:-1].unflatten(0, grid))


def column_power(bins: Tensor) -> Tensor:
    """Complex STFT (A, M, J) -> power (M, J); its sum over M is the mean square of the windowed samples."""
    n_fft = 2 * (bins.shape[1] - 1)
    power = (bins.real.square() + bins.imag.square()).mean(0)
    power[1:-1] *= 2  # the negative frequencies
    return power / (n_fft * 3 / 8 * n_fft)


def over_frames(columns: Tensor, seconds: Tensor, starts: Tensor, length: float) -> Tensor:
    """The mean of the columns (J, C) whose centres lie in each frame, or the nearest one, (T, C)."""
    low = torch.searchsorted(seconds, starts).clamp(max=len(seconds) - 1)
    high = torch.maximum(torch.searchsorted(seconds, starts + length), low + 1)
    total = F.pad(columns.double().cumsum(0), (0, 0, 1, 0))
    return ((total[high] - total[low]) / (high - low)[:, None]).to(columns.dtype)


def energy_map(model: Separator, clip: Clip) -> Tensor:
    """The power that each cell is given at each frame, (T, h, w): mean square per sample and channel.

    With the power that is given to "off screen" it adds up to the clip's own (`map_audio` has both).

    Raises:
        InputError: a clip without video or audio.
    """
    return map_audio(model, frame_source(clip, model), audio_of(clip), clip.sample_rate).power


def find_regions(model: Separator, clip: Clip, count: int | None = None) -> list[Region]:
    """The regions that sound, loudest first; as many as there seem to be, or at most `count`.

    Raises:
        InputError: a clip without video or audio, or a count below 1.
    """
    picture = frame_source(clip, model)
    found = map_audio(model, picture, audio_of(clip), clip.sample_rate)
    return regions_of(found, picture.size, count)


def regions_of(found: AudioMap, size: tuple[int, int], count: int | None = None) -> list[Region]:
    """The sounding regions of a map_audio, as masks of a video of `size` (H, W).

    From the loudest cell that is left a region grows over neighbours that sound alike, until `count` are
    found or, without a count, until the next would hold less than a twentieth of all the sound's power. One
    that lies beside a louder one and sounds the same is another part of that thing, or its place at another
    time, and joins it.

    Raises:
        InputError: a count below 1.
    """
    if count is not None and count < 1:
        raise InputError(f"the number of regions to find is {count}; expected 1 or more")
    loud = found.power.mean(0)
    everything = float(loud.sum() + found.off_screen.mean())
    left = loud.clone()
    things: list[Tensor] = []
    while len(things) < (AT_MOST if count is None else count):
        seed = divmod(int(left.argmax()), left.shape[1])
        if float(left[seed]) <= 1e-6 * everything or everything <= 0:
            break  # silence
        cells = grow(left, found.spectra, seed)
        faint = float(loud[cells].sum()) < LEAST * everything
        if count is None and faint:
            break
        left = left.masked_fill(cells, 0.0)
        whole = next((thing for thing in things if _is_part(cells, thing, found.spectra)), None)
        if whole is None:
            things.append(cells)
        elif not faint:
            whole |= cells
    return [Region(_mask(cells, size), f"sound {number}") for number, cells in enumerate(things, 1)]


def _is_part(cells: Tensor, thing: Tensor, spectra: Tensor) -> bool:
    """Whether some cells (h, w) lie beside those of a thing and sound the same."""
    around = F.max_pool2d(thing[None].float(), 2 * NEAR + 1, 1, NEAR)[0] > 0
    one, other = (F.normalize(spectra[each].sum(0).sqrt(), dim=0) for each in (cells, thing))
    return bool((around & cells).any()) and float(one @ other) >= SAME


def region_at(found: AudioMap, x: float, y: float, size: tuple[int, int]) -> Region:
    """The thing at a point of a video of `size` (H, W): cells around it that sound like the one under it.

    Raises:
        InputError: the point lies outside the video.
    """
    point = Region.point(x, y, size)
    h, w = found.power.shape[1:]
    cell = int(y) * h // size[0], int(x) * w // size[1]
    cells = grow(found.power.mean(0), found.spectra, cell)
    return Region(torch.maximum(_mask(cells, size), point.mask), point.name)


def grow(power: Tensor, spectra: Tensor, seed: tuple[int, int]) -> Tensor:
    """The connected cells (h, w) around `seed` that are nearly as loud and sound alike."""
    timbre = F.normalize(spectra.sqrt(), dim=-1)
    fits = (power >= EDGE * power[seed]) & ((timbre @ timbre[seed]) >= ALIKE)
    cells = torch.zeros_like(fits)
    cells[seed] = True
    while True:
        around = F.max_pool2d(cells[None].float(), 3, 1, 1)[0] > 0
        wider = cells | (around & fits)
        if torch.equal(wider, cells):
            return cells
        cells = wider


def _mask(cells: Tensor, size: tuple[int, int]) -> Tensor:
    """Cells (h, w) as pixels (H, W)."""
    return F.adaptive_max_pool2d(cells[None].float(), size)[0]
