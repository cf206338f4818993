"""Endless clips: clip i is made anew from (config, seed, split, i) and nothing else."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from avsim.clip import OFF_SCREEN, Clip, ClipSpec
from avsim.errors import InputError
from avsim.seeds import derive
from avsim.world import draw, sound, words
from avsim.world.config import SPLITS, WorldConfig, configured
from avsim.world.scene import Ball, Scene, draw_scene
from avsim.world.truth import AMBIENCE, Contact, Thing, Truth

ENDLESS = 1 << 30  # what `len` says


class WorldDataset:
    """A world as a map from i to (Clip, Truth), the same for any number of workers.

    Raises:
        InputError: an unknown level or split.
    """

    def __init__(self, config: str | WorldConfig = "easy", seed: int = 0, split: str = "train") -> None:
        if split not in SPLITS:
            raise InputError(f"world: unknown split {split!r}; there are {', '.join(SPLITS)}")
        self.config, self.seed, self.split = configured(config), seed, split

    def __len__(self) -> int:
        return ENDLESS

    def __getitem__(self, index: int) -> tuple[Clip, Truth]:
        if not 0 <= index < ENDLESS:
            raise IndexError(f"clip {index} of a world of {ENDLESS}")
        random = np.random.default_rng(derive(self.seed, "world", self.split, index))
        return render(draw_scene(self.config, random), self.config.spec, random)

    def __iter__(self) -> Iterator[tuple[Clip, Truth]]:
        return (self[index] for index in range(ENDLESS))


def render(scene: Scene, spec: ClipSpec, random: np.random.Generator) -> tuple[Clip, Truth]:
    """Draw and sound a scene; `random` makes its room noise and chooses its caption's words."""
    frames, masks = draw.draw(scene, spec)
    stems = {ball.name: _heard([ball], spec) for ball in scene.seen}
    stems[AMBIENCE] = _tensor(sound.room_noise(scene.ambience, spec, random))
    stems[OFF_SCREEN] = _heard([ball for ball in scene.balls if not ball.seen], spec)
    mixture = torch.stack(list(stems.values())).double().sum(0).float()
    picture = torch.from_numpy(frames).permute(3, 0, 1, 2).contiguous()  # (3, T, H, W)
    truth = Truth(
        things=tuple(_thing(ball, spec) for ball in scene.seen),
        stems=stems,
        masks=torch.from_numpy(masks),
        contacts=_contacts(scene, spec),
        caption=words.caption(scene, spec, random),
    )
    return Clip(picture, mixture, spec.frames_per_second, spec.sample_rate), truth


def _heard(balls: list[Ball], spec: ClipSpec) -> Tensor:
    """The sound of some balls alone, (A, N)."""
    total = np.zeros((spec.channels, spec.samples))
    for ball in balls:
        for seconds, speed in ball.bounces():
            if seconds < spec.seconds:
                total += sound.impact(ball, seconds, speed, spec)
    return _tensor(total)


def _contacts(scene: Scene, spec: ClipSpec) -> tuple[Contact, ...]:
    found = []
    for ball in scene.balls:
        for seconds, speed in ball.bounces():
            if seconds < spec.seconds:
                x = ball.place(np.array([seconds]))[0]
                column, row = draw.to_pixels(x, 0.0, spec)
                name = ball.name if ball.seen else OFF_SCREEN
                heard = sound.arrival(seconds, float(x[0]), 0.0)
                found.append(Contact(name, seconds, heard, speed, float(column[0]), float(row)))
    return tuple(sorted(found, key=lambda contact: contact.seconds))


def _thing(ball: Ball, spec: ClipSpec) -> Thing:
    place = words.side(ball, spec)
    return Thing(ball.name, "ball", ball.material, ball.colour, ball.size, ball.radius, place)


def _tensor(wave: np.ndarray) -> Tensor:
    return torch.from_numpy(wave.astype(np.float32))
