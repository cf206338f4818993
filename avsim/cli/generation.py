"""What `avsim generate` is given, read for its task, and the clip of one prompt and seed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avsim.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from avsim.clip import Clip, Region
    from avsim.diffusion import Guidance
    from avsim.media import Windows
    from avsim.simulator import Shot, Simulator

    Given = Clip | Windows | list[Clip] | list[Shot] | None

CAPTIONED = 8.0  # seconds of a video by which it is captioned, where there is no prompt
# Options whose value is the path of what is given; one of them at most, but for the last image.
FILES = ("video", "audio", "image", "edit", "extend", "loop", "connect", "retake", "storyboard")
# Fields of `Guidance`, each a flag. Without any of them a distilled student generates, if there is one.
SCALES = {
    "guidance_scale": "how much video and audio follow the prompt (default 2, with --audio 1.5, with --edit "
    "3; 1: off)",
    "audio_guidance_scale": "the same for the audio alone (default: --guidance-scale)",
    "modality_scale": "how much the video follows its audio (default 3, with --audio 4; 1: off)",
    "audio_modality_scale": "how much the audio follows its video (default 8; 1: off)",
    "modality_start": "lowest noise level, as a share, of both modality scales and --sync-scale "
    "(default 0.5, with --audio 0.2)",
    "sync_scale": "step along the gradient of the sync model's reward, or of the audio likelihood "
    "(default 0.3 to 0.7 by task; 0: off)",
    "audio_text_scale": "how much the audio alone follows the prompt (default 2, with --audio 1; 1: off)",
}
# Tasks all of whose samplings have one guidance.
ONE_SAMPLING = ("joint", "foley", "visualize", "animate", "image", "audio")
ONLY_WITH = {  # options, and those of which one must be there
    "strength": ("edit", "image", "last_image"),
    "source_prompt": ("edit",),
    "keep": ("edit", "retake"),
    "backward": ("extend",),
    "start_time": ("retake",),
    "end_time": ("retake",),
    "region": ("retake",),
    "transition": ("storyboard",),
}


def task_of(arguments: argparse.Namespace) -> str:
    """The name of the task that the options imply."""
    if arguments.only is not None:
        return arguments.only
    if arguments.last_image is not None:
        return "keyframes"
    names = {"video": "foley", "audio": "visualize", "image": "animate"}
    given = next((name for name in FILES if getattr(arguments, name) is not None), None)
    return "joint" if given is None else names.get(given, given)


def check_options(arguments: argparse.Namespace, task: str) -> None:
    """Refuse options that belong to another task.

    Raises:
        InputError: an option without the one that it is for, or a task without what it needs.
    """
    for option, needed in ONLY_WITH.items():
        if getattr(arguments, option) not in (None, False) and all(
            getattr(arguments, name) is None for name in needed
        ):
            wanted = " or ".join(_flag(name) for name in needed)
            raise InputError(f"{_flag(option)} is of {wanted}, which is missing")
    if arguments.strength is not None and task == "animate":
        raise InputError("--strength is of --edit or --last-image, which is missing")
    if arguments.num_candidates is not None and task not in ("joint", "keyframes", "visualize"):
        raise InputError(f"--num-candidates is for a prompt and for --audio, not for {task}")
    if task == "retake" and (arguments.start_time is None or arguments.end_time is None):
        raise InputError("--retake needs --start-time and --end-time, in seconds")
    for option, only in (("size", "audio"), ("seconds", "image"), ("fps", "audio"), ("fps", "image")):
        if getattr(arguments, option) is not None and arguments.only == only:
            raise InputError(f"--{option}: --only {only} has none")
    if arguments.fps is not None and (task == "foley" or arguments.keep == "video"):
        raise InputError("--fps: the given video is kept as it is")
    if arguments.seconds is not None and task in ("retake", "storyboard"):
        raise InputError(f"--seconds: --{task} has lengths of its own")
    if task == "storyboard" and (arguments.prompt or arguments.prompts):
        raise InputError("--storyboard has prompts of its own; leave --prompt and --prompts out")


def _flag(option: str) -> str:
    return f"--{option.replace('_', '-')}"


def read_given(arguments: argparse.Namespace, simulator: Simulator, task: str) -> Given:
    """The given clip or clips, at the size and rates of the model. A whole video is read in windows.

    Raises:
        InputError: a file that can't be read, or lacks what the task needs.
    """
    from avsim import media

    if task == "foley":
        return media.Windows(arguments.video, arguments.seconds)
    if task == "visualize":
        return media.read(arguments.audio, seconds=arguments.seconds, want="wave")
    if task == "storyboard":
        from avsim.cli.prompt_files import read_shots

        shots, transition = read_shots(arguments.storyboard)
        arguments.transition = arguments.transition or transition or "cut"
        return shots
    if task in ("joint", "image", "audio") or arguments.loop is True:
        return None
    spec = simulator.spec
    size, rate = arguments.size or spec.size, spec.frames_per_second
    if task == "animate":
        return _image(arguments.image, size)
    if task == "keyframes":
        paths = [arguments.image, arguments.last_image]
        return [_image(path, size) for path in paths if path is not None]
    if task == "edit":
        heard = None if arguments.keep == "audio" else spec.sample_rate  # audio that is kept is written
        return media.read(arguments.edit, 0.0, arguments.seconds, size, rate, heard)
    paths = arguments.connect if task == "connect" else [getattr(arguments, task)]
    clips = []
    for path in paths:
        clips.append(media.read(path, 0.0, None, size, rate, spec.sample_rate, want="both"))
        _say_converted(path, clips[-1])
    return clips if task == "connect" else clips[0]


def _image(path: Path, size: tuple[int, int]) -> Clip:
    from avsim import media

    return media.read(path, 0.0, 1e-3, size, want="frames").first_frame()


def _say_converted(path: Path, clip: Clip) -> None:
    """Say that a file is read at another size or rate than its own."""
    from avsim import media

    info = media.probe(path)
    if info.size is None or info.frames_per_second is None or clip.frames is None:
        return
    own = (*info.size, round(info.frames_per_second, 3))
    read = (*clip.frames.shape[2:], round(clip.frames_per_second, 3))
    if own != read:
        shown = [f"{width}x{height} at {rate:g} fps" for height, width, rate in (own, read)]
        print(f"{path}: {shown[0]} is converted to {shown[1]}", file=sys.stderr)


def first_clip(given: Given) -> Clip | Windows | None:
    """Of what is given, what is checked and captioned."""
    if isinstance(given, list):
        from avsim.clip import Clip

        return given[0] if isinstance(given[0], Clip) else None
    return given


def beginning(given: Clip | Windows, simulator: Simulator) -> Clip:
    """The first seconds of a video, which are captioned."""
    from avsim.clip import Clip

    if isinstance(given, Clip):
        return given
    spec = replace(simulator.spec, seconds=min(given.seconds, CAPTIONED))
    return Clip(given(0.0, spec), None, spec.frames_per_second)


def source_of(arguments: argparse.Namespace) -> Path:
    """The path of what is given."""
    names = (*FILES, "last_image")
    found = next(path for name in names if (path := getattr(arguments, name)) is not None)
    return found[0] if isinstance(found, list) else found


def guidance_of(simulator: Simulator, arguments: argparse.Namespace, task: str) -> Guidance | None:
    """The task's guidance with the scales that were given; None: its defaults."""
    names = (*SCALES, "negative_prompt")
    said = {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}
    if "modality_start" in said:
        said["sync_start"] = said["modality_start"]
    return simulator.task_guidance(task, **said) if said else None


def resolved_guidance(simulator: Simulator, arguments: argparse.Namespace, task: str) -> dict[str, Any]:
    """What a clip is sampled with, for its entry in a listing; {} where parts of it are sampled otherwise.

    A student is guided by the sync model alone.
    """
    from avsim.simulator.sizes import is_composed

    if task not in ONE_SAMPLING or is_composed(simulator, arguments.size):
        return {}
    guidance, student = simulator.resolved(task, guidance_of(simulator, arguments, task))
    used = asdict(guidance)
    if student is not None:
        used = {name: value for name, value in used.items() if name.startswith("sync_")}
    return {"sampled_with": {"student": student is not None, **used}}


def settings_of(simulator: Simulator, arguments: argparse.Namespace, task: str) -> dict[str, Any]:
    """The arguments that all of `Simulator`'s methods have."""
    from avsim.diffusion.generate import STEPS

    steps = STEPS if arguments.steps is None else arguments.steps
    return {"size": arguments.size, "steps": steps, "guidance": guidance_of(simulator, arguments, task)}


def soundtrack(
    simulator: Simulator, arguments: argparse.Namespace, prompt: str, video: Windows, seed: int
) -> Iterator[Tensor]:
    """The audio of a video, in pieces (A, n) that are made as they are taken, with a bar."""
    from rich.progress import Progress

    how = settings_of(simulator, arguments, "foley")
    with Progress(transient=True) as progress:
        bar = progress.add_task("seconds of audio", total=video.seconds)
        for piece in simulator.soundtrack(video, video.seconds, prompt, seed, *how.values()):
            yield piece
            progress.advance(bar, piece.shape[1] / simulator.spec.sample_rate)


def stream_of(
    simulator: Simulator, arguments: argparse.Namespace, prompt: str, given: Any, task: str, seed: int
) -> Iterator[Clip] | None:
    """The pieces of a clip that is written while it is made, with a bar; None: it is made as a whole."""
    from avsim.simulator.models import MAX_LENGTH

    if task not in ("joint", "storyboard"):
        return None
    if task == "joint" and (
        arguments.seconds is None or arguments.seconds <= MAX_LENGTH * simulator.spec.seconds
    ):
        return None
    if arguments.num_candidates is not None:
        longest = MAX_LENGTH * simulator.spec.seconds
        raise InputError(
            f"--num-candidates: clips of more than {longest:g} s are written while they are made"
        )
    how = settings_of(simulator, arguments, "joint")
    if task == "storyboard":
        total = sum(shot.seconds for shot in given)
        pieces = simulator.stream(given, None, arguments.transition, seed, **how)
    else:
        total = arguments.seconds
        pieces = simulator.stream(prompt, total, seed=seed, **how)
    return _with_bar(pieces, total)


def _with_bar(pieces: Iterator[Clip], total: float) -> Iterator[Clip]:
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("seconds", total=total)
        for piece in pieces:
            yield piece
            progress.advance(bar, piece.seconds)


def make_clip(
    simulator: Simulator, arguments: argparse.Namespace, prompt: str, given: Any, task: str, seed: int
) -> Clip:
    """The clip of a prompt and a seed."""
    how: dict[str, Any] = {"seed": seed, **settings_of(simulator, arguments, task)}
    seconds, count = arguments.seconds, arguments.num_candidates
    match task:
        case "visualize":
            return simulator.visualize(given, prompt, num_candidates=count, **how)
        case "edit":
            if arguments.strength is not None:
                how["strength"] = arguments.strength
            if arguments.source_prompt is not None:
                how["source_prompt"] = arguments.source_prompt
            return simulator.edit(given, prompt, keep=arguments.keep, **how)
        case "extend":
            if arguments.backward:
                how["backward"] = True
            return simulator.extend(given, prompt, seconds, **how)
        case "loop":
            return simulator.loop(prompt if given is None else given, seconds, prompt, **how)
        case "connect":
            if seconds is not None:
                how["seconds"] = seconds
            return simulator.connect(given[0], given[1], prompt=prompt, **how)
        case "retake":
            region = _region(arguments, given)
            kept = {f"regenerate_{name}": arguments.keep != name for name in ("video", "audio")}
            start, end = arguments.start_time, arguments.end_time
            return simulator.retake(given, prompt, start, end, region, **kept, **how)
        case "image":
            return simulator.image(prompt, **how)
        case "audio":
            del how["size"]
            return simulator.audio(prompt, seconds, **how)
        case "animate":
            return simulator.animate(given, prompt, seconds, **how)
        case "keyframes":
            how["conditions"] = _conditions(arguments, simulator, given)
    if count is not None:
        how["num_candidates"] = count
    return simulator.generate(prompt, seconds, **how)


def _conditions(arguments: argparse.Namespace, simulator: Simulator, images: list[Clip]) -> list[Any]:
    """The first and the last image, at the beginning and the end."""
    from avsim.simulator import Condition

    seconds = simulator.spec.seconds if arguments.seconds is None else arguments.seconds
    strength = 1.0 if arguments.strength is None else arguments.strength
    times = [seconds] if arguments.image is None else [0.0, seconds]
    return [Condition(image.frames, at, strength) for image, at in zip(images, times, strict=True)]  # type: ignore[arg-type]


def _region(arguments: argparse.Namespace, clip: Clip) -> Region | None:
    """The box of `--region`, in pixels of the file, as a region of the clip that was read from it.

    Raises:
        InputError: other than four numbers, or a box outside the frame.
    """
    if arguments.region is None:
        return None
    from avsim import media
    from avsim.cli import numbers
    from avsim.clip import Region
    from avsim.simulator.resize import cover

    x, y, width, height = numbers("--region", arguments.region, 4)
    size = media.probe(arguments.retake).size
    assert size is not None and clip.frames is not None
    mask = Region.box(x, y, width, height, size).mask
    shown = cover(mask.expand(3, 1, -1, -1), (clip.frames.shape[2], clip.frames.shape[3]))[0, 0]
    return Region((shown > 0.5).float(), f"region {arguments.region}")
