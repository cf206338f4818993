"""`avsim VERB`: one command, whose verbs are the modules of `avsim.cli`.

Exit codes: 0 done, 2 something the user gave can't be used (one line on stderr says what), 130 and 143
stopped by SIGINT and SIGTERM, 141 the reader of the output went away. Any other ending is a fault of
avsim's own.
"""

from __future__ import annotations

import argparse
import difflib
import errno
import importlib
import io
import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NoReturn

from avsim import __version__
from avsim.errors import InputError
from avsim.memory import keep_freed

EXAMPLES = {
    "world": "avsim world --count 100 --level medium --out data/world",
    "split": "avsim split music.csv --out data/music.split.json",
    "prepare": "avsim prepare videos/ --out data/clips",
    "caption": "avsim caption data/clips --captioner transformers:Qwen/Qwen2.5-VL-3B-Instruct",
    "encode": "avsim encode data/clips --video-codec small --audio-codec small --out data/latents",
    "generate": 'avsim generate --prompt "a golden metal ball falls in a studio" --out clip.mp4',
    "narrate": 'avsim narrate clip.mp4 --text "A ball falls." --out narrated.mp4',
    "import": "avsim import Wan-AI/Wan2.1-T2V-1.3B-Diffusers --part video_codec --out codecs/wan",
    "add-audio": "avsim add-audio Wan-AI/Wan2.1-T2V-1.3B-Diffusers --audio-codec codecs/oobleck --out wan-av",
    "separate": "avsim separate clip.mp4 --auto --out stems/",
    "evaluate": "avsim evaluate clips/ --out scores/",
    "page": "avsim page clips/ --out clips.html",
    "bench": "avsim bench make --out bench/",
    "sweep": "avsim sweep sweep.yaml --out runs/sweep",
    "compare": "avsim compare runs/one runs/two --out compared.html",
    "demo": "avsim demo --out demo/",
}
VERBS = tuple(EXAMPLES)
TRAINER_VERBS = {
    "fit": "train a system: -c configs/base.yaml -c configs/X.yaml --run RUN [--init WEIGHTS]",
    "validate": "validate a run's last checkpoint: the same arguments",
    "test": "test a run's last checkpoint: the same arguments",
    "predict": "generate clips and separate them per region, shared out over devices",
}
# Faults of the disk that are the user's to mend; other OSErrors are ours.
DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG}


class Stopped(BaseException):
    """A signal asked this process to stop; `finally` clauses run, `except Exception` ones don't.

    Not a KeyboardInterrupt, which Lightning would turn into an exit code of its own.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line, as all of avsim's are."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the arguments."""
        raise InputError(f"{message} (see {self.prog} --help)")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Refuse unknown arguments here, where the subcommand's own flags are known."""
        known, unknown = super().parse_known_args(args, namespace)
        if unknown:
            flag = unknown[0].split("=")[0]
            near = difflib.get_close_matches(flag, list(self._option_string_actions), n=1)
            hint = f"; did you mean {near[0]}?" if near and flag.startswith("-") else ""
            self.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
        return known, unknown

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        if action.option_strings and action.nargs is None and arg_strings == ["--"]:
            self.error(f"argument {'/'.join(action.option_strings)}: expected one argument")  # argparse: []
        return super()._get_values(action, arg_strings)  # type: ignore[misc]


def build_parser() -> argparse.ArgumentParser:
    """The parser of all verbs; imports nothing heavy."""
    parser = Parser(
        prog="avsim", description="A world simulator that can be heard: video with audio, and its stems."
    )
    parser.add_argument("--version", action="version", version=f"avsim {__version__}")
    subparsers = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb in VERBS:
        importlib.import_module(module_of(verb)).add(subparsers)
        subparsers.choices[verb].epilog = f"Example: {EXAMPLES[verb]}"
    for verb, text in TRAINER_VERBS.items():
        # Lightning parses their arguments: without prefix characters all are handed on, options too.
        trainer = subparsers.add_parser(verb, help=text, add_help=False, prefix_chars="\0")
        trainer.add_argument("rest", nargs=argparse.REMAINDER)
    return parser


def module_of(verb: str) -> str:
    """The module of a subcommand."""
    return f"avsim.cli.{'trainer' if verb in TRAINER_VERBS else verb.replace('-', '_')}"


def main(argv: list[str] | None = None) -> int:
    """Run one verb and return the exit code."""
    owner = os.getpid()

    def stop(signum: int, frame: Any) -> NoReturn:
        if os.getpid() != owner:  # a worker process, forked with this handler
            os._exit(128 + signum)
        raise Stopped(signum)

    unraisable = sys.unraisablehook

    def again(lost: Any) -> None:
        """Send a signal once more that met a finalizer or a callback, whose exceptions Python ignores."""
        if isinstance(lost.exc_value, Stopped):
            threading.Timer(0.05, os.kill, (os.getpid(), lost.exc_value.signum)).start()
        else:
            unraisable(lost)

    handlers = {signum: signal.signal(signum, stop) for signum in (signal.SIGINT, signal.SIGTERM)}
    sys.unraisablehook = again
    verb = ""
    try:
        _show_any_name()
        try:
            arguments = build_parser().parse_args(argv)
        except SystemExit:
            sys.stdout.flush()  # of --help: as below
            raise
        verb = f" {arguments.verb}"
        keep_freed()  # for good: a caller in the same process keeps it too
        module = importlib.import_module(module_of(arguments.verb))
        with _allowing(getattr(arguments, "allow_module", ())):
            module.run(arguments)
        sys.stdout.flush()  # here, where a pipe that is closed is still caught
        return 0
    except InputError as error:
        return _end(2, f"avsim{verb}: {error}")
    except UnicodeError as error:  # Python's own words name the byte, not the file
        return _end(2, f"avsim{verb}: a name or text that is not UTF-8 can't be used ({error})")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing more to flush at exit
        return 141
    except OSError as error:
        if error.errno not in DISK:
            raise
        return _end(2, f"avsim{verb}: {error.filename or 'output'}: cannot write ({error.strerror})")
    except Stopped as stopped:
        handlers = dict.fromkeys(handlers, signal.SIG_IGN)  # a second signal changes nothing on the way out
        _install(handlers)
        return _end(128 + stopped.signum, f"avsim{verb}: stopped by {signal.Signals(stopped.signum).name}")
    finally:
        _install(handlers)  # a caller in the same process gets its own back
        sys.unraisablehook = unraisable


def _allowing(modules: Sequence[str]) -> AbstractContextManager[Any]:
    """The user's packages, whose classes models may be of while a command runs."""
    if not modules:
        return nullcontext()
    from avsim.weights import allowing  # which imports torch

    return allowing(modules)


def _show_any_name() -> None:
    """Let names that are not UTF-8 be printed, with marks for what can't be shown."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def _install(handlers: dict[signal.Signals, Any]) -> None:
    for signum, handler in handlers.items():
        signal.signal(signum, handler)


def _end(code: int, line: str) -> int:
    if os.environ.get("LOCAL_RANK", "0") == "0":  # one line for all processes of a run
        shown = line.encode(errors="surrogateescape").decode(errors="replace")  # of names not in UTF-8
        print(" ".join(shown.split()), file=sys.stderr, flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
