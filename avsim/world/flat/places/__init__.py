"""The looks of the six places: each is painted once, as a wide frame in metres, and seen through a view."""

from collections.abc import Callable

import cv2
import numpy as np

from avsim.errors import InputError
from avsim.world.flat.canvas import View
from avsim.world.flat.paint import Easel
from avsim.world.flat.places.cave import cave
from avsim.world.flat.places.hall import concert_hall
from avsim.world.flat.places.park import national_park
from avsim.world.flat.places.restaurant import restaurant
from avsim.world.flat.places.station import space_station
from avsim.world.flat.places.studio import dry_studio

Array = np.ndarray
FINE = 2  # painted so many times finer than seen, then averaged
CALM = 0.2  # share of its mean colour that is mixed into a place, so that things stand out from it
SOFT = 0.022  # m, deviation of the blur of what lies behind the stage: the camera is focused on the things

PAINTERS: dict[str, Callable[[Easel, np.random.Generator], None]] = {
    "restaurant": restaurant,
    "space station": space_station,
    "national park": national_park,
    "concert hall": concert_hall,
    "cave": cave,
    "dry studio": dry_studio,
}
# m, how far a place may be shifted to either side: a stage has a middle, loudspeakers stay beside it
ROAM = {
    "restaurant": 0.6,
    "space station": 0.6,
    "national park": 0.6,
    "concert hall": 0.08,
    "cave": 0.6,
    "dry studio": 0.25,
}


def backdrop(place: str, view: View, random: np.random.Generator) -> Array:
    """A place in a view, (T, H, W, 3) float32 in [0, 1]; (1, H, W, 3) if the camera is still.

    Colours and details are sampled from `random`, independently of the view: the same generator gives the
    same place for every camera.

    Raises:
        InputError: If there is no such place.
    """
    if place not in PAINTERS:
        raise InputError(f"place: {place!r} is none of {', '.join(PAINTERS)}")
    own = np.random.default_rng(int(random.integers(2**63)))
    roam = ROAM[place] * own.uniform(-1, 1)
    view = View(view.x + roam, view.y, view.height, view.size)
    up = view.height / 2
    across = up * view.size[1] / view.size[0]
    easel = Easel(
        left=float(np.min(view.x - across)),
        right=float(np.max(view.x + across)),
        bottom=float(np.min(view.y - up)),
        top=float(np.max(view.y + up)),
        scale=FINE * float(np.max(view.scale)),
    )
    PAINTERS[place](easel, own)
    picture = _focused(easel)
    mean = picture.mean((0, 1))
    seen = _frames(picture, easel, view).astype(np.float32)
    return np.clip((seen + CALM * (mean.astype(np.float32) - seen)) / 255, 0, 1)


def _focused(easel: Easel) -> Array:
    """What was painted, (h, w, 3), out of focus above the floor's line and sharp half a metre before it."""
    picture = np.ascontiguousarray(easel.pixels[..., :3])
    soft = cv2.GaussianBlur(picture, (0, 0), SOFT * easel.scale, borderType=cv2.BORDER_REPLICATE)
    height = easel.top - (np.arange(len(picture)) + 0.5) / easel.scale
    sharp = np.clip(-2 * height, 0.0, 1.0).astype(np.float32)[:, None, None]
    return soft + sharp * (picture.astype(np.float32) - soft)


def _frames(picture: Array, easel: Easel, view: View) -> Array:
    """The frame cut to the view at each frame, or once if the camera is still."""
    height, width = view.size
    still = all(np.ptp(field) == 0 for field in (view.x, view.y, view.height))
    frames = []
    for x, y, scale in zip(view.x[: 1 if still else None], view.y, view.scale, strict=False):
        zoom = easel.scale / (FINE * scale)  # frame pixels for one pixel of the fine frame
        left = (x - easel.left) * easel.scale - FINE * width / 2 * zoom
        top = (easel.top - y) * easel.scale - FINE * height / 2 * zoom
        # Pixel centres are at one half.
        to_picture = np.array([[zoom, 0, left + 0.5 * zoom - 0.5], [0, zoom, top + 0.5 * zoom - 0.5]])
        fine = cv2.warpAffine(
            picture,
            to_picture,
            (FINE * width, FINE * height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        frames.append(cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA))
    return np.stack(frames)
