"""How materials look: a layer of a shape -> pixels.

A layer is an outline filled with a material, that bulges: its height rises with the distance from the edge,
as a sphere's does, up to `bulge`, beyond which it is flat. A disc that bulges by its radius is a sphere, a
ring that bulges by half its thickness a torus, a box that bulges a little has bevelled edges. Light comes
from the upper left.

Metal mirrors a bright sky over a dark ground; glass lets the background through and shines at its rim;
ceramic is glazed, with a painted band; wood has its grain; rubber is matte, with grooves.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.ndimage import distance_transform_edt

from avsim.world.flat.canvas import Sprite

Array = np.ndarray
Point = tuple[float, float]

SCALE = 160.0  # pixels per unit of a sprite
INK = (0.09, 0.08, 0.10)  # of outlines
LIGHT = np.array([-0.45, 0.65, 0.61])  # unit vector to the light: left, up, to the camera
PAINT = {  # sRGB
    ("metal", "gold"): (0.97, 0.74, 0.20),
    ("metal", "copper"): (0.88, 0.46, 0.27),
    ("metal", "silver"): (0.83, 0.87, 0.93),
    ("glass", "green"): (0.10, 0.72, 0.38),
    ("glass", "blue"): (0.16, 0.46, 0.98),
    ("glass", "amber"): (0.96, 0.55, 0.05),
    ("ceramic", "white"): (0.97, 0.96, 0.93),
    ("ceramic", "turquoise"): (0.30, 0.80, 0.78),
    ("ceramic", "pink"): (0.97, 0.66, 0.70),
    ("wood", "brown"): (0.62, 0.40, 0.20),
    ("wood", "tan"): (0.84, 0.64, 0.38),
    ("wood", "chestnut"): (0.62, 0.25, 0.11),
    ("rubber", "red"): (0.88, 0.10, 0.13),
    ("rubber", "black"): (0.13, 0.13, 0.15),
    ("rubber", "yellow"): (0.97, 0.84, 0.08),
    ("rubber", "purple"): (0.50, 0.18, 0.72),
    ("skin", "white"): (0.96, 0.93, 0.85),
    ("skin", "tan"): (0.95, 0.72, 0.55),
    ("felt", ""): (0.95, 0.95, 0.92),
    ("stone", ""): (0.55, 0.54, 0.53),
    ("lacquer", ""): (0.84, 0.80, 0.72),
}


@dataclass(frozen=True)
class Layer:
    """A filled outline; a hole makes it a ring."""

    outline: tuple[Point, ...]  # in units, x to the right and y up
    material: str
    colour: str = ""
    bulge: float = 0.06  # units
    hole: tuple[Point, ...] = ()


def disc(x: float, y: float, across: float, up: float | None = None) -> tuple[Point, ...]:
    """An ellipse by its centre and its radii, as an outline."""
    turn = np.linspace(0, 2 * math.pi, 65)[:-1]
    rows = np.stack([x + across * np.cos(turn), y + (across if up is None else up) * np.sin(turn)], 1)
    return tuple((float(a), float(b)) for a, b in rows)


def box(left: float, right: float, bottom: float, top: float) -> tuple[Point, ...]:
    """A rectangle, as an outline."""
    return (left, bottom), (right, bottom), (right, top), (left, top)


def sprite(
    layers: Sequence[Layer], shaded: bool = True, painted: bool = True, outline: float = 0.03
) -> Sprite:
    """Layers, the first the farthest, as a sprite of 1 m per unit whose pivot is the origin.

    What turns under a light that doesn't is two sprites: one that is painted, not shaded, and turns, and one
    that is only shaded and doesn't.

    Args:
        layers: what to draw.
        shaded: whether light falls on it.
        painted: whether it has colours.
        outline: width of the line of ink around each layer, units; 0 for none.
    """
    corners = np.array([point for layer in layers for point in layer.outline])
    room = 2 * outline + 2 / SCALE
    low, high = corners.min(0) - room, corners.max(0) + room
    width, height = np.ceil((high - low) * SCALE).astype(int).tolist()
    x = low[0] + (np.arange(width, dtype=np.float32) + 0.5) / SCALE
    y = high[1] - (np.arange(height, dtype=np.float32) + 0.5) / SCALE
    x, y = np.meshgrid(x, y)
    pixels = np.zeros((height, width, 4), np.float32)
    for layer in layers:
        cover = _cover(layer, low[0], high[1], (height, width))
        if outline:
            wide = 2 * max(1, round(outline * SCALE)) + 1
            around = cv2.dilate(cover, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (wide, wide)))
            _over(pixels, np.array(INK, np.float32), around * (1 - cover))
        normal = _normals(cover, layer.bulge)
        if painted:
            colour, opacity = _painted(layer, x, y, normal)
            _over(pixels, colour, cover * opacity)
        if shaded:
            dark, shine = _lit(layer.material, normal)
            _over(pixels, np.zeros(3, np.float32), cover * dark)
            _over(pixels, np.ones(3, np.float32), cover * shine)
    return Sprite(pixels, SCALE, (-low[0] * SCALE, high[1] * SCALE))


def sized(sprite: Sprite, size: float) -> Sprite:
    """The same with `size` metres to the unit."""
    return Sprite(sprite.pixels, sprite.scale / size, sprite.pivot)


def _over(pixels: Array, colour: Array, opacity: Array) -> None:
    """Lay a colour, (3,) or (h, w, 3), over premultiplied pixels."""
    pixels *= (1 - opacity)[..., None]
    pixels[..., :3] += colour * opacity[..., None]
    pixels[..., 3] += opacity


def _cover(layer: Layer, left: float, top: float, size: tuple[int, int]) -> Array:
    cover = np.zeros(size, np.uint8)
    for points, paint in ((layer.outline, 255), (layer.hole, 0)):
        if points:
            corners = (np.array(points) - (left, top)) * (SCALE, -SCALE) - 0.5  # whole numbers are centres
            fixed = np.rint(corners * 16).astype(np.int32)
            cv2.fillPoly(cover, [fixed], paint, cv2.LINE_AA, 4)
    return cover.astype(np.float32) / 255


def _normals(cover: Array, bulge: float) -> Array:
    """(h, w, 3): right, up and to the camera."""
    # Not cv2.distanceTransform: the last bit of what it gives differs from process to process.
    inside = distance_transform_edt(cover > 0.5).astype(np.float32)
    inside = cv2.GaussianBlur(inside, (0, 0), 1.5)
    tilt = 1 - np.clip(inside / (bulge * SCALE), 0.0, 1.0)
    slope = np.stack(
        [cv2.Sobel(inside, -1, 1, 0, scale=1 / 8), -cv2.Sobel(inside, -1, 0, 1, scale=1 / 8)], -1
    )
    slope = slope / np.maximum(np.linalg.norm(slope, axis=-1, keepdims=True), 1e-6)
    return np.concatenate([-slope * tilt[..., None], np.sqrt(1 - tilt**2)[..., None]], -1)


def _painted(layer: Layer, x: Array, y: Array, normal: Array) -> tuple[Array, Array]:
    """Colour (h, w, 3) and opacity (h, w) before light falls on it."""
    base = np.array(PAINT[layer.material, layer.colour], np.float32)
    colour: Array = np.broadcast_to(base, (*x.shape, 3)).copy()
    opacity: Array = np.ones_like(x)
    if layer.material == "metal":  # brushed: flat faces have streaks of light across them
        streak = np.exp(-(((x - 0.6 * y + 0.12) / 0.10) ** 2)) + 0.6 * np.exp(
            -(((x - 0.6 * y - 0.22) / 0.05) ** 2)
        )
        tone = 0.72 + 0.28 * np.sin(5 * (x + y)) * 0.5
        flat = normal[..., 2] ** 8
        colour *= (1 + flat * (tone - 1))[..., None]
        colour += (0.75 * flat * np.clip(streak, 0, 1))[..., None] * (1 - colour)
    elif layer.material == "glass":
        rim = (1 - normal[..., 2]) ** 0.8
        opacity = 0.40 + 0.55 * rim
        window = np.clip((0.05 - np.abs(x + y * 0.8 + 0.12)) * 40, 0, 1) * 0.5  # mirrored
        colour = base + (1 - base) * (0.25 * (1 - rim) + window)[..., None]
        opacity = np.maximum(opacity, window)
    elif layer.material == "wood":
        # Growth rings of a board cut off their middle, and fibres along them.
        rings = np.sin(34 * np.hypot(x * 0.55 + 0.5, y * 1.2 + 0.23 * np.sin(3 * x)))
        colour *= (0.88 + 0.20 * np.clip(1.6 * rings, -1, 1))[..., None]
    elif layer.material == "ceramic":
        band = np.clip((0.045 - np.abs(y)) * 60, 0, 1)
        dots = np.clip((0.045 - np.hypot((x + 0.08) % 0.16 - 0.08, np.abs(y) - 0.12)) * 60, 0, 1)
        ink = np.array((0.10, 0.22, 0.60), np.float32)
        colour += np.maximum(band, dots)[..., None] * (ink - colour)
    elif layer.material == "rubber":
        groove = np.minimum(np.abs((x + 0.11) % 0.22 - 0.11), np.abs((y + 0.11) % 0.22 - 0.11))
        share = 0.55 * np.clip((0.022 - groove) * 80, 0, 1)[..., None]
        other = 0.35 * base if layer.colour != "black" else np.full(3, 0.45, np.float32)
        colour += share * (other - colour)
    return colour.astype(np.float32), opacity.astype(np.float32)


def _lit(material: str, normal: Array) -> tuple[Array, Array]:
    """Opacities of shade and of shine, (h, w) each."""
    up = normal[..., 1]
    light = np.clip(normal @ LIGHT, 0.0, 1.0)
    half = LIGHT + np.array([0.0, 0.0, 1.0])
    facing = np.clip(normal @ (half / np.linalg.norm(half)), 0.0, 1.0)
    dark = 0.62 * (1 - light)
    if material == "metal":
        ground = np.clip((0.02 - up) * 9, 0, 1) * np.clip((up + 0.62) * 4, 0.15, 1)
        dark = 0.12 + 0.62 * ground
        shine = 0.75 * np.clip((up - 0.30) * 4, 0, 1) * np.clip((0.80 - up) * 6, 0, 1) + facing**60
    elif material == "glass":
        dark = 0.22 * (1 - normal[..., 2])
        glow = np.clip(normal @ np.array([0.50, -0.62, 0.60]), 0, 1) ** 14  # light that came through
        shine = 1.2 * facing**70 + 0.55 * glow
    elif material == "ceramic":
        dark = 0.5 * (1 - light)
        shine = 0.95 * facing**50
    elif material == "rubber":
        shine = 0.10 * facing**5
    else:
        shine = 0.08 * facing**6
    return np.clip(dark, 0, 1).astype(np.float32), np.clip(shine, 0, 1).astype(np.float32)
