"""How many things sound: parts of one thing are one, two things that sound alike apart are two."""

import torch

from avsim.separation.discovery import AudioMap, over_frames, regions_of

LOW, HIGH = torch.tensor([4.0, 1.0, 0.0, 0.0]), torch.tensor([0.0, 0.0, 1.0, 4.0])


def map_audio(*blobs, off_screen=0.0):
    """Blobs (row, column, power, spectrum) of 2 x 2 cells in a grid of 12 x 20, over two frames."""
    power, spectra = torch.zeros(2, 12, 20), torch.zeros(12, 20, 4)
    for row, column, level, spectrum in blobs:
        power[:, row : row + 2, column : column + 2] = level
        spectra[row : row + 2, column : column + 2] = level * spectrum
    return AudioMap(power, torch.full((2,), off_screen), spectra)


def test_as_many_as_sound():
    assert len(regions_of(map_audio((4, 2, 1.0, LOW), (4, 14, 0.5, HIGH)), (48, 80))) == 2
    assert len(regions_of(map_audio((4, 2, 1.0, LOW), (4, 14, 0.5, LOW)), (48, 80))) == 2  # alike, apart
    assert len(regions_of(map_audio((4, 2, 1.0, LOW), (4, 5, 0.5, HIGH)), (48, 80))) == 2  # near, unlike
    assert len(regions_of(map_audio((4, 2, 1.0, LOW), (4, 14, 0.02, HIGH)), (48, 80))) == 1  # too faint
    assert len(regions_of(map_audio((4, 2, 1e-3, LOW), off_screen=1.0), (48, 80))) == 0
    assert regions_of(map_audio(), (48, 80)) == []


def test_a_thing_that_moved_is_one():
    found = map_audio((4, 2, 1.0, LOW), (4, 6, 0.15, LOW), (5, 10, 0.15, 0.9 * LOW + 0.1 * HIGH))
    (region,) = regions_of(found, (48, 80))
    assert (
        region.mask[16:24, 8:16].all() and region.mask[16:24, 24:32].all() and region.mask[20:28, 40:48].all()
    )
    assert len(regions_of(found, (48, 80), count=2)) == 1


def test_a_count_is_kept_to():
    blobs = [(5 * (k // 4), 5 * (k % 4), 1.0 - 0.1 * k, LOW if k % 2 else HIGH) for k in range(8)]
    assert len(regions_of(map_audio(*blobs), (48, 80), count=3)) == 3


def test_frames_beyond_the_last_column_have_its_power():
    """Columns at 0, 0.1, 0.2 s and frames of 0.1 s from 0, 0.1, 0.15 and 5 s on."""
    columns, seconds = torch.tensor([[1.0], [3.0], [9.0]]), torch.tensor([0.0, 0.1, 0.2]).double()
    found = over_frames(columns, seconds, torch.tensor([0.0, 0.1, 0.15, 5.0]).double(), 0.1)
    assert found[:, 0].tolist() == [1.0, 3.0, 9.0, 9.0]
    wide = over_frames(columns, seconds, torch.tensor([0.0, 0.05]).double(), 0.15)
    assert wide[:, 0].tolist() == [2.0, 3.0]
