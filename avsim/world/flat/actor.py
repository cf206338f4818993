"""A thing after its physics and performance are computed: its sprites and its dry sounds."""

from dataclasses import dataclass

import numpy as np

from avsim.world.flat.canvas import Part
from avsim.world.sound.phrases import Note

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Sound:
    """One dry sound: as recorded 1 m from its source, without a room."""

    seconds: float  # when its first sample leaves the source
    wave: Array  # (n,) float64, mono
    x: float  # m, right of the middle of the stage: where it is made
    y: float  # m, up from the floor


@dataclass(frozen=True)
class Contact:
    """Two things touch and sound."""

    seconds: float  # when they touch
    arrival: float  # when it reaches the listener, s
    things: tuple[str, str]  # the first of them sounds; the other: a thing, "floor", "wall", "stick"
    materials: tuple[str, str]
    impulse: float  # N s
    speed: float  # m/s, at which they closed in, along the normal
    x: float  # m
    y: float  # m


@dataclass(frozen=True, eq=False)
class Actor:
    """One thing of a scene, ready to be rendered.

    Its parts' owner is the thing's number in the scene, but for what isn't the thing itself (a shadow, the
    stick that strikes it), whose owner is -1.
    """

    parts: tuple[Part, ...]  # back to front
    sounds: tuple[Sound, ...] = ()
    contacts: tuple[Contact, ...] = ()
    notes: tuple[Note, ...] = ()
