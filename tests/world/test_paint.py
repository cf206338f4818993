"""The easel: areas and places in metres are kept, at any fineness and through any window."""

import math

import numpy as np
import pytest

from avsim.world.flat.paint import Easel, curve, dark, light, mix, rgb, turned

RED = (1.0, 0.0, 0.0)


def cover(easel: Easel) -> float:
    """Painted area, m^2."""
    return float(easel.pixels[..., 3].sum() / 255 / easel.scale**2)


@pytest.mark.parametrize("scale", [32.0, 100.0, 256.0])
def test_shapes_cover_their_areas(scale: float):
    for paint, area, edge in (
        (lambda e: e.polygon([(-0.3, -0.2), (0.3, -0.2), (0.0, 0.4)], RED), 0.18, 1.95),
        (lambda e: e.ellipse(0.05, 0.02, 0.3, 0.15, RED, 0.7), math.pi * 0.3 * 0.15, 1.45),
        (lambda e: e.box(-0.31, 0.22, -0.1, 0.13, RED), 0.53 * 0.23, 1.52),
    ):
        easel = Easel(-0.5, 0.5, -0.5, 0.5, scale)
        paint(easel)
        assert area <= cover(easel) <= area + edge / scale  # cv2 draws the edge as a line too


def test_a_shapes_middle_is_where_it_was_put():
    easel = Easel(-1.0, 1.0, -0.5, 1.0, 64.0)
    easel.ellipse(0.3, 0.2, 0.2, 0.1, RED)
    weight = easel.pixels[..., 3] / easel.pixels[..., 3].sum()
    column = weight.sum(0) @ (np.arange(128) + 0.5)
    row = weight.sum(1) @ (np.arange(96) + 0.5)
    assert -1.0 + column / 64 == pytest.approx(0.3, abs=0.004)
    assert 1.0 - row / 64 == pytest.approx(0.2, abs=0.004)


def test_two_windows_see_the_same_picture():
    """What is painted belongs to the metres: a part of the world looks the same on a larger easel."""

    def paint(easel: Easel) -> np.ndarray:
        easel.fade(-1.0, 1.0, rgb("204080"), rgb("e0c080"))
        easel.mottle(np.random.default_rng(0), 0.1, 0.1)
        easel.line([(-0.5, -0.5), (0.5, 0.4)], 0.1, RED, 0.5)
        easel.glow(0.1, 0.1, 0.2, (1.0, 1.0, 0.5), 0.5)
        return easel.pixels.astype(int)

    small = paint(Easel(-0.5, 0.5, -0.5, 0.5, 64.0))
    large = paint(Easel(-1.0, 1.0, -1.0, 1.0, 64.0))
    assert np.abs(small - large[32:96, 32:96]).mean() < 1.0


def test_edges_are_colour_times_opacity():
    easel = Easel(-0.5, 0.5, -0.5, 0.5, 50.0)
    easel.ellipse(0.0, 0.0, 0.33, 0.33, (0.5, 1.0, 0.0))
    assert np.abs(easel.pixels[..., 1].astype(int) - easel.pixels[..., 3]).max() <= 1
    assert np.abs(2 * easel.pixels[..., 0].astype(int) - easel.pixels[..., 3]).max() <= 4


def test_a_sprites_pivot_stays_when_its_empty_edges_are_cut():
    easel = Easel(-1.0, 1.0, -1.0, 1.0, 64.0)
    easel.box(0.2, 0.4, 0.1, 0.5, RED)
    sprite = easel.sprite(0.3, 0.3, outline=0, relief=0)
    h, w = sprite.pixels.shape[:2]
    assert w == pytest.approx(0.2 * 64, abs=4) and h == pytest.approx(0.4 * 64, abs=4)
    assert sprite.pivot == pytest.approx((w / 2, h / 2), abs=1)
    assert easel.sprite(outline=0.05).pixels.shape[0] >= h + 4  # a line of ink all around


def test_curves_go_through_their_points():
    points = [(0.0, 0.0), (1.0, 2.0), (3.0, 1.0)]
    bend = curve(points, 8)
    assert bend[0] == points[0] and bend[8] == pytest.approx(points[1]) and bend[-1] == points[-1]


def test_colours_and_turns():
    assert rgb("ff0080") == (1.0, 0.0, 128 / 255)
    assert mix((0, 0, 0), (1, 1, 1), 0.25) == (0.25, 0.25, 0.25)
    assert light(RED, 1.0) == (1, 1, 1) and dark(RED, 1.0) == (0, 0, 0)
    assert turned([(1.0, 0.0)], math.pi / 2, 2.0, 3.0)[0] == pytest.approx((2.0, 4.0))
