"""Places: stated apart from frames alone, the same from every camera, at any size and aspect."""

import numpy as np
import pytest

from avsim.errors import InputError
from avsim.world.flat.canvas import View
from avsim.world.flat.places import PAINTERS, backdrop
from avsim.world.sound.rooms import PLACES

Array = np.ndarray


def camera(size: tuple[int, int], x=0.0, y=0.75, height=2.0, frames: int = 2) -> View:
    """A view by numbers or by (frames,) arrays."""
    x, y, height = (np.broadcast_to(np.asarray(field, np.float64), (frames,)) for field in (x, y, height))
    return View(x, y, height, size)


def seen(place: str, seed: int, view: View) -> Array:
    return backdrop(place, view, np.random.default_rng(seed))


def test_places_are_those_that_have_rooms():
    assert tuple(PAINTERS) == PLACES


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("size", [(32, 32), (64, 36), (72, 128), (255, 255)])
def test_any_size_and_aspect(place: str, size: tuple[int, int]):
    frames = seen(place, 0, camera(size))
    assert frames.shape == (1, *size, 3) and frames.dtype == np.float32
    assert 0 <= frames.min() and frames.max() <= 1
    assert frames.std() > 0.08  # not one plain colour


@pytest.mark.parametrize("place", PLACES)
def test_the_same_random_numbers_paint_the_same_place(place: str):
    view = camera((48, 48))
    assert np.array_equal(seen(place, 3, view), seen(place, 3, view))
    assert np.abs(seen(place, 3, view) - seen(place, 4, view)).mean() > 0.01


@pytest.mark.parametrize("place", PLACES)
def test_a_place_takes_one_number_whatever_the_camera(place: str):
    after = []
    for view in (camera((32, 32)), camera((64, 64), x=np.linspace(-1, 1, 2), height=1.5)):
        random = np.random.default_rng(5)
        backdrop(place, view, random)
        after.append(random.random())
    assert after[0] == after[1]


@pytest.mark.parametrize("place", PLACES)
def test_a_moving_camera_sees_what_a_still_one_sees(place: str):
    """Each frame of a pan and zoom is the frame of a still camera there, up to resampling."""
    x, height = np.array([-0.6, 0.0, 0.7]), np.array([2.0, 1.7, 1.4])
    moving = seen(place, 1, camera((64, 64), x=x, height=height, frames=3))
    assert moving.shape == (3, 64, 64, 3)
    for t in range(3):
        still = seen(place, 1, camera((64, 64), x=x[t], height=height[t]))[0]
        assert np.abs(moving[t] - still).mean() < 0.03


def test_places_are_told_apart_by_the_nearest_mean_picture():
    """Mean and spread of colour in 4 x 4 cells; means of 30 random places each classify 20 others."""

    def features(place: str, seed: int) -> Array:
        cells = seen(place, seed, camera((64, 64)))[0].reshape(4, 16, 4, 16, 3)
        return np.concatenate([cells.mean((1, 3)).ravel(), cells.std((1, 3)).ravel()])

    known = np.stack([np.mean([features(p, seed) for seed in range(30)], 0) for p in PLACES])
    right = [
        int(np.argmin(((known - features(place, seed)) ** 2).sum(1))) == k
        for k, place in enumerate(PLACES)
        for seed in range(100, 120)
    ]
    assert np.mean(right) >= 0.95


def test_an_unknown_place_is_named():
    with pytest.raises(InputError, match="'moon' is none of restaurant"):
        seen("moon", 0, camera((32, 32)))
