"""`AVPipeline`: a simulator behind the interface of a diffusers pipeline. Argument names follow LTX-2's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from einops import rearrange
from torch import Tensor

from avsim.clip import Clip, Region, Stems
from avsim.diffusion.generate import STEPS, OnStepEnd
from avsim.errors import InputError
from avsim.models.pair import Latents
from avsim.simulator import Condition, Simulator, load
from avsim.simulator.prompts import warn_once
from avsim.simulator.resize import at_rate

if TYPE_CHECKING:
    from avsim.diffusion import Guidance

OUTPUT_TYPES = ("pil", "np", "pt")
TENSOR_INPUTS = ("latents", "audio_latents")  # what `callback_on_step_end` may receive
TIMESTEPS = 1000  # of diffusers' schedulers: a timestep is the noise level times this

CONDITIONED = "extend"  # the task of a clip with given frames

StepCallback = Callable[["AVPipeline", int, Tensor, dict[str, Tensor]], dict[str, Tensor]]


@dataclass(frozen=True, eq=False)
class AVPipelineOutput:
    """Clips as the output types of diffusers' video pipelines.

    Shapes: frames with "pil" a list of B lists of T images, with "np" an array (B, T, H, W, 3), with "pt" a
    tensor (B, T, 3, H, W), values in [0, 1]; audio a tensor (B, A, N) in [-1, 1].
    """

    frames: Any
    audio: Tensor
    sampling_rate: int  # Hz
    frame_rate: float
    clips: list[Clip]  # the same, each with `write`
    stems: list[Stems] | None = None  # of each clip, if regions were given


class AVPipeline:
    """Video and audio from text, called as a pipeline of diffusers: a thin layer over `Simulator`."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator

    @classmethod
    def from_pretrained(cls, name: str | Path, device: str | torch.device = "cpu") -> AVPipeline:
        """Load "small", a run's folder, or a model on the hub, "owner/name".

        Raises:
            InputError: no such model, as `avsim.load`.
        """
        return cls(load(name, device=device))

    def to(self, device: str | torch.device) -> AVPipeline:
        """Move all models to a device."""
        for part in self.simulator.parts().values():
            part.to(device)
        return self

    @property
    def device(self) -> torch.device:
        """The device of the models."""
        return self.simulator.device

    def __call__(
        self,
        prompt: str | Sequence[str],
        negative_prompt: str | Sequence[str] | None = None,
        height: int | None = None,
        width: int | None = None,
        num_frames: int | None = None,
        frame_rate: float | Fraction | None = None,
        num_inference_steps: int = STEPS,
        guidance_scale: float | None = None,
        audio_guidance_scale: float | None = None,
        modality_scale: float | None = None,
        generator: torch.Generator | Sequence[torch.Generator] | None = None,
        conditions: Sequence[Condition] = (),
        output_type: str = "pil",
        callback_on_step_end: StepCallback | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
        regions: Sequence[Region] | None = None,
    ) -> AVPipelineOutput:
        """Generate a clip for each prompt.

        Args:
            prompt: a prompt, or a list of them. It is not rewritten; see `avsim.prompting.rewrite`.
            negative_prompt: what to move away from: one for all clips, or one for each.
            height: of the frames in pixels, by default that of the training clips.
            width: likewise.
            num_frames: of each clip, by default as many as in a training clip.
            frame_rate: in frames per second. The model's own is the default; for another one the generated
                frames are resampled in time, with a warning.
            num_inference_steps: number of sampler steps.
            guidance_scale: how much video and audio follow the prompt. Without any scale or negative prompt
                the model's defaults hold, and its distilled student generates if there is one.
            audio_guidance_scale: the same for the audio alone.
            modality_scale: how much the video follows its audio.
            generator: only its seed counts, and the generator is left as it is: clip i of a list has the seed
                plus i. A list has a generator for each prompt. Without one, the seed is taken from torch's
                global generator.
            conditions: frames that each clip has at some times.
            output_type: "pil", "np" or "pt"; the audio is a tensor with each of them.
            callback_on_step_end: called after each step with the pipeline, the step's number, its timestep
                (1000 times the highest noise level before it) and a dict of tensors; tensors of the same
                names in the dict that it returns replace them.
            callback_on_step_end_tensor_inputs: names of these tensors: "latents" (B, Dv, t, h, w),
                "audio_latents" (B, Da, l).
            regions: of the frames, for a stem each.

        Raises:
            InputError: an argument that can't be used, or a model that lacks a part.
        """
        prompts, single = _prompts(prompt), not isinstance(generator, list | tuple)
        negatives = _each(negative_prompt, len(prompts), "negative_prompt")
        seeds = _seeds(generator, len(prompts))
        _check(output_type, callback_on_step_end, callback_on_step_end_tensor_inputs)
        spec = self.simulator.spec
        size = (spec.height if height is None else height, spec.width if width is None else width)
        for name, value in (("height", size[0]), ("width", size[1]), ("num_frames", num_frames)):
            if value is not None and not (isinstance(value, int) and value >= 1):
                raise InputError(f"{name} is {value!r:.40}; expected a whole number of at least 1")
        rate = spec.frames_per_second if frame_rate is None else float(frame_rate)
        if not 0 < rate < float("inf"):
            raise InputError(f"frame_rate is {frame_rate}; expected a positive number")
        seconds = spec.seconds if num_frames is None else num_frames / rate
        scales = {"guidance_scale": guidance_scale, "audio_guidance_scale": audio_guidance_scale}
        scales |= {"modality_scale": modality_scale}
        simulator = self.simulator
        if callback_on_step_end is not None:
            step_end = self._step_end(callback_on_step_end, callback_on_step_end_tensor_inputs)
            simulator = replace(simulator, on_step_end=step_end)
        shared: dict[str, Any] = {"seconds": seconds, "size": size, "steps": num_inference_steps}
        given = _conditions(conditions)
        task, shared = ("joint", shared) if not given else (CONDITIONED, shared | {"conditions": given})
        if single and len(set(negatives)) == 1 and not given:
            guidance = self._guidance(task, negatives[0], scales)
            clips = simulator.batch(prompts, seed=seeds[0], guidance=guidance, **shared)
        else:
            clips = [
                simulator.generate(text, seed=seed, guidance=self._guidance(task, negative, scales), **shared)
                for text, seed, negative in zip(prompts, seeds, negatives, strict=True)
            ]
        clips = [_at_rate(clip, rate, num_frames) for clip in clips]
        stems = None if regions is None else [simulator.separate(clip, regions) for clip in clips]
        audio = torch.stack([clip.wave for clip in clips if clip.wave is not None])
        return AVPipelineOutput(
            _frames(clips, output_type), audio, int(clips[0].sample_rate), rate, clips, stems
        )

    def _guidance(
        self, task: str, negative_prompt: str | None, scales: dict[str, float | None]
    ) -> Guidance | None:
        """The default guidance with what was given; None: the defaults, and the student."""
        given: dict[str, Any] = {name: scale for name, scale in scales.items() if scale is not None}
        if negative_prompt is not None:
            given["negative_prompt"] = negative_prompt
        return self.simulator.task_guidance(task, **given) if given else None

    def _step_end(self, callback: StepCallback, names: Sequence[str]) -> OnStepEnd:
        """A callback of diffusers' signature as the sampler calls it."""

        def step_end(step: int, level: float, latents: Latents) -> Latents | None:
            found = dict(zip(TENSOR_INPUTS, latents, strict=True))
            given = {name: found[name] for name in names}
            returned = callback(self, step, torch.tensor(TIMESTEPS * level), given)
            if not isinstance(returned, dict):
                raise InputError(
                    f"callback_on_step_end returned {returned!r:.40}; expected the dict that it was given"
                )
            return Latents(*(returned.get(name, found[name]) for name in TENSOR_INPUTS))

        return step_end


def _prompts(prompt: str | Sequence[str]) -> list[str]:
    found = [prompt] if isinstance(prompt, str) else list(prompt) if isinstance(prompt, list | tuple) else []
    if not found or not all(isinstance(text, str) for text in found):
        raise InputError(f"prompt is {prompt!r:.60}; expected a text or a list of texts")
    return found


def _conditions(conditions: Any) -> list[Condition]:
    if not isinstance(conditions, list | tuple) or not all(
        isinstance(each, Condition) for each in conditions
    ):
        raise InputError(f"conditions is {conditions!r:.60}; expected a list of avsim.Condition")
    return list(conditions)


def _each(value: Any, count: int, name: str) -> list[Any]:
    """A value for each of `count` prompts."""
    if not isinstance(value, list | tuple):
        return [value] * count
    if len(value) != count:
        raise InputError(f"{len(value)} of {name} for {count} prompts; expected one for each, or one for all")
    return list(value)


def _seeds(generator: Any, count: int) -> list[int]:
    """The seed of each clip."""
    if generator is None:
        first = int(torch.randint(2**31, ()))
        return list(range(first, first + count))
    generators = _each(generator, count, "generator")
    if not all(isinstance(each, torch.Generator) for each in generators):
        raise InputError(f"generator is {generator!r:.60}; expected a torch.Generator or a list of them")
    if not isinstance(generator, torch.Generator):
        return [each.initial_seed() for each in generators]
    return list(range(generator.initial_seed(), generator.initial_seed() + count))


def _check(output_type: str, callback: Any, names: Sequence[str]) -> None:
    if output_type not in OUTPUT_TYPES:
        raise InputError(f"output_type is {output_type!r}; expected one of {', '.join(OUTPUT_TYPES)}")
    if callback is not None and not callable(callback):
        raise InputError(f"callback_on_step_end is {callback!r:.40}; expected a function")
    if unknown := [name for name in names if name not in TENSOR_INPUTS]:
        raise InputError(
            f"callback_on_step_end_tensor_inputs has {unknown[0]!r}; there are {', '.join(TENSOR_INPUTS)}"
        )


def _at_rate(clip: Clip, rate: float, num_frames: int | None) -> Clip:
    """A clip at another frame rate; every frame is the one shown at its centre."""
    assert clip.frames is not None and clip.wave is not None
    if rate == clip.frames_per_second:
        return clip
    (made,) = at_rate(iter([clip]), rate, lambda text: warn_once(f"frame_rate: {text}"))
    assert made.frames is not None
    return Clip.fitted(made.frames[:, :num_frames], clip.wave, rate, clip.sample_rate)


def _frames(clips: Sequence[Clip], output_type: str) -> Any:
    """The frames of all clips as an output type."""
    frames = torch.stack([clip.frames for clip in clips if clip.frames is not None])  # (B, 3, T, H, W)
    if output_type == "pt":
        return rearrange(frames, "b c t h w -> b t c h w")
    arrays = rearrange(frames, "b c t h w -> b t h w c").numpy()
    if output_type == "np":
        return arrays
    try:
        from PIL import Image
    except ImportError as error:
        raise InputError('output_type "pil" needs `pip install pillow`; "np" and "pt" do not') from error
    return [[Image.fromarray((image * 255).round().astype("uint8")) for image in clip] for clip in arrays]
