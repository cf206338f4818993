"""The models of a folder, and how clips of a `LatentSpec` are sampled with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from avsim.clip import Clip, ClipSpec, LatentSpec
from avsim.devices import autocast_if_faster
from avsim.diffusion import Guidance, JointDiT, Latents, Task, all_given, generate
from avsim.diffusion.generate import STEPS, OnStepEnd
from avsim.diffusion.rerank import rerank
from avsim.diffusion.sync_reward import sync_reward
from avsim.errors import InputError
from avsim.perception.audio_detector import AudioDetector
from avsim.perception.sync import SyncModel
from avsim.perception.video_detector import VideoDetector
from avsim.separation.separator import Separator
from avsim.simulator.defaults import FIRST_FRAME_LEAD, NUM_CANDIDATES, STUDENT_TASKS, default_guidance
from avsim.simulator.prompts import check_prompt, warn_once
from avsim.simulator.resize import frames_over

if TYPE_CHECKING:
    from avsim.evaluation.ood import OODCheck

MAX_PIXELS = 2**28  # of all frames of a clip together: 3 GiB once decoded
MAX_LENGTH = 1.5  # times the length of the training clips; what is longer is generated in windows


@dataclass(frozen=True)
class Sampling:
    """How latents are sampled, as the arguments of `Simulator`'s methods."""

    size: tuple[int, int] | None = None
    steps: int = STEPS
    guidance: float | Guidance | None = None
    num_candidates: int | None = None  # None: as many as is usual for the task


@dataclass(frozen=True, eq=False)
class Models:
    """The models of a folder: generator, codecs, separator, detectors; None for those it lacks."""

    generator: Any = None  # a JointDiT or a JointGenerator
    video_codec: Any = None  # a codecs.protocol.VideoCodec
    audio_codec: Any = None  # a codecs.protocol.AudioCodec
    separator: Separator | None = None
    spec: ClipSpec = ClipSpec()  # of the training clips: rates, size, length
    source: str = "this simulator"  # for messages
    student: JointDiT | None = None  # distilled from the guided generator
    video_detector: VideoDetector | None = None  # captions clips that have no prompt
    places: tuple[str, ...] = ()  # of the synthetic world, in the training clips; empty: unknown
    ood_check: OODCheck | None = None  # of the training clips of `video_detector`; None: unknown
    audio_detector: AudioDetector | None = None  # finds what is prompted, as `video_detector`, in the audio
    sync_model: SyncModel | None = None  # its reward guides the generation of video
    vocabulary: frozenset[str] | None = None  # words of the training captions; None: unknown
    on_step_end: OnStepEnd | None = None  # called after each step of the sampler

    def task_guidance(self, task: str, **changes: Any) -> Guidance:
        """The default guidance of a task for the generator itself, with `changes` of fields of `Guidance`."""
        return replace(default_guidance(task, reward=self.sync_model is not None), **changes)

    def resolved(self, task: str, guidance: float | Guidance | None) -> tuple[Guidance, JointDiT | None]:
        """The guidance that a task is sampled with, and the student if that samples it.

        The student has its guidance in its weights, so that it samples only where none is asked for.
        """
        if isinstance(guidance, Guidance):
            return guidance, None
        if guidance is not None:
            return self.task_guidance(task, guidance_scale=guidance), None
        student = self.student if task in STUDENT_TASKS else None
        guidance = default_guidance(task, student is not None, self.sync_model is not None)
        if not isinstance(self.generator, JointDiT):  # gradients of a large model take too much memory
            guidance = replace(guidance, sync_scale=0.0)
        return guidance, student

    @torch.no_grad()
    def sample_clips(
        self,
        prompts: Sequence[str],
        spec: LatentSpec,
        task: Task,
        given: Latents,
        seed: int,
        sampling: Sampling,
    ) -> list[Clip]:
        """Clips of `spec`, one for each prompt: `sample_latents`, decoded."""
        return self.decoded(self.sample_latents(prompts, spec, task, given, seed, sampling), spec)

    @torch.no_grad()
    def decoded(self, latents: Latents, spec: LatentSpec) -> list[Clip]:
        """Latents (B, ...) of `spec` as clips."""
        rows = len(latents.present()[0])
        with autocast_if_faster(self.device):
            frames, wave = (  # (B, 3, T, H, W), (B, A, N)
                [None] * rows if each is None else codec.decode(each, spec.clip).float().cpu()
                for each, codec in zip(latents, (self.video_codec, self.audio_codec), strict=True)
            )
        rates = spec.clip.frames_per_second, spec.clip.sample_rate
        return [Clip(*each, *rates) for each in zip(frames, wave, strict=True)]

    @torch.no_grad()
    def sample_latents(
        self,
        prompts: Sequence[str],
        spec: LatentSpec,
        task: Task,
        given: Latents,
        seed: int,
        sampling: Sampling,
    ) -> Latents:
        """Latents of clips of `spec` (whatever `sampling.size` is), one for each prompt.

        Candidate k of clip i has the noise of row `seed` + i of an endless batch with the seed k.
        """
        steps, num_candidates = sampling.steps, sampling.num_candidates
        guidance, student = self.resolved(task.name, sampling.guidance)
        if num_candidates is None:
            num_candidates = NUM_CANDIDATES.get(task.name, 1)
        for name, count in (("steps", steps), ("num_candidates", num_candidates)):
            if count < 1:
                raise InputError(f"{name} is {count}; it must be at least 1")
        for prompt in prompts:
            check_prompt(self, prompt)
        model, reward_fn = self.part("generator"), None
        if self.sync_model is not None:
            audio_given = task.audio is all_given
            reward_fn = sync_reward(
                self.sync_model, self.video_codec, self.audio_codec, spec.clip, audio_given
            )
        # A video model with one noise level per clip denoises all frames together.
        lead = FIRST_FRAME_LEAD.get(task.name, 0) if getattr(model, "levels", "token") != "clip" else 0
        with autocast_if_faster(self.device):
            candidates = [
                generate(
                    model, prompts, spec, given, task, steps=steps, guidance=guidance, seed=candidate,
                    first_row=seed, student=student, reward_fn=reward_fn,
                    first_frame_lead=round(lead * steps), on_step_end=self.on_step_end,
                )
                for candidate in range(num_candidates if model.coupling.cross_modal else 1)
            ]  # fmt: skip
            return candidates[0] if len(candidates) == 1 else rerank(model, prompts, spec, candidates, seed)

    @torch.no_grad()
    def encode_video(self, frames: Tensor) -> Tensor:
        """(3, T, H, W) -> latents (1, Dv, t, h, w)."""
        with autocast_if_faster(self.device):
            return self.video_codec.encode(frames[None].to(self.device))

    @torch.no_grad()
    def encode_audio(self, wave: Tensor) -> Tensor:
        """(A, N) -> latents (1, Da, l)."""
        with autocast_if_faster(self.device):
            return self.audio_codec.encode(wave[None].to(self.device))

    def latent_spec(self, seconds: float | None, size: tuple[int, int] | None) -> LatentSpec:
        """The spec of latents of clips of at least `seconds`; by default, of the training clips."""
        seconds = self.spec.seconds if seconds is None else seconds
        for part in ("generator", "video_codec", "audio_codec"):
            self.part(part)
        height, width = self.spec.size if size is None else size
        if seconds > MAX_LENGTH * self.spec.seconds or (height, width) != self.spec.size:
            trained = f"{self.spec.seconds:g} s of {self.spec.width} x {self.spec.height}"
            warn_once(
                f"{seconds:g} s of {width} x {height}: trained on clips of {trained}; expect lower quality"
            )
        clip = replace(self.clip_spec(seconds), height=height, width=width)
        self.check_pixels(seconds, size)
        video, audio = self.video_codec, self.audio_codec
        return LatentSpec(clip, video.time_stride, video.space_stride, audio.hop)

    def check_pixels(self, seconds: float, size: tuple[int, int] | None) -> None:
        """Refuse a clip that is too large for memory.

        Raises:
            InputError: more than `MAX_PIXELS` in all frames, or an invalid length.
        """
        height, width = self.spec.size if size is None else size
        frames = self.clip_spec(seconds).frames
        if frames * height * width > MAX_PIXELS:
            raise InputError(f"{frames} frames of {width} x {height}: more than {MAX_PIXELS:,} pixels in all")

    def clip_spec(self, seconds: float) -> ClipSpec:
        """The spec of the training clips, but at least `seconds` long, in whole frames."""
        exact = replace(self.spec, seconds=seconds)  # refuses an invalid length
        return replace(exact, seconds=frames_over(seconds, exact.frames_per_second) / exact.frames_per_second)

    def decode_video(self, video: Tensor, spec: ClipSpec) -> Clip:
        """Video latents (Dv, t, h, w) as a silent clip of `spec`."""
        with torch.no_grad(), autocast_if_faster(self.device):
            frames = self.part("video_codec").decode(video[None].to(self.device), spec)
        return Clip(frames[0].float().cpu(), None, spec.frames_per_second, spec.sample_rate)

    def part(self, name: str) -> Any:
        """One of the models.

        Raises:
            InputError: it is absent.
        """
        part = getattr(self, name)
        if part is None:
            raise InputError(f"{self.source}: holds no {name}, which is needed here")
        return part

    @property
    def device(self) -> torch.device:
        """The device of the models."""
        return next(next(iter(self.parts().values())).parameters()).device

    def __repr__(self) -> str:
        return f"Simulator({self.source}: {', '.join(self.parts())}; clips of {self.spec})"

    def parts(self) -> dict[str, nn.Module]:
        """The models that are present, by name."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: part for name, part in found.items() if isinstance(part, nn.Module)}
