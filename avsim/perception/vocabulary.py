"""The words that detectors know: number 0 is nothing, the others count from 1."""

from avsim.world.materials import MATERIALS as BODIES
from avsim.world.phrases import INSTRUMENTS
from avsim.world.rooms import PLACES
from avsim.world.scene import COLOURS as COLOURS_OF
from avsim.world.scene import SHAPES, TARGETS

NOTHING = ""
KINDS = (NOTHING, *SHAPES, *TARGETS, *INSTRUMENTS)
MATERIALS = (NOTHING, *BODIES, "skin")  # nothing: of players
COLOURS = (NOTHING, *dict.fromkeys(colour for colours in COLOURS_OF.values() for colour in colours))

__all__ = ["COLOURS", "INSTRUMENTS", "KINDS", "MATERIALS", "NOTHING", "PLACES"]
