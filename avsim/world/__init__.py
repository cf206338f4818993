"""Synthetic clips with exact ground truth: scenes of things that fall, are struck or are played.

A `Scene` says what is there and what it does (`scene.py`; drawn at random in `chance.py`). Its bodies fall
(`drop.py`), its targets are struck (`strike.py`), its players play (`ensemble.py`): each becomes an `Actor`,
parts to draw and dry sounds to hear. `stage.py` draws them before their place and lets them be heard in its
room; `dataset.py` counts clips.
"""

from avsim.world.flat.actor import Contact
from avsim.world.flat.config import DIFFICULTIES, SPLITS, WorldConfig, world_config
from avsim.world.flat.dataset import WorldDataset
from avsim.world.flat.render import render
from avsim.world.flat.scene import Scene
from avsim.world.truth import AMBIENCE, Thing, Truth

__all__ = [
    "AMBIENCE",
    "DIFFICULTIES",
    "SPLITS",
    "Contact",
    "Scene",
    "Thing",
    "Truth",
    "WorldConfig",
    "WorldDataset",
    "world_config",
    "render",
]
