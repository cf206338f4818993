"""The detectors' vocabulary: index 0 is the background, words start at 1."""

from avsim.world.flat.scene import COLOURS as COLOURS_OF
from avsim.world.flat.scene import SHAPES, TARGETS
from avsim.world.materials import MATERIALS as BODIES
from avsim.world.sound.phrases import INSTRUMENTS
from avsim.world.sound.rooms import PLACES

NOTHING = ""
KINDS = (NOTHING, *SHAPES, *TARGETS, *INSTRUMENTS)
MATERIALS = (NOTHING, *BODIES, "skin")  # nothing: of players
COLOURS = (NOTHING, *dict.fromkeys(colour for colours in COLOURS_OF.values() for colour in colours))

__all__ = ["COLOURS", "INSTRUMENTS", "KINDS", "MATERIALS", "NOTHING", "PLACES"]
