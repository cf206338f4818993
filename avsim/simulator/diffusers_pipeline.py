"""Pipelines of diffusers as generators: with audio (LTX-2), or silent, to be dubbed by avsim."""

import inspect
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from avsim.clip import Clip, samples_of
from avsim.errors import InputError, first_line_of


class DiffusersPipeline:
    """A text-to-video pipeline of diffusers, with or without audio.

    Args:
        name: a local folder in diffusers' format, or owner/name on the hub; none of its code is run.
        device: where it runs.

    Raises:
        InputError: diffusers is not installed, there is no such pipeline, or one that takes no prompt.
    """

    def __init__(self, name: str, device: str | torch.device = "cpu") -> None:
        try:
            from diffusers import DiffusionPipeline
        except ImportError as error:
            raise InputError("--pipeline needs `pip install avsim[pretrained]`") from error
        try:
            self.pipeline: Any = DiffusionPipeline.from_pretrained(name, use_safetensors=True).to(device)
        except Exception as error:  # parts of a pipeline raise errors of several libraries
            reason = first_line_of(error)
            raise InputError(f"--pipeline {name}: no pipeline can be loaded from here ({reason})") from error
        self.name = name
        self.arguments = inspect.signature(self.pipeline.__call__).parameters
        missing = [each for each in ("prompt", "num_frames", "height", "width") if each not in self.arguments]
        if missing:
            raise InputError(
                f"--pipeline {name}: a {type(self.pipeline).__name__} makes no video from text (it does not "
                f"accept {', '.join(missing)})"
            )
        self.pipeline.set_progress_bar_config(disable=True)

    def generate(
        self,
        prompt: str,
        seconds: float | None = None,
        seed: int = 0,
        size: tuple[int, int] | None = None,
        steps: int | None = None,
        frames_per_second: float | None = None,
    ) -> Clip:
        """A clip of the pipeline's own rates; by default of its own length, size (H, W) and steps.

        Raises:
            InputError: a length or size that the pipeline refuses.
        """
        rate = frames_per_second or self.frame_rate
        options: dict[str, Any] = {"prompt": prompt, "generator": torch.Generator("cpu").manual_seed(seed)}
        if seconds is not None:
            stride = self._time_stride()
            options["num_frames"] = 1 + stride * max(0, round((seconds * rate - 1) / stride))
        if size is not None:
            options |= {"height": size[0], "width": size[1]}
        if steps is not None:
            options["num_inference_steps"] = steps
        if "frame_rate" in self.arguments:
            options["frame_rate"] = rate
        try:
            made = self.pipeline(**options, output_type="pt")
        except ValueError as error:
            raise InputError(f"--pipeline {self.name}: {first_line_of(error)}") from error
        frames = made.frames[0].float().cpu().clamp(0, 1).transpose(0, 1)  # (T, 3, H, W) -> (3, T, H, W)
        audio = getattr(made, "audio", None)
        if audio is None:
            return Clip(frames, None, rate)
        wave, sample_rate = self._wave(audio), self._sample_rate()
        owned = samples_of(frames.shape[1], rate, sample_rate)
        return Clip.fitted(frames, wave[:, : max(1, owned)], rate, sample_rate)

    @property
    def frame_rate(self) -> float:
        """Frames per second that the pipeline was trained for: its argument's default, else Wan's 16."""
        if (
            "frame_rate" in self.arguments
            and self.arguments["frame_rate"].default is not inspect.Parameter.empty
        ):
            return float(self.arguments["frame_rate"].default)
        expands = bool(getattr(self.pipeline.config, "expand_timesteps", False))  # Wan 2.2 TI2V
        return 24.0 if expands else 16.0

    def _time_stride(self) -> int:
        names = ("vae_scale_factor_temporal", "vae_temporal_compression_ratio")
        return next((int(getattr(self.pipeline, name)) for name in names if hasattr(self.pipeline, name)), 4)

    def _sample_rate(self) -> int:
        for part in ("vocoder", "audio_vae"):
            config = getattr(getattr(self.pipeline, part, None), "config", {})
            for key in ("output_sampling_rate", "sampling_rate", "sample_rate"):
                if config.get(key):
                    return int(config[key])
        raise InputError(f"--pipeline {self.name}: returns audio, but its configs have no sample rate")

    @staticmethod
    def _wave(audio: Any) -> Tensor:
        wave = torch.as_tensor(audio[0]).float().cpu()
        return (wave[None] if wave.ndim == 1 else wave[:2]).clamp(-1, 1)  # (A, N)


def generate_with(arguments: Any) -> None:
    """`avsim generate --pipeline NAME [--dub RUN]`: clips of a pipeline; with --dub, their audio by a run.

    Raises:
        InputError: options of avsim's own generators beside `--pipeline`.
    """
    from avsim import media
    from avsim.cli.generation import FILES, ONLY_WITH, SCALES
    from avsim.cli.narrate import narration, settings
    from avsim.data.resuming import check_own, check_settings
    from avsim.devices import accelerator
    from avsim.files import claimed
    from avsim.simulator.loading import load
    from avsim.simulator.samples import entry, write_listing
    from avsim.speech import narrate

    own = (*FILES, *ONLY_WITH, *SCALES, "last_image", "only", "prompts", "negative_prompt", "fps", "motion",
           "num_candidates")  # fmt: skip
    if given := [name.replace("_", "-") for name in own if getattr(arguments, name) not in (None, False)]:
        raise InputError(
            f"--pipeline generates from --prompt alone; --{given[0]} is of avsim's own generators"
        )
    prompts = [prompt for prompt in arguments.prompt or [] if prompt]
    if len(prompts) != 1:
        found = f"{len(prompts)} are" if prompts else "none is"
        raise InputError(f"--pipeline generates from a --prompt; {found} given")
    arguments.prompt = prompts[0]
    out, single = arguments.out, bool(arguments.out.suffix) and not arguments.out_is_folder
    if single and arguments.count > 1:
        raise InputError(f"--out {out}: is one file; give a folder for {arguments.count} clips")
    if single:
        media.check_name(out)
    speech = narration(arguments, out if single else Path("0000.mp4"))
    device = accelerator()
    peer = DiffusersPipeline(arguments.pipeline, device)
    dub = None if arguments.dub is None else load(arguments.dub, device=device)

    def made(seed: int) -> Clip:
        clip = peer.generate(arguments.prompt, arguments.seconds, seed, arguments.size, arguments.steps)
        clip = clip if dub is None else dub.foley(clip.without_audio(), arguments.prompt, seed=seed)
        return clip if speech is None else narrate(clip, speech, arguments.speech_mix == "under")

    if single:
        media.write(made(arguments.seed), out)
        return print(out)
    check_own(out, "clips of avsim generate")
    names = ("pipeline", "dub", "prompt", "seconds", "steps", "seed")
    same = {name: getattr(arguments, name) for name in names} | settings(arguments)
    entries = []
    with claimed(out) as folder:
        check_settings(folder, {**same, "size": arguments.size and list(arguments.size)}, "clips generated")
        for index in range(arguments.count):
            path, seed = Path(out) / f"{index:04d}.mp4", arguments.seed + index
            entries.append(entry(path.name, arguments.prompt, seed, "joint"))
            if not path.exists():
                media.write(made(seed), path)
        write_listing(entries, out)
    print(out)
