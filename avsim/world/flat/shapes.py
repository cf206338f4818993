"""The shapes of things: outlines of bodies, struck things, sticks, tables and walls -> parts to draw."""

import math
from functools import lru_cache

import numpy as np

from avsim.world.flat.canvas import Part, Pose, Sprite
from avsim.world.flat.scene import SLIMNESS, Body, Occluder, Target, Wall
from avsim.world.flat.textures import INK, Layer, box, disc, sized, sprite

Array = np.ndarray
TABLE = 0.42  # m, height of what struck things rest on
TIP = 0.045  # m, radius of a stick's head
REACH = 0.62  # m, of a stick, from its head to the hand


# ---------------------------------------------------------------- bodies


@lru_cache(maxsize=256)
def body_sprites(shape: str, material: str, colour: str) -> tuple[Sprite, Sprite | None]:
    """Of a body 1 m wide: what turns with it and, if it is round, the light on it, that doesn't turn."""
    if shape == "ball":
        layer = Layer(disc(0, 0, 0.5), material, colour, bulge=0.5)
    elif shape == "ring":
        layer = Layer(disc(0, 0, 0.5), material, colour, bulge=0.09, hole=disc(0, 0, 0.32))
    else:
        high = SLIMNESS[shape] / 2
        layer = Layer(box(-0.5, 0.5, -high, high), material, colour, bulge=0.10 * (1 if high > 0.3 else 0.6))
        return sprite([layer]), None
    return sprite([layer], shaded=False), sprite([layer], painted=False, outline=0)


def body_parts(body: Body, path: Array, owner: int) -> tuple[Part, ...]:
    """A body along its path, (3, T) of x, y and angle, with its shadow on the floor."""
    x, y, angle = path
    turning, light = body_sprites(body.shape, body.material, body.colour)
    rise = np.maximum(y - body.reach, 0.0)
    wide = body.size * (0.95 + 0.25 * rise)
    shadow = Pose(x + 0.08 * rise, -0.02, 0.0, wide, wide, 0.62 / (1 + 1.6 * rise))
    parts = [Part(_shadow(), shadow), Part(sized(turning, body.size), Pose(x, y, angle), owner)]
    if light is not None:
        parts.append(Part(sized(light, body.size), Pose(x, y), owner))
    return tuple(parts)


@lru_cache(maxsize=1)
def _shadow() -> Sprite:
    """A soft flat ellipse, 1 m wide."""
    y, x = np.mgrid[-1:1:32j, -1:1:96j].astype(np.float32)
    pixels = np.zeros((32, 96, 4), np.float32)
    pixels[..., 3] = np.clip(1.25 * np.exp(-2.2 * (x**2 + y**2)) - 0.15, 0, 1) * (x**2 + y**2 < 1)
    return Sprite(pixels, 80.0, (48.0, 16.0))


# ---------------------------------------------------------------- struck things

# Where a stick from the right strikes each, in widths from the middle of its foot, and the way it comes from.
STRUCK_AT = {
    "wooden block": ((0.0, 0.44), (0.0, 1.0)),
    "metal bar": ((0.0, 0.34), (0.0, 1.0)),
    "glass bottle": ((0.19, 0.76), (0.8, 0.6)),
    "ceramic bowl": ((0.47, 0.48), (0.6, 0.8)),
    "drum skin": ((0.05, 0.66), (0.0, 1.0)),
    "bell": ((0.30, 0.28), (0.8, 0.6)),
    "rubber tile": ((0.0, 0.20), (0.0, 1.0)),
}


def _target_layers(kind: str, colour: str) -> list[Layer]:
    """A struck thing of width 1, standing on y = 0."""
    if kind == "wooden block":
        return [
            Layer(box(-0.5, 0.5, 0.0, 0.44), "wood", colour, 0.05),
            Layer(box(-0.38, 0.38, 0.13, 0.19), "rubber", "black", 0.02),  # its slit
        ]
    if kind == "metal bar":
        feet = [
            Layer(((s - 0.09, 0), (s + 0.09, 0), (s + 0.05, 0.14), (s - 0.05, 0.14)), "wood", "chestnut")
            for s in (-0.3, 0.3)
        ]
        screws = [Layer(disc(s, 0.23, 0.035), "rubber", "black", 0.02) for s in (-0.3, 0.3)]
        return [*feet, Layer(box(-0.5, 0.5, 0.12, 0.34), "metal", colour, 0.08), *screws]
    if kind == "glass bottle":
        half = [
            (0.24, 0.0),
            (0.25, 0.06),
            (0.25, 0.62),
            (0.21, 0.75),
            (0.11, 0.87),
            (0.085, 0.95),
            (0.085, 1.16),
            (0.11, 1.17),
            (0.11, 1.25),
        ]
        outline = (*half, *((-x, y) for x, y in reversed(half)))
        return [
            Layer(outline, "glass", colour, 0.24),
            Layer(box(-0.19, 0.19, 0.20, 0.45), "ceramic", "white", 0.02),  # its label
        ]
    if kind == "ceramic bowl":
        turn = np.linspace(math.pi, 2 * math.pi, 24)
        bowl = tuple((float(0.5 * np.cos(a)), float(0.48 + 0.42 * np.sin(a))) for a in turn)
        return [
            Layer(box(-0.17, 0.17, 0.0, 0.09), "ceramic", colour),
            Layer(bowl, "ceramic", colour, 0.25),
            Layer(disc(0, 0.48, 0.5, 0.06), "ceramic", colour, 0.03),
        ]
    if kind == "drum skin":
        legs = [
            Layer(((s * 0.36, 0.2), (s * 0.46, 0), (s * 0.52, 0), (s * 0.44, 0.25)), "metal", "silver")
            for s in (-1, 1)
        ]
        return [
            *legs,
            Layer(box(-0.48, 0.48, 0.06, 0.62), "rubber", "red", 0.30),
            Layer(box(-0.5, 0.5, 0.05, 0.12), "metal", "silver", 0.04),
            Layer(disc(0, 0.62, 0.5, 0.13), "metal", "silver", 0.04),
            Layer(disc(0, 0.63, 0.45, 0.10), "skin", colour, 0.02),
        ]
    if kind == "bell":
        half = [
            (0.34, 0.24),
            (0.33, 0.30),
            (0.27, 0.40),
            (0.23, 0.55),
            (0.20, 0.70),
            (0.13, 0.80),
            (0.05, 0.83),
        ]
        outline = (*half, *((-x, y) for x, y in reversed(half)))
        post = [Layer(box(s * 0.46 - 0.035, s * 0.46 + 0.035, 0.0, 1.0), "wood", "chestnut") for s in (-1, 1)]
        return [
            *post,
            Layer(box(-0.52, 0.52, 0.94, 1.02), "wood", "chestnut"),
            Layer(box(-0.03, 0.03, 0.80, 0.96), "rubber", "black"),
            Layer(disc(0, 0.22, 0.07), "rubber", "black"),
            Layer(outline, "metal", colour, 0.28),
            Layer(((-0.37, 0.21), (0.37, 0.21), (0.34, 0.28), (-0.34, 0.28)), "metal", colour, 0.05),
        ]
    return [Layer(box(-0.5, 0.5, 0.0, 0.20), "rubber", colour, 0.03)]


@lru_cache(maxsize=128)
def _target_sprite(kind: str, colour: str) -> Sprite:
    return sprite(_target_layers(kind, colour))


def strike_point(target: Target, side: int) -> tuple[Array, Array]:
    """Where a stick meets it, metres, and the unit vector towards where the stick comes from; (2,) each.

    Args:
        target: what is struck.
        side: 1 for a stick held to the right of it, -1 to the left.
    """
    (x, y), (across, up) = STRUCK_AT[target.kind]
    point = target.x + side * x * target.size, TABLE + y * target.size
    return np.array(point), np.array((side * across, up))


def target_part(target: Target, owner: int) -> Part:
    """A struck thing at rest on the table."""
    return Part(sized(_target_sprite(target.kind, target.colour), target.size), Pose(target.x, TABLE), owner)


def table_parts(left: float, right: float) -> tuple[Part, ...]:
    """A table from `left` to `right`, metres, with its shadow."""
    wide = right - left
    shadow = Part(_shadow(), Pose((left + right) / 2, -0.02, 0.0, 1.1 * wide, 1.0, 0.5))
    legs = [Part(_leg(), Pose(x, TABLE - 0.03)) for x in (left + 0.08, right - 0.08)]
    return shadow, *legs, Part(_board(), Pose((left + right) / 2, TABLE, 0.0, wide, 1.0))


@lru_cache(maxsize=1)
def _board() -> Sprite:
    return sprite([Layer(box(-0.5, 0.5, -0.07, 0.0), "lacquer", bulge=0.02)], outline=0.012)


@lru_cache(maxsize=1)
def _leg() -> Sprite:
    return sprite([Layer(box(-0.03, 0.03, -TABLE + 0.03, 0.0), "lacquer", bulge=0.03)], outline=0.012)


# ---------------------------------------------------------------- sticks, walls, pillars


@lru_cache(maxsize=8)
def stick_sprite(tip: str) -> Sprite:
    """A stick that points to the right from its head, which is at the origin."""
    head = {
        "wood": ("wood", "tan"),
        "rubber": ("rubber", "red"),
        "metal": ("metal", "silver"),
        "felt": ("felt", ""),
    }
    return sprite(
        [
            Layer(box(0.0, REACH, -0.015, 0.015), "wood", "tan", 0.015),
            Layer(disc(REACH, 0.0, 0.075, 0.06), "skin", "tan", 0.05),  # the hand
            Layer(disc(0.0, 0.0, TIP), *head[tip], 0.045),
        ],
        outline=0.012,
    )


def wall_part(wall: Wall) -> Part:
    """A wall, seen from its edge."""
    side = math.copysign(1.0, wall.x)
    return Part(_wall(wall.material), Pose(wall.x, 0.0, 0.0, side, 1.0))


@lru_cache(maxsize=8)
def _wall(material: str) -> Sprite:
    colour = {"wood": "brown", "metal": "silver"}.get(material, "")
    return sprite([Layer(box(0.0, 0.6, -0.3, 4.0), material, colour, 0.05)], outline=0.015)


def occluder_part(occluder: Occluder) -> Part:
    """A pillar before everything."""
    return Part(_pillar(), Pose(occluder.x, -0.3, 0.0, occluder.width, occluder.height + 0.3))


def mat_part(material: str) -> Part:
    """The floor that bodies fall on, from edge to edge of any frame."""
    return Part(_mat(material), Pose(0.0, 0.0))


MAT = (-4.0, 4.0, -0.8, 0.10)  # m: left, right, near and far edge


@lru_cache(maxsize=8)
def _mat(material: str) -> Sprite:
    left, right, near, far = MAT
    scale = 96.0
    width, height = round((right - left) * scale), round((far - near) * scale)
    x = left + (np.arange(width, dtype=np.float32) + 0.5)[None] / scale
    y = far - (np.arange(height, dtype=np.float32) + 0.5)[:, None] / scale
    noise = np.random.default_rng(len(material)).random((height, width), np.float32)
    depth = (far - y) / (far - near)  # 0 at the far edge
    if material == "stone":  # slabs
        joint = np.abs((x + 0.24 * ((y < -0.06).astype(np.float32))) % 0.48 - 0.24) > 0.229
        tone = (0.62 + 0.10 * noise) * np.where(joint | (np.abs(y + 0.06) < 0.012), 0.55, 1.0)
        colour = tone[..., None] * np.array((0.98, 0.97, 0.95), np.float32)
    elif material == "wood":  # boards that run to the back
        board = np.floor(x / 0.16)
        shade = 0.82 + 0.22 * np.modf(np.abs(np.sin(board * 12.9898) * 437.5))[0] + 0 * y
        joint = np.abs(x % 0.16 - 0.08) > 0.072
        tone = shade * np.where(joint, 0.5, 1.0) * (0.95 + 0.05 * noise)
        colour = tone[..., None] * np.array((0.80, 0.55, 0.30), np.float32)
    elif material == "metal":  # plates with rivets
        joint = np.abs(x % 0.8 - 0.4) > 0.389
        rivet = np.hypot((x % 0.1) - 0.05, (y + 0.03) * 0.8) < 0.014
        shine = 0.62 + 0.30 * np.exp(-((((x % 0.8) - 0.4 - 0.5 * y) / 0.10) ** 2))
        tone = np.where(joint | rivet, 0.35, shine)
        colour = tone[..., None] * np.array((0.90, 0.97, 1.05), np.float32)
    elif material == "carpet":  # pile with a border
        border = (np.abs(y - 0.045) < 0.02)[..., None] & np.ones_like(x, bool)[..., None]
        tone = 0.72 + 0.28 * noise
        red, pale = np.array((0.55, 0.10, 0.16), np.float32), np.array((0.88, 0.74, 0.45), np.float32)
        colour = tone[..., None] * np.where(border, pale, red)
    else:  # blades
        blades = np.repeat(np.repeat(noise[: height // 6 + 1, : width // 2 + 1], 6, 0), 2, 1)[:height, :width]
        tone = 0.65 + 0.50 * blades
        colour = tone[..., None] * np.array((0.34, 0.66, 0.18), np.float32)
    cover = np.ones((height, width), np.float32)
    if material == "grass":  # an edge of tips
        cover = (y < far - 0.05 * blades[:1]).astype(np.float32)
    colour = np.clip(colour * (0.86 + 0.14 * np.sqrt(depth))[..., None], 0, 1) * cover[..., None]
    pixels = np.concatenate([colour, cover[..., None]], -1).astype(np.float32)
    return Sprite(pixels, scale, (-left * scale, far * scale))


@lru_cache(maxsize=1)
def _pillar() -> Sprite:
    """1 m wide and 1 m high, on y = 0."""
    across = np.linspace(-1, 1, 128, dtype=np.float32)
    tone = 0.30 + 0.28 * np.sqrt(1 - 0.98 * across**2) - 0.10 * across
    pixels = np.ones((128, 128, 4), np.float32)
    pixels[..., :3] = (tone[:, None] * np.array([0.80, 0.84, 0.90], np.float32))[None]
    pixels[:, :3, :3] = pixels[:, -3:, :3] = INK
    return Sprite(pixels, 128.0, (64.0, 128.0))
