"""`avsim generate`: video and audio from text, and from what is given: video, audio, images, clips."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import astuple, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avsim.cli import (
    MOST_CLIPS,
    MOST_STEPS,
    Output,
    add_allow_module,
    local_path,
    model,
    rate,
    seconds,
    size,
    whole,
    words,
)
from avsim.cli.generation import (
    FILES,
    SCALES,
    beginning,
    check_options,
    first_clip,
    make_clip,
    read_given,
    resolved_guidance,
    soundtrack,
    source_of,
    stream_of,
    task_of,
)
from avsim.cli.narrate import add_speech, lengthened, narration, settings

if TYPE_CHECKING:
    from avsim.cli.generation import Given
    from avsim.cli.prompt_files import Request
    from avsim.clip import Clip
    from avsim.simulator import Simulator

SUFFIXES = {"image": ".png", "audio": ".wav"}  # of files in a folder; of all other tasks .mp4


def add(subparsers: Any) -> None:
    """Add the subcommand's arguments."""
    parser = subparsers.add_parser(
        "generate",
        help="generate video and audio together, or one for the other",
        description="Generate video with audio of any length from a prompt or a storyboard; audio for a "
        "video (foley); video for audio; a clip that starts or ends with an image; what continues, loops, "
        "connects, edits or replaces a part of a clip; or one modality alone. A given modality is returned "
        "unchanged; what is generated from an image or a clip has the model's own size and rates.",
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
        action="append",
        help="description of video and audio (with --video: a caption of it by default; '': no prompt); may "
        "be repeated, for several clips",
    )
    parser.add_argument(
        "--prompts",
        type=local_path,
        metavar="FILE",
        help="a clip for each prompt of a file: .txt, one a line; .csv or .jsonl with the fields prompt and, "
        "if wanted, negative_prompt, seed and seconds; a run that was stopped goes on",
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
    given.add_argument(
        "--loop",
        type=local_path,
        nargs="?",
        const=True,
        metavar="VIDEO",
        help="a seamless loop of --seconds: from the prompt, or this video and what leads back to its start",
    )
    given.add_argument(
        "--connect",
        type=local_path,
        nargs=2,
        metavar=("VIDEO", "VIDEO"),
        help="two videos, and between them --seconds (default 1) that lead from one to the other",
    )
    given.add_argument(
        "--retake",
        type=local_path,
        metavar="VIDEO",
        help="this video with the span from --start-time to --end-time generated anew",
    )
    given.add_argument(
        "--storyboard",
        type=local_path,
        metavar="FILE",
        help="shots that follow one another: a YAML list of {prompt: TEXT, seconds: NUMBER}",
    )
    given.add_argument(
        "--only",
        type=lambda name: "audio" if name == "sound" else name,  # its earlier name
        choices=("image", "audio"),
        help="generate an image, or audio, alone",
    )
    parser.add_argument(
        "--last-image",
        type=local_path,
        metavar="IMAGE",
        help="generate a clip that ends with this image; with --image, from that one to this one",
    )
    parser.add_argument("--backward", action="store_true", help="with --extend: what comes before the video")
    parser.add_argument("--start-time", type=float, metavar="S", help="of a retake, in seconds")
    parser.add_argument("--end-time", type=float, metavar="S", help="of a retake, in seconds")
    parser.add_argument(
        "--region", metavar="X,Y,W,H", help="of a retake: the box, in pixels, outside which the video stays"
    )
    parser.add_argument(
        "--transition",
        choices=("cut", "continuous"),
        help="of a storyboard: whether each shot begins a new video (default: as the file says, else cut)",
    )
    parser.add_argument(
        "--strength",
        type=float,
        help="above 0 and at most 1: of an edit, how much may change (default 0.8); with --last-image, how "
        "much the images are kept (default 1)",
    )
    parser.add_argument(
        "--source-prompt",
        type=words,
        help="of an edit: what the video shows now (default: what is seen in it)",
    )
    parser.add_argument(
        "--keep", choices=("video", "audio"), help="the modality that an edit or a retake keeps unchanged"
    )
    parser.add_argument(
        "--seconds",
        type=seconds,
        help="length, a minute or more too (default: that of the training clips, or of the given clip)",
    )
    parser.add_argument(
        "--size",
        type=size,
        metavar="WxH",
        help="pixels (default: those of the training clips; others are composed around that size and scaled)",
    )
    parser.add_argument(
        "--fps", type=rate, help="frames per second (default: the model's; others are resampled from it)"
    )
    parser.add_argument(
        "--motion", type=float, help="amount of motion, for models that were trained with one as a condition"
    )
    parser.add_argument(
        "--num-candidates",
        type=whole(most=MOST_STEPS),
        help="clips to generate, to keep the one in which most of what is prompted is seen and heard "
        "(default 1); with --audio, the one with the likeliest audio (default 3)",
    )
    parser.add_argument("--steps", type=whole(most=MOST_STEPS), help="number of sampler steps (default 8)")
    for name, text in SCALES.items():
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(flag, type=float, metavar="FLOAT", help=text.replace("%", "%%"))
    parser.add_argument(
        "--seed",
        type=whole(),
        default=0,
        help="of each prompt's first clip; others follow (default 0)",
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
    parser.add_argument("--narrate", type=words, metavar="TEXT", help="a text that is spoken over the scene")
    add_speech(parser)
    add_allow_module(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Generate the clips and write them."""
    from avsim import media
    from avsim.devices import accelerator
    from avsim.errors import InputError
    from avsim.simulator import load
    from avsim.speech.narrate import narrated

    if arguments.count < 1:
        raise InputError(f"-n {arguments.count}: expected at least one clip")
    if arguments.prompt and arguments.prompts:
        raise InputError("--prompt and --prompts: give one of them")
    if arguments.pipeline is not None:
        from avsim.simulator.diffusers_pipeline import generate_with

        return generate_with(arguments)
    if arguments.dub is not None:
        raise InputError(
            "--dub is for the video of a --pipeline; for a file it is --checkpoint RUN --video FILE"
        )
    task, out = task_of(arguments), arguments.out
    check_options(arguments, task)
    requests = _requests(arguments)
    single = bool(out.suffix) and not arguments.out_is_folder
    if single and arguments.count * len(requests) > 1:
        raise InputError(
            f"--out {out}: is one file; give a folder for {arguments.count * len(requests)} clips"
        )
    if single:
        media.check_name(out)
    dubbed = arguments.edit if arguments.keep == "video" else arguments.video
    if dubbed is not None:
        media.check_dubbed(dubbed, out if single else Path("0000.mp4"))
    speech = narration(arguments, out if single else Path(f"0000{SUFFIXES.get(task, '.mp4')}"))
    simulator = load(arguments.checkpoint, device=accelerator())
    arguments = lengthened(arguments, speech, simulator, task)
    if arguments.motion is not None:
        raise InputError(
            f"--motion: {arguments.checkpoint} was not trained with an amount of motion as a condition"
        )
    given = read_given(arguments, simulator, task)
    if (clip := first_clip(given)) is not None and not (task == "foley" and requests[0].prompt is None):
        if simulator.is_out_of_distribution(beginning(clip, simulator)):  # else `describe` says it
            print(f"{source_of(arguments)}: looks unlike what the model was trained on", file=sys.stderr)
    if single:
        job = _Job(arguments, requests[0], given, task, simulator)
        with narrated(out, speech, arguments.speech_mix == "under") as scene:
            _write(simulator, job, given, task, arguments.seed, scene)
    else:
        _write_folder(simulator, arguments, requests, given, task, speech)
    print(out)


def _requests(arguments: argparse.Namespace) -> list[Request]:
    """The prompts, of the command line or of a file; of neither, one without a prompt."""
    from avsim.cli.prompt_files import Request, read_prompts

    if arguments.prompts is not None:
        return read_prompts(arguments.prompts)
    return [Request(prompt) for prompt in arguments.prompt or [None]]


class _Job:
    """A prompt as the model gets it, and the command line's arguments with what its line says beside it."""

    def __init__(
        self, arguments: argparse.Namespace, request: Request, given: Any, task: str, simulator: Simulator
    ) -> None:
        own = {"negative_prompt": request.negative_prompt, "seed": request.seed, "seconds": request.seconds}
        changes = {name: value for name, value in own.items() if value is not None}
        self.arguments = argparse.Namespace(**vars(arguments) | changes)
        self.written = "" if request.prompt is None else request.prompt
        if request.prompt is None and task == "foley":
            self.written = simulator.describe(beginning(given, simulator))
            if self.written:
                print(f"seen: {self.written}", file=sys.stderr)
        self.prompt = self.written
        if request.prompt and not arguments.no_rewrite:
            self._rewrite()
        if task == "storyboard" and not arguments.no_rewrite:
            given[:] = [replace(shot, prompt=self._rewritten(shot.prompt)[0]) for shot in given]

    def _rewrite(self) -> None:
        self.prompt, negative = self._rewritten(self.written)
        if negative and not self.arguments.negative_prompt:
            self.arguments.negative_prompt = negative

    def _rewritten(self, prompt: str) -> tuple[str, str]:
        """A prompt as the model's captions are written, and its negations; both are printed."""
        from avsim.prompting import rewrite_prompt

        found = rewrite_prompt(prompt, self.arguments.checkpoint, self.arguments.rewriter)
        if found.prompt != prompt:
            print(f'rewritten: "{found.prompt}"', file=sys.stderr)
        if found.dropped:
            print(f"dropped: {', '.join(found.dropped)}", file=sys.stderr)
        if found.negative_prompt:
            print(f'negative prompt: "{found.negative_prompt}"', file=sys.stderr)
        return found.prompt, found.negative_prompt


def _write_folder(
    simulator: Simulator,
    arguments: argparse.Namespace,
    requests: list[Request],
    given: Given,
    task: str,
    speech: Clip | None,
) -> None:
    """`count` clips of each prompt and their listing; those that are there already are kept."""
    from rich.progress import track

    from avsim.data.resuming import check_own, check_settings
    from avsim.files import claimed
    from avsim.report.folder import write_folder_page
    from avsim.simulator.samples import entry, write_listing
    from avsim.speech.narrate import narrated

    out, total = arguments.out, arguments.count * len(requests)
    check_own(out, "clips of avsim generate")
    entries: list[dict[str, Any]] = []
    jobs = (_Job(arguments, request, given, task, simulator) for request in requests)
    with claimed(out):
        first = next(jobs)
        check_settings(out, _settings(arguments, first, requests, given), "clips drawn")
        order = ((job, k) for job in _chain(first, jobs) for k in range(arguments.count))
        bar = track(order, description="generating", total=total, disable=total == 1, transient=True)
        for index, (job, k) in enumerate(bar):
            seed = job.arguments.seed + k
            path = out / f"{index:04d}{SUFFIXES.get(task, '.mp4')}"
            sampled_with = resolved_guidance(simulator, job.arguments, task)
            entries.append(entry(path.name, job.written, seed, task, job.prompt) | sampled_with)
            if not path.exists():
                with narrated(path, speech, arguments.speech_mix == "under") as scene:
                    _write(simulator, job, given, task, seed, scene, f"{path.name}: " if total > 1 else "")
        write_listing(entries, out)
        write_folder_page(out, linked=None)


def _chain(first: _Job, others: Iterator[_Job]) -> Iterator[_Job]:
    yield first
    yield from others


def _settings(
    arguments: argparse.Namespace, job: _Job, requests: list[Request], given: Given
) -> dict[str, Any]:
    """The settings that all clips of a folder share, other than their number."""
    names = ("checkpoint", *FILES, "last_image", "backward", "start_time", "end_time", "region", "transition")
    more = ("only", "strength", "source_prompt", "keep", "seconds", "fps", "num_candidates", "steps", "seed")
    said = {name: getattr(arguments, name) for name in (*names, *more, *SCALES)}
    plain = {
        name: [str(each) for each in value] if isinstance(value, list)
        else str(value) if isinstance(value, Path) else value
        for name, value in said.items()
    }  # fmt: skip
    listed = arguments.prompts is not None or len(requests) > 1
    several = {"prompts": [list(astuple(request)) for request in requests]} if listed else {}
    if arguments.storyboard is not None:
        several["shots"] = [list(astuple(shot)) for shot in given]  # type: ignore[union-attr, call-overload]
    negative = {"negative_prompt": job.arguments.negative_prompt}
    return {
        "prompt": job.prompt,
        **several,
        **negative,
        **plain,
        **settings(arguments),  # of a narration
        "size": arguments.size and list(arguments.size),
    }


def _write(
    simulator: Simulator, job: _Job, given: Given, task: str, seed: int, path: Path, prefix: str = ""
) -> None:
    """Generate one clip and write it; say what of the prompt is missing in it."""
    from avsim import media
    from avsim.media import Windows

    arguments = job.arguments
    if isinstance(given, Windows):
        rate = simulator.spec.sample_rate
        length = max(1, round(given.seconds * rate))
        pieces = soundtrack(simulator, arguments, job.prompt, given, seed)
        sound = media.Sound(pieces, simulator.spec.channels, length, rate)
        media.write_dubbed(given.path, sound, path, arguments.seconds)
        return
    stream = stream_of(simulator, arguments, job.prompt, given, task, seed)
    if stream is not None:
        media.write_stream(_at_rate(stream, arguments), path)
        return
    # Alone, so that company can't change its bits.
    clip = make_clip(simulator, arguments, job.prompt, given, task, seed)
    if task in ("joint", "keyframes") and job.prompt and (lacks := simulator.missing(clip, job.prompt)):
        print(f"{prefix}{lacks}", file=sys.stderr)
    if arguments.keep == "video" and task == "edit":
        assert clip.wave is not None
        sound = media.Sound.of(clip.wave, int(clip.sample_rate))
        media.write_dubbed(arguments.edit, sound, path, arguments.seconds)
        return
    (clip,) = _at_rate(iter([clip]), arguments)
    whole = arguments.seconds is None
    keeping = arguments.edit if arguments.keep == "audio" else arguments.audio if whole else None
    media.write(clip, path, audio_from=keeping)


def _at_rate(pieces: Iterator[Clip], arguments: argparse.Namespace) -> Iterator[Clip]:
    """Clips that follow one another, at the rate that is given; a resampling is said."""
    from avsim.simulator.resize import at_rate

    if arguments.fps is None:
        return pieces
    return at_rate(pieces, arguments.fps, lambda text: print(f"--fps: {text}", file=sys.stderr))
