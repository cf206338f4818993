"""Sprites and poses -> frames and masks: all rasterisation is in this module.

A part is a frame of its own (a ball, a bow, an arm) that moves as a rigid whole. It is drawn once, finer
than the frames, and then placed at every frame by a pose, to a fraction of a pixel: motion is smooth and
edges are anti-aliased at any size, and a camera is only one more map from metres to pixels.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

Array = np.ndarray
KEPT = 4  # reductions that a sprite remembers: one for each of a few cameras


@dataclass(frozen=True, eq=False)
class Sprite:
    """A frame of a part, about twice as fine as it will be seen or finer."""

    pixels: Array  # (h, w, 4) float32 in [0, 1]: red, green, blue times opacity, and opacity
    scale: float  # its pixels per metre
    pivot: tuple[float, float]  # (column, row) in its pixels, what a pose places; (0, 0) is its corner

    @cached_property
    def _reductions(self) -> "dict[float, Sprite]":
        """Made already, by scale; the newest few."""
        return {}

    def reduced(self, scale: float) -> "Sprite":
        """The same, averaged down to at most about `scale` pixels per metre, so that warping can't alias."""
        if scale >= 0.75 * self.scale:
            return self
        made = self._reductions
        if scale not in made:
            while len(made) >= KEPT:
                del made[next(iter(made))]
            made[scale] = self._averaged(scale / self.scale)
        return made[scale]

    def _averaged(self, factor: float) -> "Sprite":
        h, w = self.pixels.shape[:2]
        size = max(1, math.ceil(w * factor)), max(1, math.ceil(h * factor))
        pixels = cv2.resize(self.pixels, size, interpolation=cv2.INTER_AREA)
        # Sides are rounded up to whole pixels, so each axis has a factor of its own; the pose takes the mean.
        across, down = size[0] / w, size[1] / h
        if abs(across - down) > 1e-3 * factor:
            padded = np.zeros((math.ceil(size[1] / factor), math.ceil(size[0] / factor), 4), np.float32)
            padded[:h, :w] = self.pixels[: padded.shape[0], : padded.shape[1]]
            pixels = cv2.resize(padded, size, interpolation=cv2.INTER_AREA)
            across, down = size[0] / padded.shape[1], size[1] / padded.shape[0]
        return Sprite(pixels, self.scale * across, (self.pivot[0] * across, self.pivot[1] * down))


@dataclass(frozen=True, eq=False)
class Pose:
    """Where a part is at each frame; every field is (T,) or one number for all frames."""

    x: Array | float  # m, right of the view's middle
    y: Array | float  # m, up from the floor
    angle: Array | float = 0.0  # rad, counter-clockwise
    wide: Array | float = 1.0  # stretch along the sprite's rows
    high: Array | float = 1.0  # stretch along its columns
    opacity: Array | float = 1.0

    def table(self, frames: int) -> Array:
        """(T, 6) float64."""
        table = np.empty((frames, 6))
        for k, field in enumerate((self.x, self.y, self.angle, self.wide, self.high, self.opacity)):
            table[:, k] = field
        return table


@dataclass(frozen=True, eq=False)
class Part:
    """A sprite with its poses."""

    sprite: Sprite
    pose: Pose
    owner: int = -1  # the thing whose mask it fills; -1: none (a shadow, a stick, a tree)


@dataclass(frozen=True, eq=False)
class View:
    """A camera over T frames: metres -> pixels. Fields are (T,)."""

    x: Array  # m, what is in the frame's middle
    y: Array  # m, up from the floor, what is in the frame's middle
    height: Array  # m, how much of the world is seen from top to bottom
    size: tuple[int, int]  # (H, W), pixels

    @cached_property
    def scale(self) -> Array:
        """Pixels per metre, (T,)."""
        return self.size[0] / self.height

    def pixels(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Metres (T,) -> continuous (column, row), (T,): the upper left pixel's centre is (0.5, 0.5)."""
        return (
            self.size[1] / 2 + (np.asarray(x) - self.x) * self.scale,
            self.size[0] / 2 - (np.asarray(y) - self.y) * self.scale,
        )


def compose(backdrop: Array, parts: Sequence[Part], view: View, things: int) -> tuple[Array, Array, Array]:
    """Draw parts over a backdrop, the first the farthest away.

    Args:
        backdrop: (T or 1, H, W, 3) float32 in [0, 1], already in the view's pixels.
        parts: back to front.
        view: of T frames.
        things: how many things have masks.

    Returns:
        Frames (T, H, W, 3), float32 in [0, 1]; visible masks (things, T, H, W), the share of each pixel that
        shows the thing; amodal ones, the share it would cover if nothing stood before it.
    """
    count, (height, width) = len(view.x), view.size
    painted = np.zeros((count, height, width, 4), np.float32)  # colour times opacity, and opacity
    visible = np.zeros((things, count, height, width), np.float32)
    amodal = np.zeros_like(visible)
    for part in reversed(parts):  # front to back: each adds what those before it leave to be seen
        for patch, span in _placed(part, view):
            under = painted[span]
            seen = patch * (1 - under[..., 3:])
            under += seen
            if part.owner >= 0:
                visible[(part.owner, *span)] += seen[..., 3]
                whole = amodal[(part.owner, *span)]
                whole += patch[..., 3] * (1 - whole)
    frames = painted[..., :3] + backdrop * (1 - painted[..., 3:])
    return np.clip(frames, 0.0, 1.0, out=frames), visible, amodal


def _placed(part: Part, view: View) -> Iterator[tuple[Array, tuple[slice, slice, slice]]]:
    """A part's pixels (h, w, 4) as seen, and the frames, rows and columns that they fill.

    Frames in which it stands still come together.
    """
    count, (height, width) = len(view.x), view.size
    table = part.pose.table(count)
    sprite = part.sprite.reduced(float(np.max(view.scale * np.abs(table[:, 3:5]).max(1))))
    zoom = view.scale / sprite.scale
    cos, sin = np.cos(table[:, 2]) * zoom, np.sin(table[:, 2]) * zoom
    # Sprite pixels (from the pivot, rows down) -> frame pixels.
    maps = np.stack([cos * table[:, 3], sin * table[:, 4], -sin * table[:, 3], cos * table[:, 4]], 1)
    column, row = view.pixels(table[:, 0], table[:, 1])
    h, w = sprite.pixels.shape[:2]
    u, v = sprite.pivot
    corners = np.array([[-u, w - u, -u, w - u], [-v, -v, h - v, h - v]])
    across = maps[:, :2] @ corners + column[:, None]  # (T, 4)
    down = maps[:, 2:] @ corners + row[:, None]
    left, top = (np.maximum(np.floor(c.min(1)).astype(int) - 1, 0) for c in (across, down))
    right = np.minimum(np.ceil(across.max(1)).astype(int) + 1, width)
    bottom = np.minimum(np.ceil(down.max(1)).astype(int) + 1, height)
    # Pixel centres are at one half, in the sprite and in the window from (left, top) on.
    affine = np.empty((count, 2, 3))
    affine[:, :, :2] = maps.reshape(count, 2, 2)
    affine[:, 0, 2] = column - left - 0.5 - maps[:, :2] @ (u - 0.5, v - 0.5)
    affine[:, 1, 2] = row - top - 0.5 - maps[:, 2:] @ (u - 0.5, v - 0.5)
    poses = np.concatenate([maps, column[:, None], row[:, None], table[:, 5:]], 1)
    changes = (np.flatnonzero((poses[1:] != poses[:-1]).any(1)) + 1).tolist()
    shown = (left < right) & (top < bottom) & (table[:, 5] > 0)
    for t, end in zip([0, *changes], [*changes, count], strict=True):
        if not shown[t]:
            continue
        x0, x1, y0, y1 = int(left[t]), int(right[t]), int(top[t]), int(bottom[t])
        patch = cv2.warpAffine(sprite.pixels, affine[t], (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR)
        if table[t, 5] < 1:
            patch = patch * float(table[t, 5])
        yield patch, (slice(t, end), slice(y0, y1), slice(x0, x1))
