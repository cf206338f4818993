"""A scene -> a clip and its ground truth: things in front of their place, sounds in its room."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from avsim.clip import OFF_SCREEN, Clip, ClipSpec
from avsim.world.captions.compose import captions, noun_of, things_of
from avsim.world.captions.facts import facts_of
from avsim.world.flat.actor import Actor, Contact
from avsim.world.flat.canvas import Part, compose
from avsim.world.flat.drop import drop
from avsim.world.flat.ensemble import ensemble
from avsim.world.flat.places import backdrop
from avsim.world.flat.scene import Scene
from avsim.world.flat.shapes import mat_part, occluder_part, wall_part
from avsim.world.flat.strike import strike, table
from avsim.world.sound.ambience import ambience
from avsim.world.sound.listener import hear
from avsim.world.truth import AMBIENCE, Score, Thing, Truth

LEAST = 0.001  # share of the frame that a thing must cover in some frame to count as seen

Array = np.ndarray


def render(scene: Scene, spec: ClipSpec) -> tuple[Clip, Truth]:
    """Render a scene's frames and audio; the same scene and spec give the same clip, bit for bit."""
    things = things_of(scene, spec)
    actors, parts = perform(scene, spec, things)
    frames, visible, amodal = _drawn(scene, spec, parts, len(things))
    seen = [k for k in range(len(things)) if visible[k].sum((1, 2)).max() >= LEAST * spec.height * spec.width]
    stems = _heard(scene, spec, actors, {k: things[k].name for k in seen})
    mixture = torch.stack(list(stems.values())).double().sum(0).float()
    contacts = _contacts(actors, {thing.name for k, thing in enumerate(things) if k not in seen}, spec)
    shown = tuple(things[k] for k in seen)
    scores = tuple(
        Score(thing.name if k in seen else OFF_SCREEN, actor.notes)
        for k, (thing, actor) in enumerate(zip(things, actors, strict=True))
        if actor.notes
    )
    facts = facts_of(
        scene,
        spec,
        [thing.name for thing in things],
        [noun_of(thing) for thing in things],
        actors,
        seen,
        [k for k in seen if visible[k, -1].sum() >= LEAST * spec.height * spec.width],
    )
    truth = Truth(
        scene=scene,
        things=shown,
        stems=stems,
        masks=torch.from_numpy(visible[seen]).clamp_(0, 1),
        amodal=torch.from_numpy(amodal[seen]).clamp_(0, 1),
        contacts=contacts,
        scores=scores,
        camera=torch.from_numpy(_path(scene, spec)),
        facts=facts,
        captions=captions(facts, scene.random("words")),
    )
    picture = torch.from_numpy(frames).permute(3, 0, 1, 2).contiguous()  # (3, T, H, W)
    return Clip(picture, mixture, spec.frames_per_second, spec.sample_rate), truth


def perform(scene: Scene, spec: ClipSpec, things: Sequence[Thing]) -> tuple[list[Actor], list[Part]]:
    """The actors in the order of `things`, and all parts, back to front."""
    names = [thing.name for thing in things]
    parts = [wall_part(wall) for wall in scene.walls]
    actors: list[Actor] = []
    before: list[Part] = []  # what stands before all actors
    if scene.bodies:
        if not (scene.targets or scene.players):
            parts.append(mat_part(scene.floor))
        actors += drop(scene, spec, names)
    if scene.targets:
        struck, before = strike(scene, spec, names[len(actors) :], first=len(actors))
        parts += table(scene)
        actors += struck
    actors += ensemble(scene, spec, first=len(actors))
    own = [part for actor in actors for part in actor.parts]
    parts += [part for part in own if part.owner < 0] + [
        part for part in own if part.owner >= 0
    ]  # shadows first
    return actors, [*parts, *before, *(occluder_part(occluder) for occluder in scene.occluders)]


def _path(scene: Scene, spec: ClipSpec) -> Array:
    """(T, 3): the camera's x, y and height."""
    return scene.camera.path(spec.frame_seconds().numpy(), spec.end)


def _drawn(scene: Scene, spec: ClipSpec, parts: Sequence[Part], count: int) -> tuple[Array, Array, Array]:
    view = scene.camera.view(spec)
    return compose(backdrop(scene.place, view, scene.random("backdrop")), parts, view, count)


def _heard(scene: Scene, spec: ClipSpec, actors: Sequence[Actor], names: dict[int, str]) -> dict[str, Tensor]:
    """The stem of each thing that is seen, "ambience" and "off screen", (A, N) each."""
    stems = {
        name: _tensor(hear(actors[k].sounds, scene.place, scene.camera, spec)) for k, name in names.items()
    }
    gain = 10 ** (scene.ambience / 20)
    stems[AMBIENCE] = _tensor(gain * ambience(scene.place, spec, scene.random("ambience")))
    unseen = [sound for k, actor in enumerate(actors) if k not in names for sound in actor.sounds]
    stems[OFF_SCREEN] = _tensor(hear(unseen, scene.place, scene.camera, spec))
    return stems


def _contacts(actors: Sequence[Actor], unseen: set[str], spec: ClipSpec) -> tuple[Contact, ...]:
    """The contacts within the clip, in order of time; what isn't seen is called "off screen"."""
    end = spec.end
    found = [contact for actor in actors for contact in actor.contacts if contact.seconds < end]
    named = [
        replace(contact, things=(_known(contact.things[0], unseen), _known(contact.things[1], unseen)))
        for contact in found
    ]
    return tuple(sorted(named, key=lambda contact: contact.seconds))


def _known(name: str, unseen: set[str]) -> str:
    return OFF_SCREEN if name in unseen else name


def _tensor(wave: Array) -> Tensor:
    return torch.from_numpy(wave.astype(np.float32))
