"""A scene -> frames and masks.

Edges are drawn by the exact distance to them, so that motion is smooth below a pixel.

A ball is shaded as a sphere lit from the upper left, patch by patch for all frames at once; its texture turns
as it rolls. Each material has a look of its own: metal mirrors a horizon, glass lets the wall through and is
bright at its rim, wood has rings, ceramic has a pale band, rubber is matte with a seam.
"""

import math

import numpy as np

from avsim.clip import ClipSpec
from avsim.world.materials import COLOURS, MATERIALS
from avsim.world.scene import FLOOR, VIEW, Ball, Scene

LIGHT = np.array([-0.45, 0.65, 0.61])  # unit vector to the light: left, up, to the camera
HORIZON = 0.22  # m above where things touch the floor: the floor's far edge

Array = np.ndarray


def to_pixels(x: Array | float, y: Array | float, spec: ClipSpec) -> tuple[Array, Array]:
    """Metres -> pixels (column, row), continuous: the centre of the upper left pixel is (0.5, 0.5)."""
    scale = spec.height / VIEW
    return spec.width / 2 + np.asarray(x) * scale, spec.height - (FLOOR + np.asarray(y)) * scale


def draw(scene: Scene, spec: ClipSpec) -> tuple[Array, Array]:
    """Frames (T, H, W, 3) and masks (things, T, H, W), float32 in [0, 1], each at its frame's middle."""
    seconds = spec.frame_seconds().numpy()
    frames = np.repeat(_background(scene, spec)[None], spec.frames, axis=0)
    for ball in scene.seen:
        _shadow(frames, ball, seconds, spec)
    masks = np.zeros((len(scene.seen), spec.frames, spec.height, spec.width), np.float32)
    for k, ball in enumerate(scene.seen):
        _paint(frames, masks[k], ball, seconds, spec)
        masks[:k] *= 1.0 - masks[k]  # a later ball lies before the earlier ones
    return frames, masks


def _background(scene: Scene, spec: ClipSpec) -> Array:
    """Wall and floor with a soft fall of light, (H, W, 3)."""
    rows = np.arange(spec.height) + 0.5
    _, horizon = to_pixels(0.0, HORIZON, spec)
    floor = np.clip(rows - horizon + 0.5, 0.0, 1.0)[:, None, None]
    light = (1.04 - 0.12 * rows / spec.height)[:, None, None]
    side = (1.03 - 0.06 * (np.arange(spec.width) + 0.5) / spec.width)[None, :, None]
    mixed = (1 - floor) * np.array(scene.wall) + floor * np.array(scene.floor)
    return np.clip(mixed * light * side, 0.0, 1.0).astype(np.float32)


def _patches(column: Array, row: Array, half: int) -> tuple[Array, Array, Array, Array]:
    """Upper left corners (T,) of the patches around moving centres, and pixel offsets (T, P, P) from them."""
    left, top = np.floor(column).astype(int) - half, np.floor(row).astype(int) - half
    span = np.arange(2 * half + 1) + 0.5
    dx = (left - column)[:, None, None] + span[None, None, :]
    dy = (top - row)[:, None, None] + span[None, :, None]
    dx, dy = np.broadcast_arrays(dx.astype(np.float32), dy.astype(np.float32))
    return left, top, dx, dy


def _windows(left: Array, top: Array, side: int, spec: ClipSpec):
    """For each frame: its number, the slices of the picture and those of the patch, where they overlap."""
    for t, (x, y) in enumerate(zip(left.tolist(), top.tolist(), strict=True)):
        x0, x1, y0, y1 = max(x, 0), min(x + side, spec.width), max(y, 0), min(y + side, spec.height)
        if x0 < x1 and y0 < y1:
            yield t, (slice(y0, y1), slice(x0, x1)), (slice(y0 - y, y1 - y), slice(x0 - x, x1 - x))


def _shadow(frames: Array, ball: Ball, seconds: Array, spec: ClipSpec) -> None:
    """A soft ellipse where the ball will land; wider and fainter the higher it hangs."""
    x, y = ball.place(seconds)
    scale = spec.height / VIEW
    rise = (y - ball.radius)[:, None, None].astype(np.float32)
    column, row = to_pixels(x + 0.1 * (y - ball.radius), np.zeros_like(y), spec)
    half = math.ceil(2.2 * ball.radius * scale) + 2
    left, top, dx, dy = _patches(column, row, half)
    wide = ball.radius * scale * (0.8 + 0.25 * rise)
    dark = 0.5 / (1 + 2.0 * rise) * np.exp(-((dx / wide) ** 2 + (dy / (0.28 * wide)) ** 2))
    for t, picture, patch in _windows(left, top, 2 * half + 1, spec):
        frames[t][picture] *= (1 - dark[t][patch])[..., None].astype(np.float32)


def _paint(frames: Array, mask: Array, ball: Ball, seconds: Array, spec: ClipSpec) -> None:
    x, y = ball.place(seconds)
    radius = ball.radius * spec.height / VIEW
    half = math.ceil(radius) + 1
    left, top, dx, dy = _patches(*to_pixels(x, y, spec), half)
    cover = np.clip(radius + 0.5 - np.hypot(dx, dy), 0.0, 1.0)
    colour, opaque = _shade(ball, dx / radius, -dy / radius, ball.turned(seconds)[:, None, None])
    alpha = (cover * opaque)[..., None]
    for t, picture, patch in _windows(left, top, 2 * half + 1, spec):
        under = frames[t][picture]
        under += alpha[t][patch] * (colour[t][patch] - under)
        mask[t][picture] = cover[t][patch]


def _shade(ball: Ball, u: Array, v: Array, turned: Array) -> tuple[Array, Array]:
    """Colour (T, P, P, 3) and opacity (T, P, P) on the unit disc, u to the right and v up."""
    substance = MATERIALS[ball.material]
    depth = np.sqrt(np.maximum(0.0, 1.0 - u**2 - v**2))  # the sphere's normal is (u, v, depth)
    lit = np.clip(LIGHT[0] * u + LIGHT[1] * v + LIGHT[2] * depth, 0.0, 1.0)
    middle = LIGHT + np.array([0.0, 0.0, 1.0])
    middle = middle / np.linalg.norm(middle)
    shine = np.clip(middle[0] * u + middle[1] * v + middle[2] * depth, 0.0, 1.0) ** substance.sharpness
    cos, sin = np.cos(turned).astype(np.float32), np.sin(turned).astype(np.float32)
    along, across = cos * u - sin * v, sin * u + cos * v  # coordinates that turn with the ball
    tone, opaque = np.ones_like(u), np.ones_like(u)
    if ball.material == "metal":
        tone = np.where(v > -0.12, 0.75 + 0.5 * v, 0.45)  # a bright sky over a dark floor, mirrored
    elif ball.material == "wood":
        tone = 0.85 + 0.25 * np.cos(9.0 * np.hypot(along - 0.35, 0.6 * across))
    elif ball.material == "glass":
        opaque = np.clip(0.35 + 0.65 * (1.0 - depth) ** 1.5 + shine, 0.0, 1.0)
    base = np.array(COLOURS[ball.colour], np.float32)
    paint = np.broadcast_to(base, (*u.shape, 3))
    if ball.material in ("ceramic", "rubber"):  # a band of another tone around the ball
        pale = ball.material == "ceramic"
        wide, other = (0.22, np.ones(3, np.float32)) if pale else (0.07, 0.35 * base)
        band = np.clip((wide - np.abs(across)) * 12.0 + 0.5, 0.0, 1.0)[..., None]
        paint = paint + band * (other - paint)
    strength = (0.35 + 0.75 * lit) * tone
    colour = paint * strength[..., None] + (substance.gloss * shine)[..., None]
    return np.clip(colour, 0.0, 1.0).astype(np.float32), opaque.astype(np.float32)
