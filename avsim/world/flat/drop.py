"""Bodies that fall, bounce, roll and collide: their motion, what touches what and when, and how that sounds.

pymunk moves them in small steps. A step may end with two bodies a little inside each other; as both moved
straight within it, how deep and how fast tells when they touched. Place and speed after it are set to those
of a bounce at that very moment, so that times and heights don't depend on the steps.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pymunk

from avsim.clip import ClipSpec
from avsim.world.flat.actor import Actor, Contact, Sound
from avsim.world.flat.scene import Body, Scene
from avsim.world.flat.shapes import body_parts
from avsim.world.materials import restitution, substance
from avsim.world.sound.impact import FLOOR_LEVEL, Modes, body_modes, floor_modes, impact
from avsim.world.sound.listener import aligned, arrival

GRAVITY = 9.81  # m/s^2
STEPS = 1000  # a second
SOFTEST = 0.15  # m/s: below this, contacts have no bounce and no sound
APART = (
    0.008  # s: touches of the same two within that are one, such as both corners of a cube that lands flat
)
FRICTION = 0.7  # its square is that of a pair
ROUNDING = 0.04  # radius of a corner, of the thickness
ROUND = ("ball", "ring")
_GROUND, _HULL, _CORNER = 1, 2, 4  # what collides: grounds with round bodies and corners, hulls with hulls

Array = np.ndarray


@dataclass(frozen=True)
class Touch:
    """Two bodies meet; `other` is a body's number, -1 for the floor, -2 - k for wall k."""

    seconds: float
    body: int
    other: int
    impulse: float  # N s
    speed: float  # m/s, at which they closed in
    x: float  # m
    y: float  # m


def drop(scene: Scene, spec: ClipSpec, names: Sequence[str]) -> list[Actor]:
    """The scene's bodies, each with its motion and its sounds; their owners are their numbers."""
    path, touches = fall(scene, spec.frame_seconds().numpy(), spec.end)
    actors = []
    for number, body in enumerate(scene.bodies):
        mine = [touch for touch in touches if number in (touch.body, touch.other)]
        actors.append(
            Actor(
                parts=body_parts(body, path[number], number),
                sounds=tuple(sound for touch in mine for sound in _sounds(scene, touch, number, spec)),
                contacts=tuple(_contact(scene, touch, names) for touch in mine if touch.body == number),
            )
        )
    return actors


def fall(scene: Scene, times: Array, end: float) -> tuple[Array, list[Touch]]:
    """Positions at `times`, (bodies, 3, T): x, y in m, angle in rad; and the touches until `end`."""
    return _Fall(scene).run(times, end)


def mass(body: Body) -> tuple[float, float]:
    """kg, and kg m^2 about the axis into the frame."""
    density, size = substance(body.material).density, body.size
    if body.shape == "ball":
        kilograms = density * math.pi * size**3 / 6
        return kilograms, 0.1 * kilograms * size**2
    if body.shape == "ring":
        middle, thick = 0.43 * size, 0.14 * size
        kilograms = density * 2 * math.pi * middle * thick**2
        return kilograms, kilograms * middle**2
    high = body.thickness
    kilograms = density * size * high * high
    return kilograms, kilograms * (size**2 + high**2) / 12


class _Fall:
    """One run of pymunk."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.touches: list[Touch] = []
        self.bounced: list[tuple[pymunk.Body, pymunk.Vec2d, pymunk.Vec2d]] = []
        self.space = space = pymunk.Space()
        space.gravity = (0.0, -GRAVITY)
        space.collision_slop = 1e-4
        space.collision_bias = 1e-6  # share of an overlap that is left after a second
        space.on_collision(begin=self._begin)
        self.numbers: dict[pymunk.Shape, int] = {}
        ground = space.static_body
        self._add(pymunk.Segment(ground, (-50, -1), (50, -1), 1.0), -1, _GROUND, _HULL | _CORNER)
        for k, wall in enumerate(scene.walls):
            x = wall.x + math.copysign(1.0, wall.x)
            self._add(pymunk.Segment(ground, (x, -1), (x, 50), 1.0), -2 - k, _GROUND, _HULL | _CORNER)
        self.bodies = [self._body(number, body) for number, body in enumerate(scene.bodies)]

    def _add(self, shape: pymunk.Shape, number: int, category: int, mask: int) -> None:
        shape.friction = FRICTION
        shape.filter = pymunk.ShapeFilter(categories=category, mask=mask)
        self.numbers[shape] = number
        self.space.add(shape)

    def _body(self, number: int, body: Body) -> pymunk.Body:
        moved = pymunk.Body(*mass(body))
        moved.position, moved.angle = (body.x, body.middle), body.angle
        self.space.add(moved)
        if body.shape in ROUND:
            self._add(pymunk.Circle(moved, body.size / 2), number, _HULL, _GROUND | _HULL)
        else:
            radius = ROUNDING * body.thickness
            right, top = body.size / 2 - radius, body.thickness / 2 - radius
            corners = [(right, top), (-right, top), (-right, -top), (right, -top)]
            self._add(pymunk.Poly(moved, corners, radius=radius), number, _HULL, _HULL)
            # Each corner has its own contacts: it sounds when it lands, also while another one rests.
            for corner in corners:
                self._add(pymunk.Circle(moved, radius, corner), number, _CORNER, _GROUND)
        moved.body_type = pymunk.Body.KINEMATIC
        return moved

    def run(self, times: Array, end: float) -> tuple[Array, list[Touch]]:
        path = np.empty((len(self.bodies), 3, len(times)))
        looked = np.floor(times * STEPS).astype(int).tolist()
        releases = [
            math.ceil(body.release * STEPS - 1e-9) if body.release < end else -1 for body in self.scene.bodies
        ]
        frame = 0
        for self.step in range(math.ceil(end * STEPS) + 1):
            for number, release in enumerate(releases):
                if self.step == release:
                    self._release(number)
            while frame < len(times) and looked[frame] == self.step:
                since = times[frame] - self.step / STEPS
                for number, moved in enumerate(self.bodies):
                    x, y = moved.position + moved.velocity * since
                    path[number, :, frame] = x, y, moved.angle + moved.angular_velocity * since
                frame += 1
            self.space.step(1 / STEPS)
            while self.bounced:
                moved, shift, change = self.bounced.pop()
                moved.position += shift
                moved.velocity += change
        return path, _merged(sorted(self.touches, key=lambda touch: touch.seconds))

    def _release(self, number: int) -> None:
        """Let a body go: it has fallen freely since its release, which lies within the last step."""
        body, moved = self.scene.bodies[number], self.bodies[number]
        since = self.step / STEPS - body.release
        moved.body_type = pymunk.Body.DYNAMIC
        moved.mass, moved.moment = mass(body)
        moved.position = body.x + body.drift * since, body.middle - GRAVITY * since**2 / 2
        # pymunk steps by x += v dt, v += g dt; half a step ahead, v makes the parabola exact.
        moved.velocity = body.drift, -GRAVITY * (since + 0.5 / STEPS)
        moved.angular_velocity = body.spin

    def _begin(self, arbiter: pymunk.Arbiter, space: pymunk.Space, data: object) -> None:
        one, other = arbiter.shapes
        contacts = arbiter.contact_point_set
        point = contacts.points[0]
        if self.numbers[one] < self.numbers[other]:
            one, other, normal = other, one, -contacts.normal
        else:
            normal = contacts.normal  # from `one` to `other`
        place = (point.point_a + point.point_b) / 2
        moved, hit = one.body, other.body
        assert moved is not None and hit is not None
        parting = hit.velocity_at_world_point(place) - moved.velocity_at_world_point(place)
        closing = -parting.dot(normal)
        arbiter.restitution = 0.0
        if closing < SOFTEST:
            return
        yields = [_yield(each, place, normal) for each in (moved, hit)]  # 1/kg
        total = sum(yields)
        if total == 0:
            return  # two things that still hang
        number, against = self.numbers[one], self.numbers[other]
        arbiter.restitution = bounce = restitution(*_materials(self.scene, number, against))
        depth = min(max(-point.distance, 0.0), closing / STEPS)
        since = depth / closing  # s, from the touch to the end of the step
        pull = sum(
            side * self.space.gravity[1] * normal.y
            for side, each in ((1, moved), (-1, hit))
            if each.body_type == pymunk.Body.DYNAMIC
        )  # m/s^2, at which they are drawn together
        speed = closing + pull * (0.5 / STEPS - since)
        impulse = (1 + bounce) * speed / total
        self.touches.append(
            Touch((self.step + 1) / STEPS - since, number, against, impulse, speed, place.x, place.y)
        )
        # pymunk turns the speed in the middle of this step into that in the middle of the next, and leaves
        # the bodies where they are. A bounce at that very moment would have made of both:
        apart = (1 + bounce) * depth  # m
        slower = pull * ((1 + bounce) * since + (1 - bounce) * 0.5 / STEPS)  # m/s
        for side, each in ((-1, moved), (1, hit)):
            if each.body_type == pymunk.Body.DYNAMIC:
                way = normal * (side / (each.mass * total))
                self.bounced.append((each, way * apart, way * -slower))


def _yield(body: pymunk.Body, place: pymunk.Vec2d, normal: pymunk.Vec2d) -> float:
    """Speed along the normal that a unit impulse at `place` gives, 1/kg; 0 for what can't be moved."""
    if body.body_type != pymunk.Body.DYNAMIC:
        return 0.0
    return 1 / body.mass + (place - body.position).cross(normal) ** 2 / body.moment


def _merged(touches: list[Touch]) -> list[Touch]:
    """Touches of the same two within `APART` as one: the first time, the greatest speed, all the impulse."""
    merged: list[Touch] = []
    latest: dict[tuple[int, int], int] = {}  # of each pair, in `merged`
    for touch in touches:
        pair = touch.body, touch.other
        last = merged[latest[pair]] if pair in latest else None
        if last is None or touch.seconds - last.seconds > APART:
            latest[pair] = len(merged)
            merged.append(touch)
        else:
            merged[latest[pair]] = replace(
                last,
                impulse=last.impulse + touch.impulse,
                speed=max(last.speed, touch.speed),
                x=(last.x + touch.x) / 2,
                y=(last.y + touch.y) / 2,
            )
    return merged


def _materials(scene: Scene, number: int, against: int) -> tuple[str, str]:
    if against == -1:
        other = scene.floor
    else:
        other = (scene.bodies[against] if against >= 0 else scene.walls[-2 - against]).material
    return scene.bodies[number].material, other


def _sounds(scene: Scene, touch: Touch, number: int, spec: ClipSpec) -> list[Sound]:
    """The dry sounds of a contact of body `number`: its own modes, and the floor's or the wall's."""
    if touch.seconds >= spec.end:
        return []
    body, pair = scene.bodies[number], _materials(scene, touch.body, touch.other)
    seconds, lead = aligned(touch.seconds, touch.x, touch.y, spec.sample_rate)
    level = substance(body.material).level

    def heard(modes: Modes, level: float) -> Sound:
        wave = impact(modes, pair, body.size, touch.speed, spec.sample_rate, lead, spec.samples)
        return Sound(seconds, level * wave, touch.x, touch.y)

    sounds = [heard(body_modes(body.shape, body.material, body.size), level)]
    if touch.other < 0:
        heavy = min(1.0, body.size / 0.4)
        sounds.append(heard(floor_modes(pair[1]), FLOOR_LEVEL * heavy * substance(pair[1]).level))
    return sounds


def _contact(scene: Scene, touch: Touch, names: Sequence[str]) -> Contact:
    other = names[touch.other] if touch.other >= 0 else "floor" if touch.other == -1 else "wall"
    return Contact(
        seconds=touch.seconds,
        arrival=arrival(touch.seconds, touch.x, touch.y),
        things=(names[touch.body], other),
        materials=_materials(scene, touch.body, touch.other),
        impulse=touch.impulse,
        speed=touch.speed,
        x=touch.x,
        y=touch.y,
    )
