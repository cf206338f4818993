"""`avsim generate`: video and audio from text, a silent video, audio or an image."""

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
    from collections.abc import Iterator

    from torch import Tensor

    from avsim.clip import Clip
    from avsim.diffusion import Guidance
    from avsim.media import Windows
    from avsim.simulator import Simulator

CAPTIONED = 8.0  # seconds of a video by which it is captioned, where there is no prompt
# Fields of `Guidance`, each a flag. Without any of them a distilled student generates, if there is one.
SCALES = {
    "guidance_scale": "how much video and audio follow the prompt (default 2, with --audio 1.5; 1: off)",
    "audio_guidance_scale": "the same for the audio alone (default: --guidance-scale)",
    "modality_scale": "how much the video follows its audio (default 3, with --audio 4; 1: off)",
    "audio_modality_scale": "how much the audio follows its video (default 8; 1: off)",
    "modality_start": "lowest noise level, as a share, of both modality scales and --sync-scale "
    "(default 0.5, with --audio 0.2)",
    "sync_scale": "step along the gradient of the sync model's reward, or of the audio likelihood "
    "(default 0.3 to 0.7 by task; 0: off)",
    "audio_text_scale": "how much the audio alone follows the prompt (default 2, with --audio 1; 1: off)",
}
SUFFIXES = {"image": ".png", "audio": ".wav"}  # of files in a folder; of all other tasks .mp4


def add(subparsers: Any) -> None:
    """Add the subcommand's arguments."""
    parser = subparsers.add_parser(
        "generate",
        help="generate video and audio together, or one for the other",
        description="Generate video with audio from a prompt; audio for a video (foley); video for audio; a "
        "clip that starts with an image; the continuation of a clip; an edited clip; or one modality "
        "alone. A given modality is returned unchanged; continuations of an image or a clip have the "
        "model's own size and rates.",
    )
    parser.add_argument(
        "--checkpoint",
        type=model,
        default="small",
        metavar="RUN",
        help="a run that trained a generator, or a hub id (default: the shipped model)",
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
        help="description of video and audio (with --video: a caption of it by default; '': no prompt)",
    )
    parser.add_argument(
        "--negative-prompt", type=words, metavar="PROMPT", help="what to move away from (default: none)"
    )
    parser.add_argument(
        "--rewriter",
        default="rules",
        metavar="NAME",
        help="what rewrites the prompt: rules (default), transformers:MODEL or openai:URL",
    )
    parser.add_argument(
        "--no-rewrite",
        action="store_true",
        help="pass the prompt to the model as it is (default: a model of the synthetic worlds gets it as one "
        "of their captions)",
    )
    given = parser.add_mutually_exclusive_group()
    given.add_argument(
        "--video", type=local_path, metavar="VIDEO", help="generate audio for this video (foley)"
    )
    given.add_argument("--audio", type=local_path, metavar="AUDIO", help="generate video for this audio")
    given.add_argument(
        "--image", type=local_path, metavar="IMAGE", help="generate a clip that starts with this image"
    )
    given.add_argument(
        "--edit", type=local_path, metavar="VIDEO", help="edit this video (or audio) by the prompt"
    )
    given.add_argument("--extend", type=local_path, metavar="VIDEO", help="extend this video by --seconds")
    given.add_argument("--only", choices=("image", "audio"), help="generate an image, or audio, alone")
    parser.add_argument(
        "--strength", type=float, help="of an edit: share of noise, above 0 and at most 1 (default 0.6)"
    )
    parser.add_argument(
        "--keep", choices=("video", "audio"), help="the modality that an edit keeps unchanged"
    )
    parser.add_argument(
        "--seconds", type=seconds, help="length (default: that of the training clips, or of the given clip)"
    )
    parser.add_argument(
        "--size", type=size, metavar="WxH", help="pixels (default: those of the training clips)"
    )
    parser.add_argument(
        "--num-candidates",
        type=whole(most=MOST_STEPS),
        help="with --audio: videos to generate, to keep the one with the likeliest audio (default 3)",
    )
    parser.add_argument("--steps", type=whole(most=MOST_STEPS), help="number of sampler steps (default 8)")
    for name, text in SCALES.items():
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(flag, type=float, metavar="FLOAT", help=text.replace("%", "%%"))
    parser.add_argument(
        "--seed", type=whole(), default=0, help="of the first clip; the others follow (default 0)"
    )
    parser.add_argument(
        "-n", "--count", type=whole(most=MOST_CLIPS), default=1, help="number of clips (default 1)"
    )
    parser.add_argument(
        "--out",
        action=Output,
        required=True,
        metavar="PATH",
        help="a file for one clip; a folder for several: one that exists, ends in / or has no suffix",
    )
    add_allow_module(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Generate the clips and write them."""
    from contextlib import nullcontext

    from rich.progress import track

    from avsim import media
    from avsim.data.resuming import check_own, check_settings
    from avsim.devices import accelerator
    from avsim.errors import InputError
    from avsim.files import claimed
    from avsim.media import Windows
    from avsim.report.folder import write_folder_page
    from avsim.simulator import load
    from avsim.simulator.samples import entry, write_listing

    count, out = arguments.count, arguments.out
    if count < 1:
        raise InputError(f"-n {count}: expected at least one clip")
    if arguments.pipeline is not None:
        from avsim.simulator.diffusers_pipeline import generate_with

        return generate_with(arguments)
    if arguments.dub is not None:
        raise InputError(
            "--dub is for the video of a --pipeline; for a file it is --checkpoint RUN --video FILE"
        )
    for option in ("strength", "keep"):
        if getattr(arguments, option) is not None and arguments.edit is None:
            raise InputError(f"--{option} is of an edit; --edit VIDEO is missing")
    if arguments.num_candidates is not None and arguments.audio is None:
        raise InputError("--num-candidates is for video for given audio; --audio FILE is missing")
    for option, only in (("size", "audio"), ("seconds", "image")):
        if getattr(arguments, option) is not None and arguments.only == only:
            raise InputError(f"--{option}: --only {only} has none")
    single = bool(out.suffix) and not arguments.out_is_folder
    if single and count > 1:
        raise InputError(f"--out {out}: is one file; give a folder for {count} clips")
    if single:
        media.check_name(out)
    dubbed = arguments.edit if arguments.keep == "video" else arguments.video
    if dubbed is not None:
        media.check_dubbed(dubbed, out if single else Path("0000.mp4"))
    simulator = load(arguments.checkpoint, device=accelerator())
    given, task = _given(arguments, simulator)
    prompt = arguments.prompt
    if prompt is None:
        prompt = simulator.describe(_beginning(given, simulator)) if task == "foley" else ""
        if prompt:
            print(f"seen: {prompt}", file=sys.stderr)
    written = prompt
    prompt, arguments = _rewritten(arguments, prompt)
    if given is not None and not (task == "foley" and arguments.prompt is None):  # else it is said already
        if simulator.is_out_of_distribution(_beginning(given, simulator)):
            print(f"{_source(arguments)}: looks unlike what the model was trained on", file=sys.stderr)
    entries = []
    if not single:
        check_own(out, "clips of avsim generate")
    with nullcontext() if single else claimed(out):
        if not single:
            check_settings(out, _settings(arguments, prompt), "clips drawn")
        for index in track(range(count), description="generating", disable=count == 1, transient=True):
            seed = arguments.seed + index
            path = out if single else out / f"{index:04d}{SUFFIXES.get(task, '.mp4')}"
            entries.append(entry(path.name, written, seed, task, prompt))
            if not single and path.exists():
                continue  # of an earlier run
            if isinstance(given, Windows):
                rate = simulator.spec.sample_rate
                length = max(1, round(given.seconds * rate))
                pieces = _soundtrack(simulator, arguments, prompt, given, seed)
                sound = media.Sound(pieces, simulator.spec.channels, length, rate)
                media.write_dubbed(given.path, sound, path, arguments.seconds)
                continue
            clip = _draw(
                simulator, arguments, prompt, given, task, seed
            )  # alone, so that company can't change its bits
            if arguments.keep == "video":
                assert clip.wave is not None
                sound = media.Sound.of(clip.wave, int(clip.sample_rate))
                media.write_dubbed(arguments.edit, sound, path, arguments.seconds)
                continue
            whole = arguments.seconds is None
            keeping = arguments.edit if arguments.keep == "audio" else arguments.audio if whole else None
            media.write(clip, path, audio_from=keeping)
        if not single:
            write_listing(entries, out)
            write_folder_page(out, linked=None)
    print(out)


def _rewritten(arguments: argparse.Namespace, prompt: str) -> tuple[str, argparse.Namespace]:
    """The prompt as the model's captions are written, and the arguments with its negations."""
    if arguments.no_rewrite or not arguments.prompt:
        return prompt, arguments
    from avsim.prompting import rewrite_prompt

    found = rewrite_prompt(prompt, arguments.checkpoint, arguments.rewriter)
    if found.prompt != prompt:
        print(f'rewritten: "{found.prompt}"', file=sys.stderr)
    if found.dropped:
        print(f"dropped: {', '.join(found.dropped)}", file=sys.stderr)
    if not found.negative_prompt:
        return found.prompt, arguments
    print(f'negative prompt: "{found.negative_prompt}"', file=sys.stderr)
    negative = arguments.negative_prompt or found.negative_prompt
    return found.prompt, argparse.Namespace(**vars(arguments) | {"negative_prompt": negative})


def _settings(arguments: argparse.Namespace, prompt: str) -> dict[str, Any]:
    """The settings that all clips of a folder share, other than their number."""
    names = ("checkpoint", "video", "audio", "image", "edit", "extend", "only", "strength", "keep", "seconds")
    more = ("negative_prompt", "size", "num_candidates", "steps", "seed", *SCALES)
    said = {name: getattr(arguments, name) for name in (*names, *more)}
    plain = {name: str(value) if isinstance(value, Path) else value for name, value in said.items()}
    return {"prompt": prompt, **plain, "size": arguments.size and list(arguments.size)}


def _given(arguments: argparse.Namespace, simulator: Simulator) -> tuple[Clip | Windows | None, str]:
    """The given clip, and the name of the task. A whole video is read in windows."""
    from avsim import media

    if arguments.video is not None:
        return media.Windows(arguments.video, arguments.seconds), "foley"
    if arguments.audio is not None:
        return media.read(arguments.audio, seconds=arguments.seconds, want="wave"), "visualize"
    if arguments.only or not (arguments.image or arguments.edit or arguments.extend):
        return None, arguments.only or "joint"
    # What is drawn has the model's own size and rates, and so has what the model is given.
    spec = simulator.spec
    size, rate = arguments.size or spec.size, spec.frames_per_second
    if arguments.image is not None:
        return media.read(arguments.image, 0.0, 1e-3, size, want="frames").first_frame(), "animate"
    if arguments.edit is not None:
        heard = None if arguments.keep == "audio" else spec.sample_rate  # a sound that is kept is written
        return media.read(arguments.edit, 0.0, arguments.seconds, size, rate, heard), "edit"
    return media.read(arguments.extend, 0.0, None, size, rate, spec.sample_rate, want="both"), "extend"


def _beginning(given: Clip | Windows | None, simulator: Simulator) -> Clip:
    """The first seconds of a video, which are captioned."""
    from avsim.clip import Clip

    if isinstance(given, Clip):
        return given
    assert given is not None
    spec = replace(simulator.spec, seconds=min(given.seconds, CAPTIONED))
    return Clip(given(0.0, spec), None, spec.frames_per_second)


def _source(arguments: argparse.Namespace) -> Path:
    """The video, sound or image that is given."""
    names = ("video", "audio", "image", "edit", "extend")
    return next(path for name in names if (path := getattr(arguments, name)) is not None)


def _soundtrack(
    simulator: Simulator, arguments: argparse.Namespace, prompt: str, film: Windows, seed: int
) -> Iterator[Tensor]:
    """The sound of a video, in pieces (A, n) that are made as they are taken, with a bar."""
    from rich.progress import Progress

    from avsim.diffusion.generate import STEPS

    steps = STEPS if arguments.steps is None else arguments.steps
    how = (seed, arguments.size, steps, _guidance_of(simulator, arguments, "foley"))
    with Progress(transient=True) as progress:
        bar = progress.add_task("seconds of sound", total=film.seconds)
        for piece in simulator.soundtrack(film, film.seconds, prompt, *how):
            yield piece
            progress.advance(bar, piece.shape[1] / simulator.spec.sample_rate)


def _guidance_of(simulator: Simulator, arguments: argparse.Namespace, task: str) -> Guidance | None:
    """The task's guidance with the scales that were given; None: its defaults."""
    names = (*SCALES, "negative_prompt")
    said = {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}
    if "modality_start" in said:
        said["sync_start"] = said["modality_start"]
    return simulator.task_guidance(task, **said) if said else None


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
        case "visualize":
            assert given is not None
            return simulator.visualize(given, prompt, num_candidates=arguments.num_candidates, **how)
        case "edit":
            assert given is not None
            strength = STRENGTH if arguments.strength is None else arguments.strength
            return simulator.edit(given, prompt, strength, arguments.keep, **how)
        case "extend":
            assert given is not None
            return simulator.extend(given, prompt, seconds, **how)
        case "image":
            return simulator.image(prompt, **how)
        case "audio":
            del how["size"]
            return simulator.audio(prompt, seconds, **how)
        case "animate":
            assert given is not None
            return simulator.animate(given, prompt, seconds, **how)
    return simulator.generate(prompt, seconds, **how)
