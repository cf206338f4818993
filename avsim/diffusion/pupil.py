"""A pupil under Lightning: a generator that learns to draw in one pass what its teacher draws guided."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from avsim.data.batch import LatentBatch
from avsim.diffusion.distillation import LESSONS, Lessons, lesson
from avsim.diffusion.draws import Drawn
from avsim.diffusion.guidance import Guidance
from avsim.diffusion.model import JointDiT
from avsim.diffusion.noising import Noised
from avsim.diffusion.pair import Pair
from avsim.diffusion.system import GeneratorSystem
from avsim.seeds import generator
from avsim.weights import CONFIG, load_model


class PupilSystem(GeneratorSystem):
    """Trains a pupil that begins as its teacher; what isn't linked, and an image alone, is learned as ever.

    The run exports both, and the codecs. Losses of a pupil's validation say nothing: its velocities are
    guided, the data's aren't.

    Args:
        teacher: a generator's folder, or a run that exported one.
        lessons: guidance of what is drawn beside another, and of a picture for a given sound.
        **settings: as `GeneratorSystem`'s, but for its model.
    """

    def __init__(self, teacher: str, lessons: Sequence[Guidance] = LESSONS, **settings: Any) -> None:
        folder = Path(teacher)
        if not (folder / CONFIG).is_file():
            folder = folder / "simulator" / "generator"
        model = load_model(folder, expected=JointDiT)
        super().__init__(copy.deepcopy(model).train(), **settings)
        # In a dict: they are not this module's weights, and no checkpoint keeps them.
        self.teachers: dict[str, JointDiT] = {"generator": model.eval().requires_grad_(False)}
        self.lessons = tuple(lessons)

    def parts(self) -> dict[str, nn.Module]:
        """What this run exports: the teacher as it is, its pupil, and the codecs."""
        return {**super().parts(), "generator": self.teachers["generator"], "pupil": self.model}

    def losses(self, drawn: Drawn, batch: LatentBatch) -> Pair[Tensor]:
        """The loss of every token, (B, L)."""
        if all(each is not None for each in drawn.noised):
            drawn = replace(drawn, noised=self.taught(drawn, batch))
        return super().losses(drawn, batch)

    @torch.no_grad()
    def taught(self, drawn: Drawn, batch: LatentBatch) -> Pair[Noised]:
        """Linked rows with the teacher's velocity, the others as they were drawn."""
        device = drawn.linked.device
        teacher = self.teachers["generator"].to(device)
        told, untold = (
            teacher.context(captions, batch.spec) for captions in (drawn.captions, [""] * len(drawn.captions))
        )
        random = [generator(self.seed, "lesson", self.global_step, row) for row in batch.rows.tolist()]
        chance = torch.stack([torch.rand(4, generator=each) for each in random], 1)[..., None, None]

        def noise(x: Tensor) -> Tensor:
            return torch.stack([torch.randn(x.shape[1:], generator=each) for each in random]).to(x)

        x, s = drawn.noised.each(lambda n: n.x), drawn.noised.each(lambda n: n.s)
        table = Lessons.table(self.lessons, device)
        said = lesson(teacher, told, untold, x, s, table, chance.to(device), noise)
        linked = drawn.linked[:, None, None]

        def chosen(said: Noised, own: Noised) -> Noised:
            return Noised(
                torch.where(linked, said.x, own.x), torch.where(linked, said.noise, own.noise), own.s
            )

        return said.each(chosen, drawn.noised)
