"""The subcommands, one module each; heavy imports stay inside `run`."""

from __future__ import annotations

import argparse
import math
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from avsim.clip import ClipSpec

LONGEST_SIDE = 16384  # pixels
MOST_PIXELS = 2**28  # of a clip, all its frames together: 3 GiB as floats
MOST_STEPS = 1000  # of a sampler
MOST_CLIPS = 1_000_000  # of one command
MOST_SECONDS = 86400.0


def size(text: str) -> tuple[int, int]:
    """(H, W) from an argument WxH."""
    width, _, height = text.lower().partition("x")
    if not all(n.isdecimal() and len(n) < 9 and 0 < int(n) <= LONGEST_SIDE for n in (width, height)):
        raise argparse.ArgumentTypeError(
            f"{text[:40]!r}; expected WxH, such as 64x64, of at most {LONGEST_SIDE} pixels each"
        )
    return int(height), int(width)


def names(text: str) -> tuple[str, ...]:
    """The names of an argument NAME,NAME,…"""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def local_path(text: str) -> Path:
    """A local path; an empty one and an address, which pathlib would silently change, are refused."""
    if not text.strip():
        raise argparse.ArgumentTypeError("is empty; expected the path of a file or folder")
    if "://" in text:
        raise argparse.ArgumentTypeError(f"{text}: addresses are not supported; expected a local path")
    if "\0" in text:
        raise argparse.ArgumentTypeError(f"{text!r}: has a NUL byte; no path has")
    if any(len(os.fsencode(part)) > 255 for part in Path(text).parts):
        raise argparse.ArgumentTypeError(f"{text[:40]}…: a name longer than 255 bytes; no disk takes it")
    return Path(text)


def page_path(text: str) -> Path:
    """The path of a page: that of an .html file, or index.html in a folder; refused as by `local_path`."""
    path = local_path(text)
    return path if path.suffix.lower() in (".html", ".htm") else path / "index.html"


class Output(argparse.Action):
    """Keeps a path and, as `NAME_is_folder`, whether it was written as one of a folder or is one."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:  # noqa: ANN001, D102
        try:
            found = local_path(values)
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentError(self, str(error)) from None
        setattr(namespace, self.dest, found)
        setattr(namespace, f"{self.dest}_is_folder", values.endswith(("/", os.sep)) or found.is_dir())


def local_or_address(text: str) -> str | Path:
    """A local path, or the address of a folder of shards that fsspec opens (s3://…, gs://…, https://…)."""
    scheme, found, rest = text.partition("://")
    if not (found and rest.strip("/") and scheme.replace("+", "").isalnum()):
        return local_path(text)
    return text


def add_allow_module(parser: argparse.ArgumentParser) -> None:
    """Add the option that `main` opens packages by."""
    parser.add_argument(
        "--allow-module",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="a Python package that model files and module:function may name; its code is run",
    )


def words(text: str) -> str:
    """A text in composed Unicode (NFC); one that is not UTF-8 is refused."""
    try:
        text.encode()
    except UnicodeEncodeError:
        shown = text.encode(errors="replace").decode()
        raise argparse.ArgumentTypeError(f"{shown[:60]!r}: is not UTF-8") from None
    return unicodedata.normalize("NFC", text)


def model(text: str) -> str:
    """A folder's path or a model's name; an address is refused."""
    local_path(text)
    return text


def whole(least: int | None = None, most: int = 2**63 - 1) -> Callable[[str], int]:
    """A parser of whole numbers from `least`, where given, to `most`."""

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text[:40]!r}; expected a whole number") from None
        if number > most or number < -most or (least is not None and number < least):
            span = f"{least} to {most}" if least is not None else f"at most {most}"
            raise argparse.ArgumentTypeError(f"{text[:40]}; expected a whole number, {span}")
        return number

    return parse


def _number(text: str) -> float:
    """A number; NaN where the text is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def seconds(text: str) -> float:
    """A length in seconds, above 0 and at most a day."""
    number = _number(text)
    if not 0 < number <= MOST_SECONDS:
        raise argparse.ArgumentTypeError(
            f"{text[:40]!r} seconds; expected a frame or more, at most {MOST_SECONDS:g}"
        )
    return number


def rate(text: str) -> float:
    """Frames per second, above 0 and at most 1000."""
    number = _number(text)
    if not 0 < number <= 1000:
        raise argparse.ArgumentTypeError(f"{text[:40]!r}; expected a rate, above 0 and at most 1000")
    return number


def numbers(option: str, text: str, count: int) -> list[float]:
    """The numbers of an option's value, X,Y or X,Y,W,H.

    Raises:
        InputError: another count, or something that is no number.
    """
    from avsim.errors import InputError

    found = [_number(part) for part in text.split(",")]
    if len(found) != count or not all(math.isfinite(number) for number in found):
        form = {2: "X,Y", 4: "X,Y,W,H"}[count]
        raise InputError(f"{option} {text!r}: expected {count} numbers, {form}, in pixels")
    return found


def check_clip(spec: ClipSpec) -> None:
    """Refuse clips too large for memory.

    Raises:
        InputError: too many pixels in all frames together.
    """
    from avsim.errors import InputError

    if spec.frames * spec.height * spec.width > MOST_PIXELS:
        raise InputError(
            f"{spec.frames} frames of {spec.width} x {spec.height}: more than {MOST_PIXELS:,} pixels in all"
        )
