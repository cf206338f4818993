"""The camera: still, panning or zooming, in shots that cut from one framing to another.

Its shots cover the whole clip; a shot lasts until the next one starts. The camera turns and zooms, it doesn't
walk: the listener stands where it stands and hears to the left what is seen to the left.
"""

from dataclasses import dataclass

import numpy as np

from avsim.clip import ClipSpec
from avsim.errors import InputError
from avsim.world.checks import LATEST, within
from avsim.world.flat.canvas import View

VIEW = 2.0  # m, default height of the view
FLOOR = 0.25  # m, from the frame's lower edge up to where things touch the floor, by default

Array = np.ndarray


@dataclass(frozen=True)
class Framing:
    """The camera's view."""

    x: float = 0.0  # m, in the frame's middle
    y: float = VIEW / 2 - FLOOR  # m above the floor, in the frame's middle
    height: float = VIEW  # m, from top to bottom

    def __post_init__(self) -> None:
        within("framing", "x", self.x, -20.0, 20.0, "m")
        within("framing", "y", self.y, -20.0, 20.0, "m")
        within("framing", "height", self.height, 0.2, 10.0, "m")


@dataclass(frozen=True)
class Shot:
    """One shot: from a framing to another, or still."""

    seconds: float = 0.0  # when it starts
    start: Framing = Framing()
    end: Framing | None = None  # None: it stays where it is

    def __post_init__(self) -> None:
        within("shot", "seconds", self.seconds, 0.0, LATEST, "s")


@dataclass(frozen=True)
class Camera:
    """The shots of a clip.

    Raises:
        InputError: no shots, a first one that doesn't start at 0, or shots out of order.
    """

    shots: tuple[Shot, ...] = (Shot(),)

    def __post_init__(self) -> None:
        starts = [shot.seconds for shot in self.shots]
        if not starts or starts[0] != 0.0 or any(b <= a for a, b in zip(starts, starts[1:], strict=False)):
            raise InputError(
                f"camera: its shots start at {starts} s; expected 0 first, then later ones in order"
            )

    @property
    def cuts(self) -> tuple[float, ...]:
        """When one shot ends and the next begins, s."""
        return tuple(shot.seconds for shot in self.shots[1:])

    def path(self, seconds: Array, end: float) -> Array:
        """(n, 3): x, y and height of what is seen at `seconds` of a clip that ends at `end`, metres."""
        path = np.empty((len(seconds), 3))
        ends = [*self.cuts, end]
        for shot, last in zip(self.shots, ends, strict=True):
            inside = seconds >= shot.seconds
            share = np.clip((seconds[inside] - shot.seconds) / max(last - shot.seconds, 1e-9), 0.0, 1.0)
            share = share * share * (3 - 2 * share)  # it starts and stops softly
            a = np.array([shot.start.x, shot.start.y, shot.start.height])
            far = shot.end or shot.start
            b = np.array([far.x, far.y, far.height])
            path[inside] = a + share[:, None] * (b - a)
        return path

    def view(self, spec: ClipSpec) -> View:
        """The view at the middle of each frame."""
        x, y, height = self.path(spec.frame_seconds().numpy(), spec.end).T
        return View(x, y, height, spec.size)


def half_width(spec: ClipSpec, height: float = VIEW) -> float:
    """Metres from the frame's middle to its left or right edge."""
    return height / 2 * spec.width / spec.height
