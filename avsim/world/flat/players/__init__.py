"""The eleven instruments and who plays them, drawn and moved by their notes."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from avsim.errors import InputError
from avsim.world.flat.canvas import Part, Pose, Sprite
from avsim.world.flat.paint import Easel
from avsim.world.flat.players.blown import clarinet, flute, saxophone, trumpet, tuba
from avsim.world.flat.players.bowed import cello, erhu, violin
from avsim.world.flat.players.plucked import guitar
from avsim.world.flat.players.squeezed import accordion
from avsim.world.flat.players.struck import xylophone
from avsim.world.sound.phrases import Note

Array = np.ndarray
PLAYERS = {
    "accordion": accordion,
    "acoustic guitar": guitar,
    "cello": cello,
    "clarinet": clarinet,
    "erhu": erhu,
    "flute": flute,
    "saxophone": saxophone,
    "trumpet": trumpet,
    "tuba": tuba,
    "violin": violin,
    "xylophone": xylophone,
}
# m, to the right of the feet: the middle of player and instrument together
MIDDLES = {
    "cello": 0.04,
    "erhu": 0.05,
    "flute": -0.14,
    "saxophone": 0.08,
    "trumpet": 0.22,
    "tuba": 0.06,
    "violin": 0.22,
}


def player(
    instrument: str,
    x: float,
    notes: Sequence[Note],
    seconds: Array,
    owner: int,
    random: np.random.Generator,
    size: float = 1.0,
) -> tuple[Part, ...]:
    """A player's parts, back to front: a shadow, which is nobody's, then body, instrument and arms.

    Args:
        instrument: one of `PLAYERS`.
        x: m, the player's middle.
        notes: in order of time, one at a time.
        seconds: (T,), each frame's middle.
        owner: the thing that the player and the instrument are.
        random: draws looks and colours.
        size: times 0.9 m wide and 1.5 m tall at most.

    Raises:
        InputError: If there is no such instrument.
    """
    if instrument not in PLAYERS:
        raise InputError(f"instrument: {instrument!r} is none of {', '.join(PLAYERS)}")
    feet = x - size * MIDDLES.get(instrument, 0.0)
    shadow = Part(_shadow(), Pose(feet, 0.0, 0.0, size, size))
    return shadow, *(_moved(part, feet, size, owner) for part in PLAYERS[instrument](notes, seconds, random))


def _moved(part: Part, x: float, size: float, owner: int) -> Part:
    """From the player's own coordinates to the world's."""
    own = part.pose
    pose = Pose(x + size * own.x, size * own.y, own.angle, size * own.wide, size * own.high, own.opacity)
    return Part(part.sprite, pose, owner)


@lru_cache(maxsize=1)
def _shadow() -> Sprite:
    easel = Easel(-0.6, 0.6, -0.2, 0.2, 64.0)
    for k in range(12):
        share = 1 - k / 12
        easel.ellipse(0.0, 0.0, 0.52 * share, 0.12 * share, (0.0, 0.0, 0.0), opacity=0.07)
    return easel.sprite(outline=0, relief=0)
