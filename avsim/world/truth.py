"""The truth of a clip: what is there, what it did and when, and which part of the sound is its own."""

from dataclasses import dataclass

from torch import Tensor

AMBIENCE = "ambience"


@dataclass(frozen=True)
class Thing:
    """One thing that is seen."""

    name: str  # unique within the clip, such as "large red metal ball"
    kind: str  # "ball"
    material: str
    colour: str
    size: str  # "small" | "medium" | "large"
    radius: float  # m
    side: str  # "left" | "middle" | "right": where it is at first


@dataclass(frozen=True)
class Contact:
    """One impact of a thing on the floor."""

    thing: str  # its name; "off screen" where it is not seen
    seconds: float  # when they touch
    arrival: float  # when that is heard, seconds: later by the way of the sound to the camera
    speed: float  # m/s
    x: float  # pixels, where they touch; outside the picture for what is off screen
    y: float  # pixels


@dataclass(frozen=True, eq=False)
class Truth:
    """Everything that is known of a clip.

    Shapes: stems {name: (A, N)}: one for each thing, "ambience" and "off screen", whose sum is the clip's
    wave; masks (things, T, H, W) in [0, 1], the part of each pixel that shows the thing. Contacts are in
    order of time and lie within the clip.
    """

    things: tuple[Thing, ...]
    stems: dict[str, Tensor]
    masks: Tensor
    contacts: tuple[Contact, ...]
    caption: str
