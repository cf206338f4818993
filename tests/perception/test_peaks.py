import pytest
import torch

from avsim.perception.peaks import centred, peaks, thing_near


def test_the_hottest_first_and_none_beside_it():
    heat = torch.tensor([0.2, 0.9, 0.8, 0.1, 0.5, 0.6, 0.0])
    assert peaks(heat, 0.3, (1.0,)).flatten().tolist() == [1, 5]
    assert peaks(heat, 0.3, (0.0,)).flatten().tolist() == [1, 2, 5, 4]
    assert peaks(heat, 0.95, (1.0,)).shape == (0, 1)


def test_near_along_every_axis():
    """What is far along one axis alone is another peak."""
    heat = torch.zeros(4, 8, 8)
    heat[1, 2, 2], heat[1, 2, 6], heat[2, 3, 3] = 0.9, 0.7, 0.8
    assert peaks(heat, 0.5, (1.5, 2.0, 2.0)).tolist() == [[1, 2, 2], [1, 2, 6]]


def test_a_plateau_is_one_peak():
    assert len(peaks(torch.full((3, 3), 0.7), 0.5, (2.0, 2.0))) == 1


def test_centre_of_mass_by_hand():
    heat = torch.zeros(4, 8)
    heat[1, 2], heat[1, 3], heat[0, 7] = 0.6, 0.2, 1.0  # the last is too far to count
    x, y = centred(heat, 1, 2)
    assert (x, y) == pytest.approx(((2.5 * 0.75 + 3.5 * 0.25) / 8, 1.5 / 4))
    assert centred(torch.ones(4, 4), 0, 0) == pytest.approx((0.25, 0.25))  # of the 2 x 2 in the corner


def test_the_thing_beside_an_event():
    kind = torch.zeros(4, 4, 3)
    kind[..., 0] = 5.0
    kind[1, 2, 0], kind[3, 3, 0] = -5.0, -9.0
    assert thing_near(kind, 2, 2) == (3, 3)
    assert thing_near(kind, 1, 1) == (1, 2) and thing_near(kind, 0, 3) == (1, 2)
