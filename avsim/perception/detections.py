"""What detectors find, as plain values. Places are shares of the video, from its left and upper edges."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Onset:
    """The onset of a sound."""

    seconds: float  # at the listener
    level: float  # dB of full scale, root mean square of its first 60 ms
    kind: str  # one of `vocabulary.KINDS`
    material: str  # one of `vocabulary.MATERIALS`; "" for instruments
    probability: float


@dataclass(frozen=True)
class Event:
    """Something is seen to touch, to be struck or to begin a note."""

    seconds: float
    x: float  # 0 left, 1 right
    y: float  # 0 top, 1 bottom
    kind: str  # of what sounds
    material: str
    probability: float
    speed: float = math.nan  # m/s, at which it is hit or lands; nan for notes


@dataclass(frozen=True)
class DetectedThing:
    """One thing in one frame."""

    seconds: float  # the frame's middle
    x: float
    y: float
    kind: str
    material: str
    colour: str  # one of `vocabulary.COLOURS`; "" for players
    size: float  # its width over the frame's height
    probability: float


@dataclass(frozen=True)
class VideoDetections:
    """All that is seen in a clip."""

    events: tuple[Event, ...]  # in order of time
    things: tuple[tuple[DetectedThing, ...], ...]  # in each of the clip's frames, likeliest first
    places: dict[str, float]  # probabilities, which add up to 1


@dataclass(frozen=True)
class AudioDetections:
    """Labels of a whole clip's audio: probabilities by name, independent but for the places."""

    kinds: dict[str, float]
    materials: dict[str, float]
    places: dict[str, float]  # they add up to 1
    decay: float  # s, reverberation time; about 0.05 in the open air

    @property
    def place(self) -> str:
        """The likeliest."""
        return max(self.places, key=self.places.__getitem__)
