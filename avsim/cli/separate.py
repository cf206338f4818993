"""`avsim separate CLIP`: the sound of every region of a film, each in a file of its own."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avsim.cli import add_allow_module, local_path, model, words

if TYPE_CHECKING:
    from torch import Tensor

    from avsim.clip import Region
    from avsim.separation.separator import Separator
    from avsim.separation.stems import Picture


def add(subparsers: Any) -> None:
    """Add the verb's arguments."""
    parser = subparsers.add_parser(
        "separate",
        help="the sound of each region of a film",
        description="Take the sound of a film apart by regions of its picture. DIR gets a wav and an mp4 "
        "(the film with that region's sound alone) for each, off-screen.wav with what no region makes, and "
        "stems.json. The stems add up to the film's own sound.",
    )
    parser.add_argument("clip", type=local_path, metavar="CLIP", help="a film with sound")
    parser.add_argument(
        "--checkpoint",
        type=model,
        metavar="RUN",
        default="small",
        help="a run or model with a separator, or its folder (default: what ships)",
    )
    parser.add_argument(
        "--box", action="append", default=[], metavar="X,Y,W,H",
        help="a box in pixels, its top left corner first; may be repeated, as may the others",
    )  # fmt: skip
    parser.add_argument(
        "--mask", type=model, action="append", default=[], metavar="FILE",
        help="an image of the picture's aspect, white inside; or one for each frame: a folder of images, or "
        "a film",
    )  # fmt: skip
    parser.add_argument(
        "--point", action="append", default=[], metavar="X,Y",
        help="the thing at a pixel, as far as it sounds alike",
    )  # fmt: skip
    parser.add_argument(
        "--text", type=words, action="append", default=[], metavar="WORDS",
        help="the thing that words mean, such as 'the violin on the left'",
    )  # fmt: skip
    parser.add_argument(
        "--picture",
        type=local_path,
        metavar="MODEL",
        help="the folder of a trained model that looks, for --text (default: what ships, if any)",
    )
    parser.add_argument(
        "--auto",
        nargs="?",
        const="",
        metavar="N",
        help="find the regions that sound: N, or as many as there are",
    )
    parser.add_argument(
        "--page", action="store_true",
        help="write index.html too, in which each pixel can be heard; finds regions where none is given",
    )  # fmt: skip
    parser.add_argument("--out", type=local_path, required=True, metavar="DIR", help="a new folder")
    add_allow_module(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Separate and write, or leave nothing behind."""
    from rich.console import Console
    from rich.progress import Progress

    from avsim import media, weights
    from avsim.errors import InputError
    from avsim.report.pixels import check_length, check_model, write_pixels
    from avsim.separation.separator import Viewer
    from avsim.separation.video_file import picture_of_film, separate_film, sound_of_film
    from avsim.simulator.loading import the_part

    path, out = arguments.clip, arguments.out
    given = (arguments.box, arguments.mask, arguments.point, arguments.text, arguments.auto is not None)
    if not (any(given) or arguments.page):
        raise InputError("no region is given; use --box, --mask, --point, --text or --auto")
    if arguments.page and not any(given):
        arguments.auto = ""
    info = media.probe(path)
    if info.size is None or info.video_seconds is None:
        raise InputError(f"{path}: has no picture; separating needs one to say what sounds where")
    if arguments.page:
        check_length(info.video_seconds, str(path))
    _check(arguments, info.size)
    folder = the_part(arguments.checkpoint, "separator")
    model: Separator = weights.load_model(folder, expected=Viewer)
    if arguments.page:
        check_model(model)
    picture = picture_of_film(path, model)
    if _is_foreign(path, folder):
        print(
            f"{path}: looks unlike what the separator was trained on: its stems may mean nothing",
            file=sys.stderr,
        )
    asked = [*_drawn(arguments, picture), *_said(arguments, picture)]
    wave, sample_rate = sound_of_film(path)
    regions = [*asked, *_surveyed(arguments, model, picture, wave, sample_rate)]

    def also(folder: Path) -> None:
        if arguments.page:
            write_pixels(folder / "index.html", model, path, regions, path.name)

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("separating", total=wave.shape[1])
        about = separate_film(
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
    """Refuse what can be refused before any work.

    Raises:
        InputError: numbers that are none or too few, a box or point outside, words that can't be read, or
            that nothing looks for.
    """
    from avsim.clip import Region
    from avsim.errors import InputError
    from avsim.perception.referring import asked
    from avsim.weights import shipped

    for text in arguments.box:
        x, y, width, height = _numbers("--box", text, 4)
        Region.box(x, y, width, height, size)
    for text in arguments.point:
        x, y = _numbers("--point", text, 2)
        Region.point(x, y, size)
    if arguments.auto and not (arguments.auto.isdecimal() and int(arguments.auto)):
        raise InputError(f"--auto {arguments.auto!r}: expected a whole number, 1 or more, or nothing")
    for text in arguments.text:
        asked(text)
    arguments.picture = arguments.picture or shipped("picture")
    if arguments.text and not (arguments.picture and arguments.picture.is_dir()):
        raise InputError(
            f"{arguments.picture}: no such folder; "
            "--text needs a detector: --picture MODEL, a run that trained one that looks or its folder (RUN "
            "of avsim fit -c configs/base.yaml -c configs/perception/picture.yaml)"
        )


def _is_foreign(film: Path, separator: Path) -> bool:
    """Whether a film's beginning looks unlike what a checkpoint was trained on; False where unknown.

    That is judged by the detector that lies beside the checkpoint's separator, if any.
    """
    from avsim import media, weights
    from avsim.clip import ClipSpec
    from avsim.evaluation.ood import Familiar, is_foreign
    from avsim.perception.video_detector import PictureDetector

    folder, spec = separator.parent / "picture", ClipSpec()
    if not (folder / weights.TENSORS).is_file():
        return False
    familiar = Familiar.of(weights.hash_of(folder / weights.TENSORS))
    if familiar is None:
        return False
    detector = weights.load_model(folder, expected=PictureDetector)
    clip = media.read(film, 0.0, spec.seconds, spec.size, spec.frames_per_second, want="frames")
    return is_foreign(clip, detector, familiar)


def _drawn(arguments: argparse.Namespace, picture: Picture) -> list[Region]:
    """The regions that are given as numbers or files.

    Raises:
        InputError: a mask that doesn't fit.
    """
    from avsim.clip import Region
    from avsim.separation.regions import read_masks

    boxes = [_numbers("--box", text, 4) for text in arguments.box]
    masks = [(read_masks(file, picture.size, picture.frames), Path(file).stem) for file in arguments.mask]
    return [Region.box(x, y, width, height, picture.size) for x, y, width, height in boxes] + [
        Region(mask, name) for mask, name in masks
    ]


def _said(arguments: argparse.Namespace, picture: Picture) -> list[Region]:
    """The regions that words mean.

    Raises:
        InputError: no such detector; words that fit nothing seen, or several things.
    """
    if not arguments.text:
        return []
    from avsim.perception.referred_region import meant, overview, spans_of_film
    from avsim.perception.video_detector import PictureDetector
    from avsim.weights import load_model, part_folder

    folder = part_folder(arguments.picture, "picture")
    detector: PictureDetector = load_model(folder, expected=PictureDetector)
    seen = overview(detector, spans_of_film(arguments.clip, detector))
    return [
        meant(seen, text, picture.size, picture.frames, picture.frames_per_second) for text in arguments.text
    ]


def _numbers(option: str, text: str, count: int) -> list[float]:
    import math

    from avsim.errors import InputError

    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count or not all(math.isfinite(number) for number in numbers):
        form = {2: "X,Y", 4: "X,Y,W,H"}[count]
        raise InputError(f"{option} {text!r}: expected {count} numbers, {form}, in pixels")
    return numbers


def _surveyed(
    arguments: argparse.Namespace, model: Separator, picture: Picture, wave: Tensor, sample_rate: int
) -> list[Region]:
    """The regions that have to be looked for: around points, and those that sound."""
    from avsim.separation.discovery import region_at, regions_of, survey

    if not arguments.point and arguments.auto is None:
        return []
    found = survey(model, picture, wave, sample_rate)
    points = [_numbers("--point", text, 2) for text in arguments.point]
    regions = [region_at(found, x, y, picture.size) for x, y in points]
    if arguments.auto is not None:
        regions += regions_of(found, picture.size, int(arguments.auto) if arguments.auto else None)
    return regions
