"""Images as masks."""

import cv2
import numpy as np
import pytest
import torch

import avsim.separation
from avsim.clip import Region
from avsim.errors import InputError
from avsim.separation import read_mask
from avsim.separation.regions import alike
from avsim.separation.video_file import _bounds


def written(path, pixels):
    cv2.imwrite(str(path), pixels)
    return path


def test_white_is_inside(tmp_path):
    pixels = np.zeros((6, 8), np.uint8)
    pixels[2:4, 1:5] = 255
    expected = torch.from_numpy(pixels / 255).float()
    assert torch.equal(read_mask(written(tmp_path / "grey.png", pixels), (6, 8)), expected)
    colour = np.repeat(pixels[..., None], 3, 2)
    assert torch.equal(read_mask(written(tmp_path / "colour.png", colour), (6, 8)), expected)
    assert torch.equal(
        read_mask(written(tmp_path / "deep.png", pixels.astype(np.uint16) * 257), (6, 8)), expected
    )
    white = np.dstack([np.full((6, 8, 3), 255, np.uint8), pixels])  # drawn on transparency
    assert torch.equal(read_mask(written(tmp_path / "clear.png", white), (6, 8)), expected)


def test_scaled_only_where_the_aspect_agrees(tmp_path):
    pixels = np.zeros((12, 16), np.uint8)
    pixels[:6] = 255
    path = written(tmp_path / "half.png", pixels)
    mask = read_mask(path, (6, 8))
    assert mask.shape == (6, 8) and (mask[:3] == 1).all() and not mask[3:].any()
    assert read_mask(path, (24, 32)).mean() == 0.5
    with pytest.raises(InputError, match="half.png: the mask is 16x12, the video 8x8"):
        read_mask(path, (8, 8))


def test_files_that_are_no_mask(tmp_path):
    with pytest.raises(InputError, match="no such"):
        read_mask(tmp_path / "none.png", (4, 4))
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(InputError, match="not an image"):
        read_mask(tmp_path / "text.png", (4, 4))
    with pytest.raises(InputError, match="empty"):
        read_mask(written(tmp_path / "black.png", np.zeros((4, 4), np.uint8)), (4, 4))


def test_a_regions_box_is_in_pixels_of_the_video():
    mask = torch.zeros(2, 4, 8)  # (T, h, w)
    mask[0, 1, 2], mask[1, 2, 5] = 1, 1
    assert _bounds(Region(mask), (40, 160)) == {"x": 40, "y": 10, "width": 80, "height": 20}
    assert _bounds(Region(mask[0]), (40, 160)) == {"x": 40, "y": 10, "width": 20, "height": 10}


def test_every_name_of_the_package_can_be_imported():
    for name in avsim.separation.__all__:
        assert not isinstance(getattr(avsim.separation, name), type(avsim)), name  # what it names, no module
    with pytest.raises(AttributeError, match="no attribute 'seperate'"):
        avsim.separation.seperate  # noqa: B018


def test_sizes_are_alike_within_a_hundredth_of_their_aspect():
    for one, other, same in (
        ((100, 200), (50, 100), True), ((100, 200), (100, 202), True), ((100, 200), (100, 203), False),
        ((100, 200), (102, 200), False), ((64, 64), (64, 96), False), ((1080, 1920), (64, 114), True),
    ):  # fmt: skip
        assert alike(one, other) == same == alike(other, one), (one, other)
