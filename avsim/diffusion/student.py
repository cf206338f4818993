"""A pupil under Lightning: a generator that learns to draw in one pass what its teacher draws guided."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from avsim.data.batch import LatentBatch
from avsim.diffusion.distillation import LESSONS, Lessons, lesson
from avsim.diffusion.guidance import Guidance
from avsim.diffusion.noising import Noised
from avsim.diffusion.system import GeneratorSystem
from avsim.diffusion.training_sample import Drawn
from avsim.errors import InputError
from avsim.models.joint import JointDiT
from avsim.models.pair import Pair
from avsim.seeds import generator, normal_like
from avsim.weights import TENSORS, hash_of, load_model, part_folder


class PupilSystem(GeneratorSystem):
    """Trains a pupil that begins as its teacher; what isn't linked, and an image alone, is learned as ever.

    The run exports both, and the codecs. Losses of a pupil's validation say nothing: its velocities are
    guided, the data's aren't.

    Args:
        teacher: a generator's folder, or a run that exported one.
        lessons: guidance of what is drawn beside another, and of a picture for a given sound (`LESSONS`).
        **settings: as `GeneratorSystem`'s, but for its model.

    Raises:
        InputError: no generator there, lessons that aren't two, or a checkpoint of another teacher's pupil.
    """

    def __init__(self, teacher: str, lessons: Sequence[Guidance] | None = None, **settings: Any) -> None:
        if lessons is not None and len(lessons) != 2:
            raise InputError(
                f"{len(lessons)} lessons; expected two: drawn beside another, and for a given sound"
            )
        folder = part_folder(teacher, "generator")
        model = load_model(folder, expected=JointDiT)
        super().__init__(copy.deepcopy(model).train(), **settings)
        # In a dict: they are not this module's weights, and no checkpoint keeps them.
        self.teachers: dict[str, JointDiT] = {"generator": model.eval().requires_grad_(False)}
        self.lessons, self.teacher_hash = tuple(lessons or LESSONS), hash_of(folder / TENSORS)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Notes down whose pupil this is."""
        checkpoint["teacher"] = self.teacher_hash

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Goes on with the same teacher alone."""
        if checkpoint.get("teacher") != self.teacher_hash:
            raise InputError("this checkpoint's pupil had another teacher: its weights have changed since")

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

        x, s = drawn.noised.each(lambda n: n.x), drawn.noised.each(lambda n: n.s)
        table = Lessons.table(self.lessons, device)
        said = lesson(
            teacher, told, untold, x, s, table, chance.to(device), partial(normal_like, rows=random)
        )
        linked = drawn.linked[:, None, None]

        def chosen(said: Noised, own: Noised) -> Noised:
            return Noised(
                torch.where(linked, said.x, own.x), torch.where(linked, said.noise, own.noise), own.s
            )

        return said.each(chosen, drawn.noised)
