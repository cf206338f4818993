"""`avsim narrate VIDEO --text TEXT --out FILE`, and the options of speech that `avsim generate` has too."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from avsim.cli import add_allow_module, local_path, words

if TYPE_CHECKING:
    from avsim.clip import Clip
    from avsim.simulator import Simulator

LENGTHENED = ("joint", "audio", "animate")  # tasks whose length is free; the first one's has no limit
OPTIONS = ("voice", "language", "speech_engine", "speech_mix")


def add(subparsers: argparse._SubParsersAction) -> None:
    """Add the subcommand's arguments."""
    parser = subparsers.add_parser(
        "narrate",
        help="mix speech with the audio of a video or audio file",
        description="Speak a text over the audio of a file, or under it, at -23 LUFS (EBU R 128). The video "
        "is copied. The default engine is espeak-ng: pip install 'avsim[speech]' (GPL-3).",
    )
    parser.add_argument("scene", type=local_path, metavar="FILE", help="a video or audio file")
    parser.add_argument("--text", type=words, required=True, help="what is spoken")
    add_speech(parser)
    parser.add_argument("--out", type=local_path, required=True, metavar="FILE", help=".mp4, .mp3, …")
    add_allow_module(parser)
    parser.set_defaults(run=run)


def add_speech(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose a voice and how it is mixed."""
    parser.add_argument(
        "--voice", metavar="NAME", help="the speaker, such as Annie or male3 (default: the engine's)"
    )
    parser.add_argument(
        "--language",
        metavar="CODE",
        help="of the text, such as en-gb, de or zh (default: en-us; of Chinese characters zh)",
    )
    parser.add_argument(
        "--speech-engine",
        metavar="NAME",
        help="espeak (default), piper:VOICE.onnx, kokoro:FOLDER, or module:function with --allow-module",
    )
    parser.add_argument(
        "--speech-mix",
        choices=("over", "under"),
        help="over (default): the scene is lowered while speech sounds; under: the other way round",
    )


def run(arguments: argparse.Namespace) -> None:
    """Narrate the file."""
    from avsim.speech import narrate_file
    from avsim.speech.narrate import check_narrated

    check_narrated(arguments.out)
    speech = spoken(arguments, arguments.text)
    print(narrate_file(arguments.scene, speech, arguments.out, arguments.speech_mix == "under"))


def narration(arguments: argparse.Namespace, file: Path) -> Clip | None:
    """The speech of `avsim generate --narrate`; None without it. `file` is one that is to be written.

    Raises:
        InputError: options of speech alone, a file that holds no audio, or as `speak`.
    """
    from avsim.errors import InputError

    if arguments.narrate is None:
        for option in OPTIONS:
            if getattr(arguments, option) is not None:
                raise InputError(f"--{option.replace('_', '-')} is of speech; --narrate TEXT is missing")
        return None
    from avsim.speech.narrate import check_narrated

    if arguments.only == "image":
        raise InputError("--narrate: --only image has no audio to mix speech with")
    check_narrated(file)
    return spoken(arguments, arguments.narrate)


def lengthened(
    arguments: argparse.Namespace, speech: Clip | None, simulator: Simulator, task: str
) -> argparse.Namespace:
    """The arguments with a length that speech fits in, as far as one was not given and the model allows."""
    from avsim.simulator.models import MAX_LENGTH

    if speech is None or arguments.seconds is not None or task not in LENGTHENED:
        return arguments
    own, wanted = simulator.spec.seconds, speech.seconds
    seconds = max(own, wanted if task == "joint" else min(wanted, MAX_LENGTH * own))
    if seconds > own:
        print(f"speech lasts {wanted:.1f} s; the clip is made {seconds:.1f} s long", file=sys.stderr)
    return argparse.Namespace(**vars(arguments) | {"seconds": seconds})


def spoken(arguments: argparse.Namespace, text: str) -> Clip:
    """The speech that the options choose.

    Raises:
        InputError: as `speak`.
    """
    from avsim.speech import speak

    return speak(text, arguments.voice, arguments.language, arguments.speech_engine or "espeak")


def settings(arguments: argparse.Namespace) -> dict[str, str | None]:
    """The options of a narration that all clips of a folder share; nothing without one."""
    names = ("narrate", *OPTIONS)
    return {name: getattr(arguments, name) for name in names} if arguments.narrate is not None else {}
