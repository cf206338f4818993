"""What the places share: a floor in perspective, things that come again and again along a wall, choices."""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from avsim.world.flat.paint import Colour, Easel, mix, rgb

Array = np.ndarray
WIDE = 6.0  # m to either side that places are furnished
FAR = 0.3  # m up in the frame, where the floor meets the wall
VANISHING = 1.1  # m up in the frame, the height of the eyes


def chosen(random: np.random.Generator, codes: Sequence[str], spread: float = 0.05) -> Colour:
    """One of the colours, a little changed."""
    base = rgb(codes[int(random.integers(len(codes)))])
    r, g, b = (
        min(max(c + d, 0.02), 0.98)
        for c, d in zip(base, random.uniform(-spread, spread, 3).tolist(), strict=True)
    )
    return r, g, b


def along(random: np.random.Generator, step: float, jitter: float = 0.0) -> Iterator[float]:
    """Places along a wall about `step` metres apart, one of them near its middle."""
    count = math.ceil(WIDE / step)
    for k in range(-count, count + 1):
        yield k * step + random.uniform(-jitter, jitter)


def floor(easel: Easel, paint: Callable[[Array, Array], Array], top: float = FAR) -> None:
    """Paint a level floor from `top` downwards.

    `paint` gives sRGB (h, w, 3) in [0, 1] at metres across and metres away on the floor, (h, w) each; (0, 0)
    is where things stand in the middle.
    """
    h, w = easel.pixels.shape[:2]
    first = min(max(round((easel.top - top) * easel.scale), 0), h)
    if first == h:
        return
    y = easel.top - (np.arange(first, h) + 0.5) / easel.scale
    x = easel.left + (np.arange(w) + 0.5) / easel.scale
    depth = (VANISHING / (VANISHING - y))[:, None]  # 1 where things stand
    easel.pixels[first:, :, :3] = np.clip(255 * paint(x * depth, 3.0 * (depth - 1) + 0 * x), 0, 255)


def boards(colour: Colour, wide: float, contrast: float) -> Callable[[Array, Array], Array]:
    """Planks that run away from the eye."""

    def paint(across: Array, away: Array) -> Array:
        plank = np.floor(across / wide)
        tone = 1 + contrast * np.sin(plank * 12.9898) + 0.5 * contrast * np.sin(7.3 * plank + 2 * away)
        seam = np.abs(across / wide - plank - 0.5) > 0.46
        return np.array(colour) * (tone * (1 - 0.35 * seam))[..., None]

    return paint


def tiles(one: Colour, other: Colour, wide: float) -> Callable[[Array, Array], Array]:
    """Squares of two colours, like a chess board's."""

    def paint(across: Array, away: Array) -> Array:
        odd = (np.floor(across / wide) + np.floor(away / wide)) % 2
        return np.array(one) + odd[..., None] * (np.array(other) - np.array(one))

    return paint


def cloth(colour: Colour, contrast: float = 0.06) -> Callable[[Array, Array], Array]:
    """One colour, darker towards the wall."""

    def paint(across: Array, away: Array) -> Array:
        return np.array(mix(colour, (0.0, 0.0, 0.0), 0.1)) * (1.1 - contrast * away)[..., None]

    return paint
