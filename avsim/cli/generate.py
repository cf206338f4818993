"""`avsim generate`: clips with sound from words, a silent film, a sound or an image."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avsim.cli import (
    MOST_CLIPS,
    MOST_STEPS,
    Output,
    add_allow_module,
    local_path,
    model,
    seconds,
    size,
    whole,
    words,
)

if TYPE_CHECKING:
    from torch import Tensor

    from avsim.clip import Clip
    from avsim.diffusion import Guidance
    from avsim.media import Windows
    from avsim.simulator import Simulator

CAPTIONED = 8.0  # seconds of a film by which it is captioned, where there is no prompt
# Fields of `Guidance`, each a flag. Without any of them a distilled student generates, if there is one.
SCALES = {
    "guidance_scale": "how much video and audio follow the prompt (default 2, with --audio 1.5; 1: off)",
    "modality_scale": "how much the video follows its audio (default 3, with --audio 4; 1: off)",
    "audio_modality_scale": "how much the audio follows its video (default 8; 1: off)",
    "modality_start": "lowest noise level, as a share, of both modality scales and --sync-scale "
    "(default 0.5, with --audio 0.2)",
    "sync_scale": "how far the video follows the gradient of the audio's likelihood, or of a sync model "
    "(default 0.3 to 0.7 by task; 0: off)",
    "audio_text_scale": "how much the audio alone follows the prompt (default 2, with --audio 1; 1: off)",
}
SUFFIXES = {"image": ".png", "sound": ".wav"}  # of files in a folder; of all other tasks .mp4


def add(subparsers: Any) -> None:
    """Add the verb's arguments."""
    parser = subparsers.add_parser(
        "generate",
        help="make clips: video with its sound",
        description="Make clips from words alone, or the sound of a film, the picture of a sound, what "
        "follows an image or a film, a film made anew, a picture or a sound alone. What is wholly given "
        "comes back untouched; what goes on after an image or a film has the model's own size and rates.",
    )
    parser.add_argument(
        "--checkpoint",
        type=model,
        default="small",
        metavar="RUN",
        help="a run that trained a generator, or a hub id; by default what ships with avsim",
    )
    parser.add_argument(
        "--pipeline",
        type=model,
        metavar="NAME",
        help="a pipeline of diffusers in place of --checkpoint: its folder, or owner/name on the hub",
    )
    parser.add_argument(
        "--dub", type=model, metavar="RUN", help="with --pipeline: the run that makes the audio of its video"
    )
    parser.add_argument(
        "--prompt",
        type=words,
        help="what is to be seen and heard (with --video by default what is seen; '' tells nothing)",
    )
    given = parser.add_mutually_exclusive_group()
    given.add_argument("--video", type=local_path, metavar="FILM", help="make the sound of this film")
    given.add_argument("--audio", type=local_path, metavar="SOUND", help="make the picture of this sound")
    given.add_argument(
        "--image", type=local_path, metavar="IMAGE", help="make a clip that begins with this image"
    )
    given.add_argument(
        "--edit", type=local_path, metavar="FILM", help="draw this film (or sound) anew, as the prompt says"
    )
    given.add_argument("--extend", type=local_path, metavar="FILM", help="make this film go on for --seconds")
    given.add_argument("--only", choices=("image", "sound"), help="make a picture, or a sound, from words")
    parser.add_argument("--strength", type=float, help="of an edit, above 0 and at most 1 (default 0.6)")
    parser.add_argument("--keep", choices=("picture", "sound"), help="what an edit leaves untouched")
    parser.add_argument(
        "--seconds", type=seconds, help="length (default: that of the clips trained on, or of what is given)"
    )
    parser.add_argument(
        "--size", type=size, metavar="WxH", help="pixels (default: as the generator was trained)"
    )
    parser.add_argument(
        "--num-candidates",
        type=whole(most=MOST_STEPS),
        help="with --audio: videos to generate, to keep the one with the likeliest audio (default 3)",
    )
    parser.add_argument("--steps", type=whole(most=MOST_STEPS), help="of the sampler (default 8)")
    for name, text in SCALES.items():
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(flag, type=float, metavar="FLOAT", help=text.replace("%", "%%"))
    parser.add_argument(
        "--seed", type=whole(), default=0, help="of the first clip (default 0), others count on"
    )
    parser.add_argument(
        "-n", "--count", type=whole(most=MOST_CLIPS), default=1, help="how many clips (default 1)"
    )
    parser.add_argument(
        "--out",
        action=Output,
        required=True,
        metavar="PATH",
        help="a file for one clip; a folder for many, which exists or ends in / or has no suffix",
    )
    add_allow_module(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Draw the clips and write them."""
    from contextlib import nullcontext

    from rich.progress import track

    from avsim import media
    from avsim.data.resuming import check_own, check_settings
    from avsim.devices import accelerator
    from avsim.errors import InputError
    from avsim.files import claimed
    from avsim.media import Windows
    from avsim.simulator import load
    from avsim.simulator.samples import entry, write_listing

    count, out = arguments.count, arguments.out
    if count < 1:
        raise InputError(f"-n {count}: expected at least one clip")
    if arguments.pipeline is not None:
        from avsim.simulator.peers import generate_with

        return generate_with(arguments)
    if arguments.dub is not None:
        raise InputError(
            "--dub is for the video of a --pipeline; for a file it is --checkpoint RUN --video FILE"
        )
    for option in ("strength", "keep"):
        if getattr(arguments, option) is not None and arguments.edit is None:
            raise InputError(f"--{option} is of an edit; --edit FILM is missing")
    if arguments.num_candidates is not None and arguments.audio is None:
        raise InputError("--num-candidates is for the video of a given audio; --audio FILE is missing")
    for option, only in (("size", "sound"), ("seconds", "image")):
        if getattr(arguments, option) is not None and arguments.only == only:
            raise InputError(f"--{option}: --only {only} has none")
    single = bool(out.suffix) and not arguments.out_is_folder
    if single and count > 1:
        raise InputError(f"--out {out}: is one file; give a folder for {count} clips")
    if single:
        media.check_name(out)
    simulator = load(arguments.checkpoint, device=accelerator())
    given, task = _given(arguments, simulator)
    prompt = arguments.prompt
    if prompt is None:
        prompt = simulator.described(_beginning(given, simulator)) if task == "foley" else ""
        if prompt:
            print(f"seen: {prompt}", file=sys.stderr)
    entries = []
    if not single:
        check_own(out, "clips of avsim generate")
    with nullcontext() if single else claimed(out):
        if not single:
            check_settings(out, _settings(arguments, prompt), "clips drawn")
        for index in track(range(count), description="generating", disable=count == 1, transient=True):
            seed = arguments.seed + index
            path = out if single else out / f"{index:04d}{SUFFIXES.get(task, '.mp4')}"
            entries.append(entry(path.name, prompt, seed, task))
            if not single and path.exists():
                continue  # of an earlier run
            if isinstance(given, Windows):
                media.write_dubbed(
                    given.path,
                    _soundtrack(simulator, arguments, prompt, given, seed, path.parent),
                    simulator.spec.sample_rate,
                    path,
                )
                continue
            clip = _draw(
                simulator, arguments, prompt, given, task, seed
            )  # alone, so that company can't change its bits
            whole = arguments.seconds is None
            keep = arguments.keep
            media.write(
                clip,
                path,
                video_from=arguments.edit if keep == "picture" else None,
                audio_from=arguments.edit if keep == "sound" else arguments.audio if whole else None,
            )
        if not single:
            write_listing(entries, out)
    print(out)


def _settings(arguments: argparse.Namespace, prompt: str) -> dict[str, Any]:
    """What clips of a folder have in common; their number may grow."""
    names = ("checkpoint", "video", "audio", "image", "edit", "extend", "only", "strength", "keep", "seconds")
    more = ("size", "num_candidates", "steps", "seed", *SCALES)
    said = {name: getattr(arguments, name) for name in (*names, *more)}
    plain = {name: str(value) if isinstance(value, Path) else value for name, value in said.items()}
    return {"prompt": prompt, **plain, "size": arguments.size and list(arguments.size)}


def _given(arguments: argparse.Namespace, simulator: Simulator) -> tuple[Clip | Windows | None, str]:
    """What the clips are made from, and the task's name. A whole film is read in windows, as it is needed."""
    from avsim import media

    if arguments.video is not None:
        if arguments.seconds is None:
            return media.Windows(arguments.video), "foley"
        return media.read(arguments.video, seconds=arguments.seconds, want="frames"), "foley"
    if arguments.audio is not None:
        return media.read(arguments.audio, seconds=arguments.seconds, want="wave"), "visualize"
    if arguments.image is not None:
        return media.read(arguments.image, seconds=1e-3, want="frames").first_frame(), "animate"
    if arguments.edit is not None:
        return media.read(arguments.edit, seconds=arguments.seconds), "edit"
    if arguments.extend is not None:
        spec = simulator.spec
        size = arguments.size or spec.size
        rates = spec.frames_per_second, spec.sample_rate
        return media.read(arguments.extend, 0.0, None, size, *rates, want="both"), "extend"
    return None, arguments.only or "joint"


def _beginning(given: Clip | Windows | None, simulator: Simulator) -> Clip:
    """The first seconds of a picture, by which the whole is captioned."""
    from avsim.clip import Clip

    if isinstance(given, Clip):
        return given
    assert given is not None
    spec = replace(simulator.spec, seconds=min(given.seconds, CAPTIONED))
    return Clip(given(0.0, spec), None, spec.frames_per_second)


def _soundtrack(
    simulator: Simulator, arguments: argparse.Namespace, prompt: str, film: Windows, seed: int, folder: Path
) -> Tensor:
    """The sound of a whole film, (A, N), made window by window.

    It lies in a nameless file in `folder`, mapped into memory: an hour of stereo has hundreds of megabytes,
    which the system can write out where memory is short.
    """
    import tempfile

    import numpy as np
    import torch
    from rich.progress import Progress

    from avsim.diffusion.generate import STEPS

    spec = simulator.spec
    folder.mkdir(parents=True, exist_ok=True)
    shape = spec.channels, max(1, round(film.seconds * spec.sample_rate))
    with tempfile.TemporaryFile(dir=folder) as file:
        wave = torch.from_numpy(np.memmap(file, np.float32, "w+", shape=shape))
    done = 0
    steps = STEPS if arguments.steps is None else arguments.steps
    how = (seed, arguments.size, steps, _guidance_of(simulator, arguments, "foley"))
    with Progress(transient=True) as progress:
        bar = progress.add_task("seconds of sound", total=film.seconds)
        for piece in simulator.soundtrack(film, film.seconds, prompt, *how):
            piece = piece[:, : wave.shape[1] - done]
            wave[:, done : done + piece.shape[1]] = piece
            done += piece.shape[1]
            progress.update(bar, completed=done / spec.sample_rate)
    return wave


def _guidance_of(simulator: Simulator, arguments: argparse.Namespace, task: str) -> Guidance | None:
    """The task's guidance with the scales that were given; None: its defaults."""
    said = {name: getattr(arguments, name) for name in SCALES if getattr(arguments, name) is not None}
    if "modality_start" in said:
        said["sync_start"] = said["modality_start"]
    return simulator.guided(task, **said) if said else None


def _draw(
    simulator: Simulator,
    arguments: argparse.Namespace,
    prompt: str,
    given: Clip | None,
    task: str,
    seed: int,
) -> Clip:
    from avsim.diffusion.generate import STEPS
    from avsim.simulator.simulator import STRENGTH

    how: dict[str, Any] = {
        "seed": seed,
        "size": arguments.size,
        "steps": STEPS if arguments.steps is None else arguments.steps,
        "guidance": _guidance_of(simulator, arguments, task),
    }
    seconds = arguments.seconds
    match task:
        case "foley":
            assert given is not None
            return simulator.foley(given, prompt, **how)
        case "visualize":
            assert given is not None
            return simulator.visualize(given, prompt, takes=arguments.num_candidates, **how)
        case "edit":
            assert given is not None
            strength = STRENGTH if arguments.strength is None else arguments.strength
            return simulator.edit(given, prompt, strength, arguments.keep, **how)
        case "extend":
            assert given is not None
            return simulator.extend(given, prompt, seconds, **how)
        case "image":
            return simulator.image(prompt, **how)
        case "sound":
            del how["size"]
            return simulator.sound(prompt, seconds, **how)
        case "animate":
            assert given is not None
            return simulator.animate(given, prompt, seconds, **how)
    return simulator.generate(prompt, seconds, **how)
