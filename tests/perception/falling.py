"""A ball that falls in the studio: all that is to be found is known by hand."""

import math

from avsim.clip import Clip, ClipSpec
from avsim.world import Scene, Truth, render
from avsim.world.flat.drop import GRAVITY
from avsim.world.flat.scene import Body

HEIGHT, RELEASE = 1.0, 0.25
LANDS = RELEASE + math.sqrt(2 * HEIGHT / GRAVITY)  # 0.7015 s
SPEED = math.sqrt(2 * GRAVITY * HEIGHT)  # 4.43 m/s
SPEC = ClipSpec()
BALL = Body("ball", "wood", "tan", size=0.4, x=-0.5, height=HEIGHT, release=RELEASE)


def falling(spec: ClipSpec = SPEC) -> tuple[Clip, Truth]:
    return render(Scene(bodies=(BALL,), ambience=-60.0), spec)
