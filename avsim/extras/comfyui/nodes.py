"""The nodes: parameters are those of methods of `Simulator`; `checkpoint` is as `avsim.load` takes it."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

from torch import Tensor
from torch.nn.functional import interpolate

from avsim.clip import Clip, Region
from avsim.devices import accelerator
from avsim.errors import InputError
from avsim.extras.comfyui.sockets import audio_of, clip_of, frames_of, images_of, video_of
from avsim.models.pair import Latents
from avsim.prompting import rewrite
from avsim.simulator import Simulator, load

CATEGORY = "avsim"
CHECKPOINT = ("STRING", {"default": "small", "tooltip": "small, a run's folder, or owner/name on the hub"})
PROMPT = ("STRING", {"default": "", "multiline": True})
SEED = ("INT", {"default": 0, "min": 0, "max": 2**63 - 1, "control_after_generate": True})
STEPS = ("INT", {"default": 8, "min": 1, "max": 1000})
SECONDS = ("FLOAT", {"default": 2.0, "min": 0.1, "max": 3600.0, "step": 0.1})
SCALE = ("FLOAT", {"default": 0.0, "min": 0.0, "max": 20.0, "step": 0.1, "tooltip": "0: the model's default"})
REWRITE = ("BOOLEAN", {"default": True, "tooltip": "write the prompt as the model's captions are written"})

_load = lru_cache(maxsize=1)(load)  # ComfyUI calls a node anew for each change of its parameters


def _simulator(checkpoint: str, steps: int) -> Simulator:
    """A model that shows its steps in ComfyUI's progress bar, and that can be stopped there."""
    from comfy.model_management import throw_exception_if_processing_interrupted  # type: ignore
    from comfy.utils import ProgressBar  # type: ignore

    bars: list[Any] = []

    def step_end(step: int, level: float, latents: Latents) -> None:
        throw_exception_if_processing_interrupted()
        if step == 0:  # of a window or candidate
            bars.append(ProgressBar(steps))
        bars[-1].update(1)

    return replace(_load(checkpoint, device=accelerator()), on_step_end=step_end)


def _outputs(clip: Clip) -> tuple[Any, Tensor, dict[str, Any]]:
    """VIDEO, IMAGE and AUDIO of a clip."""
    assert clip.wave is not None
    return video_of(clip), images_of(clip), audio_of(clip.wave, clip.sample_rate)


class Generate:
    """Video and audio from a prompt; with an image, a clip that starts with it."""

    CATEGORY = CATEGORY
    FUNCTION = "generate"
    RETURN_TYPES = ("VIDEO", "IMAGE", "AUDIO")
    RETURN_NAMES = ("video", "images", "audio")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802
        """The node's sockets and parameters."""
        required: dict[str, Any] = {
            "checkpoint": CHECKPOINT,
            "prompt": PROMPT,
            "negative_prompt": PROMPT,
            "seconds": SECONDS,
            "width": ("INT", {"default": 64, "min": 8, "max": 16384, "step": 8}),
            "height": ("INT", {"default": 64, "min": 8, "max": 16384, "step": 8}),
            "steps": STEPS,
            "guidance_scale": SCALE,
            "audio_guidance_scale": SCALE,
            "modality_scale": SCALE,
            "seed": SEED,
            "rewrite_prompt": REWRITE,
        }
        return {"required": required, "optional": {"image": ("IMAGE",)}}

    def generate(
        self,
        checkpoint: str,
        prompt: str,
        negative_prompt: str,
        seconds: float,
        width: int,
        height: int,
        steps: int,
        guidance_scale: float,
        audio_guidance_scale: float,
        modality_scale: float,
        seed: int,
        rewrite_prompt: bool,
        image: Tensor | None = None,
    ) -> tuple[Any, Tensor, dict[str, Any]]:
        """One clip: video, its images, its audio."""
        simulator = _simulator(checkpoint, steps)
        scales = {
            "guidance_scale": guidance_scale,
            "audio_guidance_scale": audio_guidance_scale,
            "modality_scale": modality_scale,
        }
        given: dict[str, Any] = {name: scale for name, scale in scales.items() if scale > 0}
        if negative_prompt.strip():
            given["negative_prompt"] = negative_prompt
        if rewrite_prompt and prompt.strip():
            prompt = rewrite(prompt, checkpoint)
        task = "joint" if image is None else "animate"
        how: dict[str, Any] = {
            "seconds": seconds,
            "seed": seed,
            "size": (height, width),
            "steps": steps,
            "guidance": simulator.task_guidance(task, **given) if given else None,
        }
        if image is None:
            return _outputs(simulator.generate(prompt, **how))
        return _outputs(simulator.animate(Clip(frames_of(image[:1]), None), prompt, **how))


class Foley:
    """Audio for a video, whose frames stay as they are."""

    CATEGORY = CATEGORY
    FUNCTION = "foley"
    RETURN_TYPES = ("VIDEO", "AUDIO")
    RETURN_NAMES = ("video", "audio")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802
        """The node's sockets and parameters."""
        prompt = (PROMPT[0], PROMPT[1] | {"tooltip": "empty: a caption of the video by the detectors"})
        required: dict[str, Any] = {
            "video": ("VIDEO",),
            "checkpoint": CHECKPOINT,
            "prompt": prompt,
            "steps": STEPS,
        }
        return {"required": required | {"seed": SEED, "rewrite_prompt": REWRITE}}

    def foley(
        self, video: Any, checkpoint: str, prompt: str, steps: int, seed: int, rewrite_prompt: bool
    ) -> tuple[Any, dict[str, Any]]:
        """The video with generated audio, and the audio."""
        if rewrite_prompt and prompt.strip():
            prompt = rewrite(prompt, checkpoint)
        clip = clip_of(video).without_audio()
        made = _simulator(checkpoint, steps).foley(
            clip, prompt if prompt.strip() else None, seed, steps=steps
        )
        made_video, _, audio = _outputs(made)
        return made_video, audio


class Extend:
    """A video with audio, continued; it leaves at the model's own rates and size."""

    CATEGORY = CATEGORY
    FUNCTION = "extend"
    RETURN_TYPES = ("VIDEO", "IMAGE", "AUDIO")
    RETURN_NAMES = ("video", "images", "audio")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802
        """The node's sockets and parameters."""
        required: dict[str, Any] = {
            "video": ("VIDEO",),
            "checkpoint": CHECKPOINT,
            "prompt": PROMPT,
            "seconds": SECONDS,
        }
        required |= {"backward": ("BOOLEAN", {"default": False}), "steps": STEPS, "seed": SEED}
        return {"required": required | {"rewrite_prompt": REWRITE}}

    def extend(
        self,
        video: Any,
        checkpoint: str,
        prompt: str,
        seconds: float,
        backward: bool,
        steps: int,
        seed: int,
        rewrite_prompt: bool,
    ) -> tuple[Any, Tensor, dict[str, Any]]:
        """The longer clip: video, its images, its audio."""
        if rewrite_prompt and prompt.strip():
            prompt = rewrite(prompt, checkpoint)
        simulator = _simulator(checkpoint, steps)
        made = simulator.extend(clip_of(video), prompt, seconds, seed, steps=steps, backward=backward)
        return _outputs(made)


class Separate:
    """The audio of a region of a video, and the rest of it; together they are the video's audio."""

    CATEGORY = CATEGORY
    FUNCTION = "separate"
    RETURN_TYPES = ("AUDIO", "AUDIO")
    RETURN_NAMES = ("region", "rest")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802
        """The node's sockets and parameters."""
        return {"required": {"video": ("VIDEO",), "mask": ("MASK",), "checkpoint": CHECKPOINT}}

    def separate(self, video: Any, mask: Tensor, checkpoint: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Stems of the mask and of everything else. One mask stays where it is, T of them move with it.

        Raises:
            InputError: neither 1 mask nor one for each frame, an empty one, or a video without audio.
        """
        clip = clip_of(video)
        assert clip.frames is not None
        count, size = clip.frames.shape[1], tuple(clip.frames.shape[2:])
        if mask.ndim != 3 or mask.shape[0] not in (1, count):
            raise InputError(f"mask is {tuple(mask.shape)}; expected (1, H, W) or ({count}, H, W)")
        fitted = interpolate(mask[None].float().cpu().clamp(0, 1), size, mode="nearest")[0]
        region = Region(fitted if mask.shape[0] > 1 else fitted[0], "region")
        stems = _load(checkpoint, device=accelerator()).separate(clip, [region])
        one, rest = (audio_of(wave.cpu(), stems.sample_rate) for wave in stems.wave)
        return one, rest
