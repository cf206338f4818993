"""The canvas: sprites land where poses say, to a fraction of a pixel, and hide what lies behind them."""

import math

import numpy as np
import pytest

from avsim.world.flat.canvas import Part, Pose, Sprite, View, compose

Array = np.ndarray


def disc(radius: float, colour=(1.0, 0.5, 0.25), scale: float = 128.0, opacity: float = 1.0) -> Sprite:
    """Its pivot in its middle."""
    half = math.ceil(radius * scale) + 2
    at = np.arange(2 * half) + 0.5 - half
    cover = opacity * np.clip(radius * scale + 0.5 - np.hypot(*np.meshgrid(at, at)), 0, 1)
    pixels = cover[..., None] * np.array([*colour, 1.0])
    return Sprite(pixels.astype(np.float32), scale, (half, half))


def still(size: tuple[int, int], frames: int = 1, height: float = 2.0) -> View:
    return View(np.zeros(frames), np.full(frames, 0.75), np.full(frames, height), size)


def black(size: tuple[int, int]) -> Array:
    return np.zeros((1, *size, 3), np.float32)


@pytest.mark.parametrize("size", [(64, 64), (64, 36), (90, 160)])
def test_a_disc_is_where_its_pose_says(size: tuple[int, int]):
    x, y = np.linspace(-0.3, 0.3, 13), np.linspace(0.4, 1.1, 13)
    view = still(size, 13)
    _, visible, _ = compose(black(size), [Part(disc(0.15), Pose(x, y), 0)], view, 1)
    mass = visible[0].sum((1, 2))
    rows, columns = np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5
    column, row = view.pixels(x, y)
    assert np.allclose((visible[0].sum(1) @ columns) / mass, column, atol=0.02)
    assert np.allclose((visible[0].sum(2) @ rows) / mass, row, atol=0.02)
    assert np.allclose(mass, math.pi * (0.15 * size[0] / 2) ** 2, rtol=0.02)


def test_a_stretch_and_a_zoom_scale_areas():
    sprite, size = disc(0.2), (128, 128)
    view = View(np.zeros(3), np.full(3, 0.75), np.array([2.0, 1.0, 2.0]), size)
    pose = Pose(0.0, 0.75, 0.3, np.array([1, 1, 1.5]), np.array([1, 1, 0.5]))
    area = compose(black(size), [Part(sprite, pose, 0)], view, 1)[1][0].sum((1, 2))
    assert np.allclose(area / area[0], [1, 4, 0.75], rtol=0.02)


def test_what_stands_still_is_drawn_as_if_it_moved():
    """Frames with one pose are drawn together; that must not show."""
    size, view = (48, 48), still((48, 48), 6)
    x = np.array([0.1, 0.1, 0.1, 0.25, 0.25, 0.1])
    together = compose(black(size), [Part(disc(0.2), Pose(x, 0.7), 0)], view, 1)
    for t in range(6):
        alone = compose(black(size), [Part(disc(0.2), Pose(x[t], 0.7), 0)], still(size), 1)
        assert np.array_equal(together[0][t], alone[0][0])
        assert np.array_equal(together[1][:, t], alone[1][:, 0])
        assert np.array_equal(together[2][:, t], alone[2][:, 0])


def test_front_to_back_is_the_over_operator():
    """Frames equal painting the parts one over the other, the first the farthest away."""
    view = still((64, 64))
    parts = [
        Part(disc(0.4, (1, 0, 0)), Pose(-0.1, 0.7), 0),
        Part(disc(0.3, (0, 1, 0), opacity=0.6), Pose(0.1, 0.8), 1),
        Part(disc(0.2, (0, 0, 1)), Pose(0.05, 0.6, opacity=0.5)),
    ]
    ground = np.full((1, 64, 64, 3), 0.25, np.float32)
    painted = ground
    for part in parts:
        painted = compose(painted, [part], view, 2)[0]
    frames, visible, amodal = compose(ground, parts, view, 2)
    assert np.allclose(frames, painted, atol=1e-5)
    assert (visible <= amodal + 1e-6).all() and (visible.sum(0) <= 1 + 1e-6).all()
    assert visible[0].sum() < 0.7 * amodal[0].sum()
    assert np.allclose(amodal[0], compose(ground, parts[:1], view, 1)[1][0])


def test_what_is_outside_the_view_is_not_drawn():
    size = (32, 32)
    for pose in (Pose(5.0, 0.7), Pose(0.0, -4.0), Pose(0.0, 0.7, opacity=0.0)):
        frames, visible, amodal = compose(black(size), [Part(disc(0.2), pose, 0)], still(size), 1)
        assert not frames.any() and not visible.any() and not amodal.any()


def test_a_sprite_remembers_its_latest_reductions():
    sprite = disc(0.3, scale=512.0)
    small = sprite.reduced(32.0)
    assert sprite.reduced(32.0) is small
    for scale in (40.0, 50.0, 60.0, 70.0):
        sprite.reduced(scale)
    assert sprite.reduced(32.0) is not small
    assert sprite.reduced(400.0) is sprite
    area = [s.pixels[..., 3].sum() / s.scale**2 for s in (sprite, small)]
    assert area[1] == pytest.approx(area[0], rel=0.01)
