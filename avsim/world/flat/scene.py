"""A declared scene: which things there are, what they do and when, in metres and seconds. Nothing is rendered
yet.

x is to the right of the middle of the stage, y is up from the floor. A scene is frozen, checked when it is
made, and goes to plain data and back (`plain`, `of`), so that it can be written by hand:

    Scene(place="cave", targets=(Target("glass bottle"),), stick=Stick("metal", (Hit(0.8, speed=4.0),)))
"""

import dataclasses
import math
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from avsim.errors import InputError
from avsim.seeds import derive
from avsim.world.checks import LATEST, one_of, within
from avsim.world.flat.camera import Camera
from avsim.world.materials import FLOORS, MATERIALS, TIPS
from avsim.world.plain import typed
from avsim.world.sound.phrases import BANKS, INSTRUMENTS, RANGES, Note
from avsim.world.sound.rooms import PLACES

SHAPES = ("ball", "cube", "bar", "ring")
TARGETS = {  # what can be struck, and what it is made of
    "wooden block": "wood",
    "metal bar": "metal",
    "glass bottle": "glass",
    "ceramic bowl": "ceramic",
    "drum skin": "skin",
    "bell": "metal",
    "rubber tile": "rubber",
}
COLOURS = {  # of each material, so that it is known by its look
    "metal": ("gold", "copper", "silver"),
    "glass": ("green", "blue", "amber"),
    "ceramic": ("white", "turquoise", "pink"),
    "wood": ("brown", "tan", "chestnut"),
    "rubber": ("red", "black", "yellow", "purple"),
    "skin": ("white",),
}
SLIMNESS = {"ball": 1.0, "cube": 1.0, "bar": 0.34, "ring": 1.0}  # height over width
MOST = 4  # things that perform
FASTEST = 8.0  # m/s


def _coloured(material: str, colour: str) -> str:
    """The colour, or the first of its material's."""
    known = COLOURS[material]
    one_of(material, "colour", colour or known[0], known)
    return colour or known[0]


@dataclass(frozen=True)
class Body:
    """Something that hangs until it is let go, then falls, bounces and rolls."""

    shape: str = "ball"
    material: str = "metal"
    colour: str = ""  # "": the first of its material's
    size: float = 0.3  # m, its width
    x: float = 0.0  # m, its middle
    height: float = 1.0  # m, from the floor to its lowest point
    release: float = 0.2  # s
    drift: float = 0.0  # m/s to the right, from its release on
    angle: float = 0.0  # rad, counter-clockwise
    spin: float = 0.0  # rad/s, from its release on

    def __post_init__(self) -> None:
        one_of("body", "shape", self.shape, SHAPES)
        one_of("body", "material", self.material, MATERIALS)
        object.__setattr__(self, "colour", _coloured(self.material, self.colour))
        within("body", "size", self.size, 0.05, 1.0, "m")
        within("body", "x", self.x, -8.0, 8.0, "m")
        within("body", "height", self.height, 0.0, 4.0, "m")
        within("body", "release", self.release, 0.0, math.inf, "s")
        within("body", "drift", self.drift, -5.0, 5.0, "m/s")
        within("body", "angle", self.angle, -100.0, 100.0, "rad")
        within("body", "spin", self.spin, -30.0, 30.0, "rad/s")

    @property
    def thickness(self) -> float:
        """How high it is when it isn't turned, m."""
        return self.size * SLIMNESS[self.shape]

    @property
    def middle(self) -> float:
        """Y of its middle at first, m."""
        if self.shape in ("ball", "ring"):
            return self.height + self.size / 2
        half = self.size * abs(math.sin(self.angle)) + self.thickness * abs(math.cos(self.angle))
        return self.height + half / 2

    @property
    def reach(self) -> float:
        """Radius of the circle around it, m."""
        round_ = self.shape in ("ball", "ring")
        return self.size / 2 if round_ else math.hypot(self.size, self.thickness) / 2


@dataclass(frozen=True)
class Target:
    """Something at rest that a stick may strike."""

    kind: str = "bell"
    colour: str = ""  # "": the first of its material's
    size: float = 0.4  # m, its width
    x: float = 0.0  # m, its middle

    def __post_init__(self) -> None:
        one_of("target", "kind", self.kind, tuple(TARGETS))
        object.__setattr__(self, "colour", _coloured(self.material, self.colour))
        within("target", "size", self.size, 0.1, 1.0, "m")
        within("target", "x", self.x, -8.0, 8.0, "m")

    @property
    def material(self) -> str:
        """What it is made of."""
        return TARGETS[self.kind]


@dataclass(frozen=True)
class Hit:
    """A stroke of the stick."""

    seconds: float
    speed: float = 2.0  # m/s, of the tip when it arrives
    target: int = 0  # the number of the target
    miss: bool = False  # whether it stops short of it, without a sound

    def __post_init__(self) -> None:
        within("hit", "seconds", self.seconds, 0.0, LATEST, "s")
        within("hit", "speed", self.speed, 0.1, FASTEST, "m/s")


@dataclass(frozen=True)
class Stick:
    """What strikes."""

    tip: str = "wood"
    hits: tuple[Hit, ...] = ()

    def __post_init__(self) -> None:
        one_of("stick", "tip", self.tip, TIPS)
        times = [hit.seconds for hit in self.hits]
        if any(b - a < 0.15 for a, b in zip(times, times[1:], strict=False)):
            raise InputError(f"stick: it strikes at {times} s; expected times in order, 0.15 s apart or more")


@dataclass(frozen=True)
class Player:
    """Someone who plays an instrument."""

    instrument: str
    notes: tuple[Note, ...] = ()
    x: float = 0.0  # m, the middle of both
    size: float = 1.0  # against the usual
    bank: str = "fluidr3"  # whose notes are heard

    def __post_init__(self) -> None:
        one_of("player", "instrument", self.instrument, INSTRUMENTS)
        within("player", "x", self.x, -8.0, 8.0, "m")
        within("player", "size", self.size, 0.3, 1.5, "times the usual")
        one_of("player", "bank", self.bank, BANKS)
        low, high = RANGES[self.instrument]
        for note in self.notes:
            within(self.instrument, "pitch", note.pitch, low, high)
        times = [note.seconds for note in self.notes]
        if times != sorted(times):
            raise InputError(f"player: notes begin at {times} s; expected them in order")


@dataclass(frozen=True)
class Wall:
    """A wall at one side, seen from its edge, that bodies bounce off."""

    x: float  # m, its face; it reaches from there away from the middle
    material: str = "stone"

    def __post_init__(self) -> None:
        one_of("wall", "material", self.material, ("stone", "wood", "metal"))
        within("wall", "x", self.x, -20.0, 20.0, "m")
        if abs(self.x) < 0.2:
            raise InputError(f"wall: x is {self.x} m; expected 0.2 m from the middle or farther")


@dataclass(frozen=True)
class Occluder:
    """A pillar that stands before everything."""

    x: float
    width: float = 0.25  # m
    height: float = 2.5  # m

    def __post_init__(self) -> None:
        within("occluder", "x", self.x, -20.0, 20.0, "m")
        within("occluder", "width", self.width, 0.02, 2.0, "m")
        within("occluder", "height", self.height, 0.1, 4.0, "m")


@dataclass(frozen=True)
class Scene:
    """All parameters of a clip, before it is rendered.

    Raises:
        InputError: nothing or too much in it, bodies that overlap, a stick without a target, an unknown
            place, material, shape or colour, a number out of range.
    """

    place: str = "dry studio"
    floor: str = "stone"
    bodies: tuple[Body, ...] = ()
    targets: tuple[Target, ...] = ()
    stick: Stick = Stick()
    players: tuple[Player, ...] = ()
    walls: tuple[Wall, ...] = ()
    occluders: tuple[Occluder, ...] = ()
    camera: Camera = Camera()
    ambience: float = 0.0  # dB, how much louder than usual the place is; -inf: not at all
    seed: int = 0  # of what else varies: a backdrop's details, the birds in the park, a caption's words

    def __post_init__(self) -> None:
        one_of("scene", "place", self.place, PLACES)
        one_of("scene", "floor", self.floor, FLOORS)
        if len(self.things) > 2 * MOST:
            raise InputError(f"scene: {len(self.things)} things; expected at most {2 * MOST}")
        if math.isnan(self.ambience) or self.ambience > 20.0:
            raise InputError(f"scene: ambience is {self.ambience} dB; expected 20 or less")
        for number, hit in enumerate(self.stick.hits):
            if not 0 <= hit.target < len(self.targets):
                raise InputError(
                    f"scene: hit {number} is on target {hit.target}; there are {len(self.targets)} targets"
                )
        for one, other in combinations(self.bodies, 2):
            gap = math.hypot(one.x - other.x, one.middle - other.middle) - one.reach - other.reach
            if gap < 0:
                raise InputError(
                    f"scene: the {one.material} {one.shape} at x = {one.x:g} m and the {other.material} "
                    f"{other.shape} at x = {other.x:g} m overlap by {-gap:.2f} m"
                )
        for body in self.bodies:
            for wall in self.walls:
                if (wall.x - body.x) * math.copysign(1, wall.x) < body.reach:
                    raise InputError(
                        f"scene: the {body.material} {body.shape} at x = {body.x:g} m is in the wall "
                        f"at {wall.x:g} m"
                    )

    @property
    def things(self) -> tuple[Body | Target | Player, ...]:
        """All that performs, seen or not: bodies, then targets, then players. Their order numbers them."""
        return (*self.bodies, *self.targets, *self.players)

    def random(self, *what: str | int) -> np.random.Generator:
        """Random numbers for one of the things that its seed varies."""
        return np.random.default_rng(derive(self.seed, *what))

    def plain(self) -> dict[str, Any]:
        """As dicts, lists, strings and numbers."""
        return dataclasses.asdict(self)

    @classmethod
    def of(cls, plain: dict[str, Any]) -> "Scene":
        """From what `plain` gives; what isn't there has its default.

        Raises:
            InputError: an unknown field, a value of the wrong type, a scene that can't be.
        """
        return typed(cls, plain, "scene")
