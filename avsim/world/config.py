"""What a world holds: one typed config, and levels of difficulty with names."""

from dataclasses import dataclass, field

from avsim.clip import ClipSpec
from avsim.errors import InputError
from avsim.world.materials import MATERIALS

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class WorldConfig:
    """Which clips a world makes.

    Raises:
        InputError: no or too many things, an unknown material, a probability outside [0, 1], an ambience
            above -20 dB, more than two channels, a size or rate out of range.
    """

    things: tuple[int, int] = (1, 2)  # fewest and most that are seen
    materials: tuple[str, ...] = tuple(MATERIALS)  # that they are made of
    off_screen: float = 0.0  # how often one more ball falls beside the picture: heard, not seen
    ambience: float = -60.0  # dB re full scale (rms) of the room's own noise
    spec: ClipSpec = field(default_factory=ClipSpec)

    def __post_init__(self) -> None:
        low, high = self.things
        if not 1 <= low <= high <= 2:
            raise InputError(f"world: things are {low} to {high}; expected 1 <= fewest <= most <= 2")
        if not self.materials:
            raise InputError("world: materials is empty; expected one or more of " + ", ".join(MATERIALS))
        for material in self.materials:
            if material not in MATERIALS:
                raise InputError(f"world: unknown material {material!r}; there are {', '.join(MATERIALS)}")
        if not 0.0 <= self.off_screen <= 1.0:
            raise InputError(f"world: off_screen is {self.off_screen}; expected a probability, 0 to 1")
        if not self.ambience <= -20.0:
            raise InputError(f"world: ambience is {self.ambience} dB; expected -20 dB or less")
        _within("channels", self.spec.channels, 1, 2)
        _within("height", self.spec.height, 32, 1024)
        _within("width / height", self.spec.width / self.spec.height, 0.5, 2.0)
        _within("frames_per_second", self.spec.frames_per_second, 1, 120)
        _within("sample_rate", self.spec.sample_rate, 8000, 192000)
        _within("seconds", self.spec.seconds, 0.05, 60)


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise InputError(f"world: the clip's {name} is {value:g}; expected {low:g} to {high:g}")


LEVELS = {"easy": WorldConfig()}


def configured(config: str | WorldConfig) -> WorldConfig:
    """A config as it is, or the level of that name.

    Raises:
        InputError: an unknown level.
    """
    if isinstance(config, WorldConfig):
        return config
    if config not in LEVELS:
        raise InputError(
            f"world: unknown level {config!r}; there are {', '.join(LEVELS)}, or give a WorldConfig"
        )
    return LEVELS[config]
