"""An easel: shapes in metres, painted on a frame of any fineness.

Sprites and places are painted on it. Its pixels are colour times opacity, and opacity, so that the edges
which cv2 anti-aliases are right over any ground; it grows shapes by about half a pixel. Right is +x and up
is +y; coordinates are metres.
"""

import math
from collections.abc import Callable, Iterable, Sequence

import cv2
import numpy as np

from avsim.world.flat.canvas import Sprite

Array = np.ndarray
Colour = tuple[float, float, float]  # sRGB in [0, 1]
Point = tuple[float, float]  # m

SPRITE_SCALE = 256.0  # pixels per metre of a sprite: a view of 2 m at 512 pixels high shows it as painted
INK = (0.10, 0.08, 0.10)  # the colour of outlines
_SHIFT = 4  # cv2 takes points in sixteenths of a pixel
_ROUND = [(math.cos(math.pi * k / 16), math.sin(math.pi * k / 16)) for k in range(32)]


def rgb(code: str) -> Colour:
    """A colour from six hexadecimal digits, as "c08040"."""
    r, g, b = (int(code[k : k + 2], 16) / 255 for k in (0, 2, 4))
    return r, g, b


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """`one` with that share of `other` in it, from 0 to 1."""
    r, g, b = (a + share * (c - a) for a, c in zip(one, other, strict=True))
    return r, g, b


def dark(colour: Colour, share: float = 0.3) -> Colour:
    """Towards black."""
    return mix(colour, (0.0, 0.0, 0.0), share)


def light(colour: Colour, share: float = 0.3) -> Colour:
    """Towards white."""
    return mix(colour, (1.0, 1.0, 1.0), share)


def curve(points: Sequence[Point], steps: int = 8) -> list[Point]:
    """A smooth line through the points (Catmull-Rom), `steps` to each gap."""
    p = np.array([points[0], *points, points[-1]], np.float64)
    u = (np.arange(steps) / steps)[:, None]
    bends = []
    for a, b, c, d in zip(p[:-3], p[1:-2], p[2:-1], p[3:], strict=True):
        bends.append(b + 0.5 * u * (c - a + u * (2 * a - 5 * b + 4 * c - d + u * (3 * (b - c) + d - a))))
    return [(float(x), float(y)) for x, y in np.concatenate([*bends, p[-1:]])]


def turned(points: Iterable[Point], angle: float, x: float = 0.0, y: float = 0.0) -> list[Point]:
    """The points turned counter-clockwise about the origin, then moved by (x, y)."""
    cos, sin = math.cos(angle), math.sin(angle)
    return [(x + cos * px - sin * py, y + sin * px + cos * py) for px, py in points]


class Easel:
    """A frame under way, of the rectangle between (left, bottom) and (right, top)."""

    def __init__(self, left: float, right: float, bottom: float, top: float, scale: float) -> None:
        self.left, self.right, self.bottom, self.top, self.scale = left, right, bottom, top, scale
        h, w = max(1, math.ceil((top - bottom) * scale)), max(1, math.ceil((right - left) * scale))
        self.pixels = np.zeros((h, w, 4), np.uint8)

    def polygon(self, points: Iterable[Point], colour: Colour, opacity: float = 1.0) -> None:
        """Filled; even-odd where it crosses itself."""
        corners = self._fixed(points, 0.0)
        if corners is not None:
            self._draw(
                lambda to, paint: cv2.fillPoly(to, [corners], paint, cv2.LINE_AA, _SHIFT), colour, opacity
            )

    def box(
        self, left: float, right: float, bottom: float, top: float, colour: Colour, opacity: float = 1.0
    ) -> None:
        """A filled rectangle."""
        self.polygon([(left, bottom), (right, bottom), (right, top), (left, top)], colour, opacity)

    def ellipse(
        self,
        x: float,
        y: float,
        across: float,
        up: float,
        colour: Colour,
        angle: float = 0.0,
        opacity: float = 1.0,
    ) -> None:
        """Filled, by its centre and its two radii, turned counter-clockwise by radians."""
        reach = max(across, up)
        if x + reach < self.left or x - reach > self.right or y + reach < self.bottom or y - reach > self.top:
            return
        self.polygon(turned(((across * u, up * v) for u, v in _ROUND), angle, x, y), colour, opacity)

    def line(self, points: Iterable[Point], width: float, colour: Colour, opacity: float = 1.0) -> None:
        """A line of that width with round ends."""
        corners = self._fixed(points, width)
        if corners is None:
            return
        pixels = width * self.scale
        thick = max(1, round(pixels))
        opacity *= min(1.0, pixels)  # thinner than a pixel: fainter
        self._draw(
            lambda to, paint: cv2.polylines(to, [corners], False, paint, thick, cv2.LINE_AA, _SHIFT),
            colour,
            opacity,
        )

    def fade(self, bottom: float, top: float, low: Colour, high: Colour) -> None:
        """Fill a band over the whole width, from one colour at its bottom to another at its top."""
        first, last = self._row(top), self._row(bottom)
        if first >= last:
            return
        y = self.top - (np.arange(first, last) + 0.5) / self.scale
        share = np.clip((y - bottom) / (top - bottom), 0, 1)[:, None]
        band = (1 - share) * np.array(low) + share * np.array(high)
        self.pixels[first:last, :, :3] = np.rint(255 * band)[:, None]
        self.pixels[first:last, :, 3] = 255

    def glow(
        self, x: float, y: float, radius: float, colour: Colour, strength: float, flat: float = 1.0
    ) -> None:
        """Add light around a point, half as bright at `radius`; `flat` times as high as wide."""
        reach = 2.6 * radius
        first, last = self._row(y + reach * flat), self._row(y - reach * flat)
        begin, end = self._column(x - reach), self._column(x + reach)
        if first >= last or begin >= end:
            return
        dx = self.left + (np.arange(begin, end, dtype=np.float32) + 0.5) / self.scale - x
        dy = (self.top - (np.arange(first, last, dtype=np.float32) + 0.5) / self.scale - y) / flat
        fall = strength * np.outer(np.exp2(-((dy / radius) ** 2)), np.exp2(-((dx / radius) ** 2)))
        region = self.pixels[first:last, begin:end, :3]
        paint = np.array(colour, np.float32) * 255
        region[:] = np.minimum(255, region + fall[..., None].astype(np.float32) * paint)

    def mottle(self, random: np.random.Generator, grain: float, strength: float, up: float = 1.0) -> None:
        """Lighten and darken in soft random blots of `grain` metres, `up` times as high as wide.

        The blots belong to the metres, not to the frame: every frame of a place shows the same ones.
        """
        wide, high = 16.0, 8.0  # m; what is farther out repeats
        blots = random.normal(size=(math.ceil(high / (grain * up)), math.ceil(wide / grain)))
        h, w = self.pixels.shape[:2]
        step = 1 / (self.scale * grain)
        to_blots = np.array(
            [
                [step, 0, (self.left + wide / 2) / grain],
                [0, step / up, (high * 0.7 - self.top) / (grain * up)],
            ]
        )
        noise = cv2.warpAffine(
            blots.astype(np.float32),
            to_blots,
            (w, h),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_WRAP,
        )
        self.pixels[..., :3] = np.clip(self.pixels[..., :3] * (1 + strength * noise)[..., None], 0, 255)

    def sprite(self, x: float = 0.0, y: float = 0.0, outline: float = 0.014, relief: float = 0.35) -> Sprite:
        """What was painted, with a pivot at (x, y), shaded as if it bulged and outlined (both 0 for none)."""
        pixels = self.pixels
        if relief:
            pixels = _bulging(pixels, relief, 0.05 * self.scale)
        if outline:
            pixels = _outlined(pixels, max(1, round(outline * self.scale)))
        left, top, w, h = cv2.boundingRect(pixels[..., 3])
        pivot = (x - self.left) * self.scale - left, (self.top - y) * self.scale - top
        cut = pixels[top : top + h, left : left + w]
        return Sprite(cut.astype(np.float32) / 255, self.scale, pivot)

    def _fixed(self, points: Iterable[Point], margin: float) -> Array | None:
        """Points as cv2 takes them; None if none of what they bound, and a margin (m), is in the frame."""
        xs, ys = zip(*points, strict=True)
        if max(xs) < self.left - margin or min(xs) > self.right + margin:
            return None
        if max(ys) < self.bottom - margin or min(ys) > self.top + margin:
            return None
        fine = self.scale * 2**_SHIFT
        half = 2 ** (_SHIFT - 1)  # cv2 takes whole numbers as the centres of pixels
        return np.array(
            [
                (round((x - self.left) * fine) - half, round((self.top - y) * fine) - half)
                for x, y in zip(xs, ys, strict=True)
            ],
            np.int32,
        )

    def _row(self, y: float) -> int:
        return min(max(round((self.top - y) * self.scale), 0), self.pixels.shape[0])

    def _column(self, x: float) -> int:
        return min(max(round((x - self.left) * self.scale), 0), self.pixels.shape[1])

    def _draw(self, draw: Callable[[Array, tuple], object], colour: Colour, opacity: float) -> None:
        r, g, b = (255 * c for c in colour)
        if opacity >= 1:
            draw(self.pixels, (r, g, b, 255))
            return
        cover = np.zeros(self.pixels.shape[:2], np.uint8)
        draw(cover, (255 * opacity,))
        left, top, w, h = cv2.boundingRect(cover)
        inside = slice(top, top + h), slice(left, left + w)
        share = cover[inside][..., None].astype(np.float32) / 255
        under = self.pixels[inside]
        under[:] = np.rint(under + share * (np.array([r, g, b, 255], np.float32) - under))


def _bulging(pixels: Array, strength: float, width: float) -> Array:
    """Lighter where a bulging thing would face the light from the upper left, darker at the lower right."""
    cover = pixels[..., 3].astype(np.float32) / 255
    height = cv2.GaussianBlur(cover, (0, 0), width / 2)
    slope = width * (cv2.Sobel(height, -1, 1, 0, scale=1 / 8) + cv2.Sobel(height, -1, 0, 1, scale=1 / 8))
    shaded = pixels.copy()
    lit = pixels[..., :3] * (1 + strength * np.clip(slope, -1, 1))[..., None]
    shaded[..., :3] = np.clip(lit, 0, pixels[..., 3:])
    return shaded


def _outlined(pixels: Array, width: int) -> Array:
    """A line of ink around everything; the easel must leave room for it."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1, 2 * width + 1))
    edge = cv2.GaussianBlur(cv2.dilate(pixels[..., 3], disc), (0, 0), 0.6).astype(np.float32)
    rest = edge * (1 - pixels[..., 3].astype(np.float32) / 255)
    paint = np.array([*INK, 1.0], np.float32)
    return np.clip(np.rint(pixels + rest[..., None] * paint), 0, 255).astype(np.uint8)
