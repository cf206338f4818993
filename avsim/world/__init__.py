"""Clips with the truth in them.

A first piece of a world: balls that fall, bounce and sound when they hit the floor. Scene (`scene.py`) ->
picture (`draw.py`), sound (`sound.py`) and caption (`words.py`) -> clip and truth (`dataset.py`).
"""

from avsim.world.config import LEVELS, SPLITS, WorldConfig, configured
from avsim.world.dataset import WorldDataset
from avsim.world.truth import AMBIENCE, Contact, Thing, Truth

__all__ = [
    "AMBIENCE",
    "LEVELS",
    "SPLITS",
    "Contact",
    "Thing",
    "Truth",
    "WorldConfig",
    "WorldDataset",
    "configured",
]
