"""What a captioner is, and which one a name means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from avsim.clip import Clip
from avsim.devices import accelerator
from avsim.errors import InputError, first_line_of
from avsim.media.encode import to_bytes
from avsim.models.pipelines import HUB
from avsim.prompting.chat import first_line
from avsim.weights import allowed_function

Captioner = Callable[[Clip, int], Mapping[str, str]]
"""captioner(clip, seed) -> captions by style; none of a clip without content. `seed` is of free choices.

Raises:
    InputError: a clip that it can't caption.
"""
STYLES = {  # prompts of a vision-language model; it receives no audio
    "short": "These are frames of one video, in order. Describe the video in one short sentence.",
    "full": "These are frames of one video, in order. Describe the video in detail, in one paragraph: every "
    "thing with its colour, material and place, what each does and when, the camera, the surroundings.",
    "paraphrased": "These are frames of one video, in order. Write the prompt, in one sentence, with which "
    "somebody would ask for such a video.",
}
FRAMES = 8  # of a clip that a vision-language model receives
LENGTH = 256  # tokens of a caption
LONGEST = 4000  # characters of a caption


def captioner_of(name: str) -> Captioner:
    """The captioner of a name.

    Args:
        name: "detectors", avsim's own for clips of the synthetic worlds; "transformers:MODEL", a
            vision-language model in a folder or on the hub; or "module:function", a function of a `Clip` that
            returns a caption or captions by style, of a module that is allowed (`--allow-module`).

    Raises:
        InputError: no such captioner, or one that is not installed.
    """
    kind, found, rest = name.partition(":")
    if name == "detectors":
        return detectors()
    if kind == "transformers" and rest:
        return vision_language_model(rest)
    if not found or kind in ("detectors", "transformers"):
        raise InputError(f"captioner {name!r:.60}: expected detectors, transformers:MODEL or module:function")
    function = allowed_function(name)
    return lambda clip, seed: checked(function(clip), name)


def checked(found: Any, name: str) -> dict[str, str]:
    """What a user's function returned, by style; a caption alone is "short".

    Raises:
        InputError: something else.
    """
    styles = {"short": found} if isinstance(found, str) else found
    if not isinstance(styles, Mapping) or not all(
        isinstance(style, str) and style and isinstance(caption, str) for style, caption in styles.items()
    ):
        raise InputError(f"{name} returned {found!r:.60}; expected a caption, or captions by style")
    return {style: " ".join(caption.split())[:LONGEST] for style, caption in styles.items()}


def detectors() -> Captioner:
    """Captions of what the bundled video detector finds, in the words of the worlds' own captions.

    Raises:
        InputError: in a call, a clip without video, or one that looks unlike the synthetic worlds.
    """
    from dataclasses import replace

    from avsim.perception.captioner import describe_in_styles
    from avsim.perception.detect import detect_video
    from avsim.simulator import load
    from avsim.simulator.resize import frames_for

    simulator = load("small", device=accelerator())
    detector = simulator.part("video_detector")

    def caption(clip: Clip, seed: int) -> dict[str, str]:
        if clip.frames is None:
            raise InputError("has no video")
        if simulator.is_out_of_distribution(clip):
            raise InputError("looks unlike what the detectors were trained on")
        spec = replace(simulator.spec, seconds=clip.seconds)
        view = detect_video(detector, Clip(frames_for(clip, spec), None, spec.frames_per_second))
        return describe_in_styles(view, spec.frames_per_second, seed)

    return caption


def vision_language_model(name: str) -> Captioner:
    """A vision-language model of transformers: it receives `FRAMES` frames and each prompt of `STYLES`.

    Raises:
        InputError: transformers is not installed, no such model at `name`, or one without a chat template.
    """
    try:
        import transformers
    except ImportError as error:
        raise InputError("captions by a model need `pip install 'avsim[pretrained]'`") from error
    if not Path(name).is_dir() and not HUB.fullmatch(name):
        raise InputError(f"transformers:{name:.60}: no such folder; expected one, or owner/name on the hub")
    try:
        processor: Any = transformers.AutoProcessor.from_pretrained(name)
        model: Any = transformers.AutoModelForImageTextToText.from_pretrained(name, use_safetensors=True)
    except (OSError, ValueError, KeyError, ImportError) as error:
        reason = first_line_of(error)
        raise InputError(f"transformers:{name}: no vision-language model can be loaded ({reason})") from error
    if not getattr(processor, "chat_template", None):
        raise InputError(f"transformers:{name}: its processor has no chat template; choose a chat model")
    model = model.eval().to(accelerator())

    @torch.inference_mode()
    def caption(clip: Clip, seed: int) -> dict[str, str]:
        if clip.frames is None:
            raise InputError("has no video")
        images = [to_bytes(image) for image in spread(clip.frames).unbind(1)]  # (H, W, 3) each
        captions = {}
        for style, prompt in STYLES.items():
            content = [*({"type": "image"} for _ in images), {"type": "text", "text": prompt}]
            text = processor.apply_chat_template(
                [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
            )
            given = processor(text=text, images=images, return_tensors="pt").to(model.device, model.dtype)
            tokens = model.generate(**given, max_new_tokens=LENGTH, do_sample=False)
            answer = processor.decode(tokens[0, given["input_ids"].shape[1] :], skip_special_tokens=True)
            captions[style] = first_line(answer)[:LONGEST]
        return {style: each for style, each in captions.items() if each}

    return caption


def spread(frames: Tensor) -> Tensor:
    """At most `FRAMES` of the frames (3, T, H, W), evenly spaced."""
    count = frames.shape[1]
    at = ((torch.arange(FRAMES) + 0.5) * count / FRAMES).long() if count > FRAMES else torch.arange(count)
    return frames[:, at]
