"""A scene in layers: its frames, what is visible of each thing and of the stick, and frames without one.

Corruptions of the video need what stood behind a thing, which a finished clip no longer shows. Nothing is
heard here: frames alone cost a fraction of a clip.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from avsim.clip import ClipSpec
from avsim.world.captions.compose import things_of
from avsim.world.flat.canvas import Part, compose
from avsim.world.flat.places import backdrop
from avsim.world.flat.render import perform
from avsim.world.flat.scene import Scene

STICK = "stick"


class Layers:
    """The things of a scene, and its stick, that can be left out of its frames.

    Shapes: frames (3, T, H, W), equal to those of `render`; masks (layers, T, H, W), the share of each pixel
    that shows the layer.
    """

    def __init__(self, scene: Scene, spec: ClipSpec) -> None:
        things = things_of(scene, spec)
        actors, parts = perform(scene, spec, things)
        self.names = [thing.name for thing in things]
        self._view = scene.camera.view(spec)
        self._backdrop = backdrop(scene.place, self._view, scene.random("backdrop"))
        own: list[Sequence[Part]] = [actor.parts for actor in actors]  # a thing's shadow goes with it
        if scene.targets:  # the stick stands before all but the occluders
            at = len(parts) - len(scene.occluders) - 1
            parts[at] = Part(parts[at].sprite, parts[at].pose, owner=len(things))
            self.names.append(STICK)
            own.append((parts[at],))
        self._parts = parts
        self._own = [{id(part) for part in each} for each in own]
        self.frames, self.masks = self._drawn(parts)

    def without(self, layer: int) -> Tensor:
        """The frames (3, T, H, W) without that layer and its shadow."""
        return self._drawn([part for part in self._parts if id(part) not in self._own[layer]])[0]

    def _drawn(self, parts: Sequence[Part]) -> tuple[Tensor, Tensor]:
        frames, visible, _ = compose(self._backdrop, parts, self._view, len(self.names))
        return (
            torch.from_numpy(frames).permute(3, 0, 1, 2).contiguous(),
            torch.from_numpy(visible).clamp_(0, 1),
        )
