"""An endless dataset: clip i is rendered from (config, seed, split, i) and nothing else."""

from collections.abc import Iterator

import numpy as np

from avsim.clip import Clip
from avsim.errors import InputError
from avsim.seeds import derive
from avsim.world.flat.config import SPLITS, WorldConfig, world_config
from avsim.world.flat.random_scenes import draw_scene
from avsim.world.flat.render import render
from avsim.world.flat.scene import Scene
from avsim.world.truth import Truth

ENDLESS = 1 << 30  # the value of `len`
LOUDEST = 0.99  # of full scale: a scene that would be louder is sampled again, as all clips share one gain


class WorldDataset:
    """A world as a map from i to (Clip, Truth), the same for any number of workers.

    Raises:
        InputError: an unknown difficulty or split, a held-out split of a config that holds out nothing.
    """

    def __init__(self, config: str | WorldConfig = "easy", seed: int = 0, split: str = "train") -> None:
        if split not in SPLITS:
            raise InputError(f"world: unknown split {split!r}; there are {', '.join(SPLITS)}")
        self.config, self.seed, self.split = world_config(config), seed, split
        self._scene(0, 0)

    def __len__(self) -> int:
        return ENDLESS

    def __getitem__(self, index: int) -> tuple[Clip, Truth]:
        if not 0 <= index < ENDLESS:
            raise IndexError(f"clip {index} of a world of {ENDLESS}")
        for attempt in range(100):
            clip, truth = render(self._scene(index, attempt), self.config.spec)
            assert clip.wave is not None
            if clip.wave.abs().max() <= LOUDEST:
                break
        return clip, truth

    def scene(self, index: int) -> Scene:
        """Scene `index` as it is drawn first: of the clip, unless that would be too loud."""
        return self._scene(index, 0)

    def __iter__(self) -> Iterator[tuple[Clip, Truth]]:
        return (self[index] for index in range(ENDLESS))

    def _scene(self, index: int, attempt: int) -> Scene:
        random = np.random.default_rng(derive(self.seed, "world", self.split, index, attempt))
        return draw_scene(self.config, random, held_out=self.split == "held out")
