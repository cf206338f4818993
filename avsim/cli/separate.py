"""`avsim separate CLIP`: the audio of every region of a video, each in a file of its own."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avsim.cli import add_allow_module, local_path, model, numbers, words

if TYPE_CHECKING:
    from torch import Tensor

    from avsim.clip import Region
    from avsim.report.findings import Findings
    from avsim.separation.separator import Separator
    from avsim.separation.stems import FrameSource


def add(subparsers: Any) -> None:
    """Add the subcommand's arguments."""
    parser = subparsers.add_parser(
        "separate",
        help="separate the audio of a video by regions",
        description="Separate the audio of a video by regions of its frames. DIR gets a wav and an mp4 (the "
        "video with that region's audio alone) for each region, off-screen.wav with the rest, and "
        "stems.json. The stems add up to the video's own audio.",
    )
    parser.add_argument("clip", type=local_path, metavar="CLIP", help="a video with audio")
    parser.add_argument(
        "--checkpoint",
        type=model,
        metavar="RUN",
        default="small",
        help="a run or model with a separator, or its folder (default: the shipped one)",
    )
    parser.add_argument(
        "--box", action="append", default=[], metavar="X,Y,W,H",
        help="a box in pixels, top left corner first; may be repeated, like the options below",
    )  # fmt: skip
    parser.add_argument(
        "--mask", type=model, action="append", default=[], metavar="FILE",
        help="an image of the frames' aspect ratio, white inside; or one for each frame: a folder of images "
        "or a video",
    )  # fmt: skip
    parser.add_argument(
        "--point", action="append", default=[], metavar="X,Y",
        help="the sounding thing at a pixel",
    )  # fmt: skip
    parser.add_argument(
        "--text", type=words, action="append", default=[], metavar="WORDS",
        help="a referring expression, such as 'the violin on the left'",
    )  # fmt: skip
    parser.add_argument(
        "--video-detector",
        type=local_path,
        metavar="MODEL",
        help="the folder of a trained video detector, for --text (default: the shipped one)",
    )
    parser.add_argument(
        "--auto",
        nargs="?",
        const="",
        metavar="N",
        help="find N sounding regions, or all of them",
    )
    parser.add_argument(
        "--page", action="store_true",
        help="also write index.html, which plays the audio of any pixel; finds regions if none is given",
    )  # fmt: skip
    parser.add_argument("--out", type=local_path, required=True, metavar="DIR", help="a new folder")
    add_allow_module(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Separate and write, all or nothing."""
    from rich.console import Console
    from rich.progress import Progress

    from avsim import media, weights
    from avsim.errors import InputError
    from avsim.report.pixels import check_length, check_model, write_pixels
    from avsim.separation.separator import SeparationModel
    from avsim.separation.video_file import audio_of_video, frames_of_video, separate_video
    from avsim.simulator.loading import resolve_part

    path, out = arguments.clip, arguments.out
    given = (arguments.box, arguments.mask, arguments.point, arguments.text, arguments.auto is not None)
    if not (any(given) or arguments.page):
        raise InputError("no region is given; use --box, --mask, --point, --text or --auto")
    if arguments.page and not any(given):
        arguments.auto = ""
    info = media.probe(path)
    if info.size is None or info.video_seconds is None:
        raise InputError(f"{path}: has no video; regions of its frames are needed")
    if arguments.page:
        check_length(info.video_seconds, str(path))
    _check(arguments, info.size)
    folder = resolve_part(arguments.checkpoint, "separator")
    model: Separator = weights.load_model(folder, expected=SeparationModel)
    if arguments.page:
        check_model(model)
    picture = frames_of_video(path, model)
    out_of_distribution = _is_out_of_distribution(path, folder)
    if out_of_distribution:
        print(
            f"{path}: looks unlike what the separator was trained on: its stems may be meaningless",
            file=sys.stderr,
        )
    listed = [*_given_regions(arguments, picture), *_referred_regions(arguments, picture)]
    wave, sample_rate = audio_of_video(path)
    found = _found_regions(arguments, model, picture, wave, sample_rate)
    regions = [*listed, *(found if out_of_distribution else _named(arguments, found, picture.size))]

    def also(folder: Path) -> None:
        if arguments.page:
            title = f"{path.name}: audio by region"
            write_pixels(folder / "index.html", model, path, regions, title, _findings(path))

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("separating", total=wave.shape[1])
        about = separate_video(
            model,
            path,
            regions,
            out,
            lambda samples: progress.advance(task, samples),
            also,
            checkpoint=str(folder.resolve()),
        )
    for stem in about["stems"]:
        level = "  silent" if stem["level_db"] is None else f"{stem['level_db']:5.1f} dB"
        print(f"{level}  {stem['name']}  {out / stem['wav']}")
    if arguments.page:
        print(f"page      {out / 'index.html'}")


def _check(arguments: argparse.Namespace, size: tuple[int, int]) -> None:
    """Check the arguments before any work.

    Raises:
        InputError: wrong numbers, a box or point outside the frame, an expression that can't be parsed, or no
            detector for it.
    """
    from avsim.clip import Region
    from avsim.errors import InputError
    from avsim.perception.referring import parse_expression
    from avsim.weights import shipped

    for text in arguments.box:
        x, y, width, height = numbers("--box", text, 4)
        Region.box(x, y, width, height, size)
    for text in arguments.point:
        x, y = numbers("--point", text, 2)
        Region.point(x, y, size)
    if arguments.auto and not (arguments.auto.isdecimal() and int(arguments.auto)):
        raise InputError(f"--auto {arguments.auto!r}: expected a whole number, 1 or more, or nothing")
    for text in arguments.text:
        parse_expression(text)
    arguments.video_detector = arguments.video_detector or shipped("video_detector")
    if arguments.text and not (arguments.video_detector and arguments.video_detector.is_dir()):
        raise InputError(
            f"{arguments.video_detector}: no such folder; "
            "--text needs a detector: --video-detector MODEL, a run that trained one or its folder (RUN "
            "of avsim fit -c configs/base.yaml -c configs/perception/video_detector.yaml)"
        )


def _is_out_of_distribution(video: Path, separator: Path) -> bool:
    """Whether a video's beginning looks unlike what a checkpoint was trained on; False where unknown.

    The check uses the video detector beside the checkpoint's separator, if there is one.
    """
    from avsim import media, weights
    from avsim.clip import ClipSpec
    from avsim.evaluation.ood import OODCheck, is_out_of_distribution
    from avsim.perception.video_detector import VideoDetector

    folder, spec = separator.parent / "video_detector", ClipSpec()
    if not (folder / weights.TENSORS).is_file():
        return False
    ood_check = OODCheck.of(weights.hash_of(folder / weights.TENSORS))
    if ood_check is None:
        return False
    detector = weights.load_model(folder, expected=VideoDetector)
    clip = media.read(video, 0.0, spec.seconds, spec.size, spec.frames_per_second, want="frames")
    return is_out_of_distribution(clip, detector, ood_check)


def _named(arguments: argparse.Namespace, found: list[Region], size: tuple[int, int]) -> list[Region]:
    """Regions that were found by their sound, named by what the video detector sees there."""
    from avsim.perception.naming import named
    from avsim.perception.referred_region import overview, video_spans
    from avsim.perception.video_detector import VideoDetector
    from avsim.weights import TENSORS, load_model

    folder = arguments.video_detector
    if not (found and folder and (folder / TENSORS).is_file()):
        return found
    detector: VideoDetector = load_model(folder, expected=VideoDetector)
    return named(found, overview(detector, video_spans(arguments.clip, detector)), size[1] / size[0])


def _findings(path: Path) -> Findings:
    """Events and onsets of the video, for its page."""
    from avsim.report.files import Judges, read_small
    from avsim.report.findings import findings

    judges = Judges.shipped()
    return findings(judges.features(read_small(path), ""), judges.ood_check)


def _given_regions(arguments: argparse.Namespace, picture: FrameSource) -> list[Region]:
    """The regions that are given as numbers or files.

    Raises:
        InputError: a mask that doesn't fit.
    """
    from avsim.clip import Region
    from avsim.separation.regions import read_masks

    boxes = [numbers("--box", text, 4) for text in arguments.box]
    masks = [(read_masks(file, picture.size, picture.frames), Path(file).stem) for file in arguments.mask]
    return [Region.box(x, y, width, height, picture.size) for x, y, width, height in boxes] + [
        Region(mask, name) for mask, name in masks
    ]


def _referred_regions(arguments: argparse.Namespace, picture: FrameSource) -> list[Region]:
    """The regions of referring expressions.

    Raises:
        InputError: no such detector; an expression that fits nothing, or several things.
    """
    if not arguments.text:
        return []
    from avsim.perception.referred_region import find_region, overview, video_spans
    from avsim.perception.video_detector import VideoDetector
    from avsim.weights import load_model, part_folder

    folder = part_folder(arguments.video_detector, "video_detector")
    detector: VideoDetector = load_model(folder, expected=VideoDetector)
    seen = overview(detector, video_spans(arguments.clip, detector))
    return [
        find_region(seen, text, picture.size, picture.frames, picture.frames_per_second)
        for text in arguments.text
    ]


def _found_regions(
    arguments: argparse.Namespace, model: Separator, picture: FrameSource, wave: Tensor, sample_rate: int
) -> list[Region]:
    """The regions around points, and the sounding regions."""
    from avsim.separation.discovery import map_audio, region_at, regions_of

    if not arguments.point and arguments.auto is None:
        return []
    found = map_audio(model, picture, wave, sample_rate)
    points = [numbers("--point", text, 2) for text in arguments.point]
    regions = [region_at(found, x, y, picture.size) for x, y in points]
    if arguments.auto is not None:
        regions += regions_of(found, picture.size, int(arguments.auto) if arguments.auto else None)
    return regions
