"""Guidance distillation under Lightning: one pass of a student replaces its teacher's guided passes."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from avsim.diffusion.distillation import SYNC_TARGET_GUIDANCE, TARGET_GUIDANCE, distillation_sample
from avsim.diffusion.guidance import Gradient, Guidance, GuidanceRows, reward_gradient
from avsim.diffusion.sync_reward import sync_reward
from avsim.diffusion.system import GeneratorSystem
from avsim.diffusion.training_sample import TrainingSample
from avsim.errors import InputError
from avsim.models.joint import JointDiT
from avsim.perception.sync import SyncModel
from avsim.seeds import row_normal, row_uniform
from avsim.weights import TENSORS, hash_of, load_model, part_folder


class DistillationSystem(GeneratorSystem):
    """Trains a student on the velocities of its guided teacher; it starts from the teacher's weights.

    Images and rows of one modality are trained on the data's velocities. The run exports both models and the
    codecs. Validation losses are against the velocities of the data, which differ from a student's targets.

    Args:
        teacher: a generator's folder, or a run that exported one.
        targets: two guidances of the teacher: of generation from text, and of video for given audio; None:
            `TARGET_GUIDANCE`, or `SYNC_TARGET_GUIDANCE` with a sync model.
        sync_model: a folder with the sync model whose reward guides the targets, decoded by the codecs of
            this config; None: the teacher's own audio likelihood guides them.
        **settings: as `GeneratorSystem`'s, except for its model.

    Raises:
        InputError: no generator or sync model there, a sync model without codecs, a number of targets other
            than two, or a checkpoint of a student with another teacher.
    """

    def __init__(
        self,
        teacher: str,
        targets: Sequence[Guidance] | None = None,
        sync_model: str | None = None,
        **settings: Any,
    ) -> None:
        if targets is not None and len(targets) != 2:
            raise InputError(f"{len(targets)} targets; expected two: from text, and video for given audio")
        folder = part_folder(teacher, "generator")
        model = load_model(folder, expected=JointDiT)
        super().__init__(copy.deepcopy(model).train(), **settings)
        # In a dict, so that they are not submodules and not saved in checkpoints.
        self.frozen: dict[str, nn.Module] = {"generator": model.eval().requires_grad_(False)}
        self.targets = tuple(targets or (SYNC_TARGET_GUIDANCE if sync_model else TARGET_GUIDANCE))
        self.teacher_hash = hash_of(folder / TENSORS)
        if sync_model is not None:
            absent = [part for part, path in self.codecs.items() if path is None]
            if absent:
                raise InputError(
                    f"sync_model needs the codecs to decode with; {' and '.join(absent)} not given"
                )
            found = load_model(part_folder(sync_model, "sync_model"), expected=SyncModel)
            self.frozen["sync_model"] = found.eval().requires_grad_(False)
        self.rewards: dict[Any, Gradient] = {}
        self.table: Tensor | None = None

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the hash of the teacher."""
        checkpoint["teacher"] = self.teacher_hash

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint with another teacher."""
        if checkpoint.get("teacher") != self.teacher_hash:
            raise InputError(
                "this checkpoint's student had another teacher, or the teacher's weights have changed"
            )

    def on_fit_start(self) -> None:
        """As `GeneratorSystem`; then move the teacher and the sync model to the device."""
        super().on_fit_start()
        for part in self.frozen.values():
            part.to(self.device)
        self.table = GuidanceRows.table(self.targets, self.device)

    def parts(self) -> dict[str, nn.Module]:
        """The exported models: the teacher, its student, and the codecs."""
        return {**super().parts(), "generator": self.frozen["generator"], "student": self.model}

    def reward(self, sample: TrainingSample) -> Gradient | None:
        """The gradient of the sync model's reward for clips of the sample's spec; None: no sync model."""
        if "sync_model" not in self.frozen:
            return None
        spec = sample.spec
        if spec not in self.rewards:
            codecs = self.parts()
            if not self.rewards:
                for name in self.codecs:
                    codecs[name].to(self.device).eval().requires_grad_(False)
            model: Any = self.frozen["sync_model"]
            reward_fn = sync_reward(model, codecs["video_codec"], codecs["audio_codec"], spec.clip)
            self.rewards[spec] = reward_gradient(reward_fn, spec)
        return self.rewards[spec]

    @torch.no_grad()
    def with_target(self, sample: TrainingSample) -> TrainingSample:
        """The sample with the guided teacher's velocity as target; unchanged if it has one modality alone."""
        if not sample.coupled:
            return sample
        teacher: Any = self.frozen["generator"]
        rows, path = sample.rows, (self.seed, "distillation", self.global_step)
        cond = teacher.context(sample.captions, sample.spec, sample.uncond)
        uncond = teacher.context(sample.captions, sample.spec, torch.ones_like(sample.uncond))
        chance = row_uniform(rows, (4,), *path).mT[..., None, None]  # (4, B, 1, 1)
        calls = iter(range(1 << 10))

        def noise(x: Tensor) -> Tensor:
            return row_normal(rows, tuple(x.shape[1:]), *path, next(calls)).to(x)

        x, s = sample.noised.each(lambda n: n.x), sample.noised.each(lambda n: n.s)
        assert self.table is not None
        noised = distillation_sample(
            teacher, cond, uncond, x, s, self.table, chance, noise, self.reward(sample)
        )
        return replace(sample, noised=noised)
