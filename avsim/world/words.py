"""A scene -> its caption, from a small grammar. Every word of it is true of the clip."""

import numpy as np

from avsim.clip import ClipSpec
from avsim.world.scene import Ball, Scene, half_width

TIMES = ("without a bounce", "once", "twice", "three times", "four times", "five times")
FALLS = ("drops onto the floor", "falls to the floor", "falls down")


def side(ball: Ball, spec: ClipSpec) -> str:
    """Where a ball hangs at first: "left", "middle" or "right" third of the picture."""
    third = half_width(spec) / 3
    return "left" if ball.x < -third else "right" if ball.x > third else "middle"


def caption(scene: Scene, spec: ClipSpec, random: np.random.Generator) -> str:
    """One sentence that names every ball seen, what it does and, sometimes, where."""
    clauses = [_clause(ball, spec, random) for ball in scene.seen]
    joint = (" while ", ", and ", "; ")[int(random.integers(3))]
    return joint.join(clauses)


def _clause(ball: Ball, spec: ClipSpec, random: np.random.Generator) -> str:
    fall, place, counted = random.integers(len(FALLS)), random.random() < 0.5, random.random() < 0.7
    impacts = sum(seconds < spec.seconds for seconds, _ in ball.bounces())
    article = "an" if ball.size[0] in "aeiou" else "a"
    words = f"{article} {ball.name}"
    if place:
        where = side(ball, spec)
        words += " in the middle" if where == "middle" else f" on the {where}"
    if impacts == 0:
        return f"{words} is falling"
    words += f" {FALLS[fall]}"
    bounces = impacts - 1 if _ends_rolling(ball, spec) else impacts
    if counted and 1 <= bounces < len(TIMES):
        words += f" and bounces {TIMES[bounces]}"
    elif bounces >= 1:
        words += " and bounces"
    return words


def _ends_rolling(ball: Ball, spec: ClipSpec) -> bool:
    """Whether the last impact inside the clip is the one after which the ball stays on the floor."""
    return ball.bounces()[-1][0] < spec.seconds
