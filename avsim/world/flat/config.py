"""What a world holds: one typed config, and difficulties with names."""

import math
from dataclasses import dataclass, field

from avsim.clip import ClipSpec
from avsim.errors import InputError
from avsim.world.checks import some_of, within
from avsim.world.flat.scene import MOST, SHAPES, TARGETS
from avsim.world.materials import MATERIALS
from avsim.world.sound.phrases import INSTRUMENTS
from avsim.world.sound.rooms import PLACES

SPLITS = ("train", "validation", "test", "held out")
KINDS = ("drop", "strike", "ensemble")  # of scenes


@dataclass(frozen=True)
class WorldConfig:
    """Which clips a world makes; by default those of the difficulty "easy".

    Raises:
        InputError: no or too many things, an unknown scene, material, shape, target, instrument or place, a
            probability outside [0, 1], more than two channels, a size or rate out of range.
    """

    scenes: tuple[str, ...] = ("drop", "strike")
    things: tuple[int, int] = (1, 1)  # fewest and most that perform
    materials: tuple[str, ...] = MATERIALS  # that bodies are made of
    shapes: tuple[str, ...] = SHAPES  # of bodies
    targets: tuple[str, ...] = tuple(TARGETS)
    instruments: tuple[str, ...] = INSTRUMENTS
    places: tuple[str, ...] = ("dry studio",)
    ambience: float = 0.0  # dB, how much louder than usual the places are; -inf: not at all
    silent: float = 0.0  # how often a thing that is seen makes no audio
    off_screen: float = 0.0  # chance of one more thing off screen
    moving: float = 0.0  # how often the camera pans or zooms in a shot
    cuts: int = 0  # at most
    occluders: float = 0.0  # how often a pillar stands before the things
    walls: float = 0.0  # how often bodies fall between walls
    spec: ClipSpec = field(default_factory=ClipSpec)

    def __post_init__(self) -> None:
        low, high = self.things
        if not 1 <= low <= high <= MOST:
            raise InputError(f"world: things are {low} to {high}; expected 1 <= fewest <= most <= {MOST}")
        some_of("world", "scenes", self.scenes, KINDS)
        some_of("world", "materials", self.materials, MATERIALS)
        some_of("world", "shapes", self.shapes, SHAPES)
        some_of("world", "targets", self.targets, tuple(TARGETS))
        some_of("world", "instruments", self.instruments, INSTRUMENTS)
        some_of("world", "places", self.places, PLACES)
        for name in ("silent", "off_screen", "moving", "occluders", "walls"):
            within("world", name, getattr(self, name), 0.0, 1.0)
        within("world", "ambience", self.ambience, -math.inf, 20.0, "dB")
        within("world", "cuts", self.cuts, 0, 2)
        within("world", "the clip's channels", self.spec.channels, 1, 2)
        within("world", "the clip's height", self.spec.height, 32, 512)
        within("world", "the clip's width / height", self.spec.width / self.spec.height, 0.5, 2.0)
        within("world", "the clip's frames_per_second", self.spec.frames_per_second, 8, 30)
        within("world", "the clip's sample_rate", self.spec.sample_rate, 8000, 48000)
        within("world", "the clip's seconds", self.spec.seconds, 0.05, 60)


DIFFICULTIES = {
    "easy": WorldConfig(),
    "medium": WorldConfig(
        scenes=KINDS,
        things=(1, 2),
        places=("restaurant", "national park", "concert hall", "dry studio"),
        silent=0.2,
    ),
    "full": WorldConfig(
        scenes=KINDS,
        things=(1, MOST),
        places=PLACES,
        silent=0.25,
        off_screen=0.2,
        moving=0.4,
        cuts=2,
        occluders=0.2,
        walls=0.3,
    ),
}


def world_config(config: str | WorldConfig) -> WorldConfig:
    """A config as it is, or the difficulty of that name.

    Raises:
        InputError: an unknown difficulty.
    """
    if isinstance(config, WorldConfig):
        return config
    if config not in DIFFICULTIES:
        raise InputError(
            f"world: unknown difficulty {config!r}; one of {', '.join(DIFFICULTIES)}, or a WorldConfig"
        )
    return DIFFICULTIES[config]
