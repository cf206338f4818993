"""The command line in processes of their own, forked from one that has Lightning loaded: quick and killable."""

import multiprocessing
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["avsim.verbs.cli", "avsim.callbacks", "tests.small.system"])


def _main(arguments: list[str], output: str) -> None:
    import torch

    from avsim.__main__ import main

    for number, suffix in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{output}.{suffix}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)
    sys.argv = ["avsim", *arguments]
    torch.set_num_threads(1)
    code = main(arguments)
    sys.stdout.flush()
    sys.exit(code)


@dataclass
class Done:
    code: int
    out: str
    err: str


class Running:
    """`avsim ARGUMENTS`, running."""

    def __init__(self, folder: Path, *arguments: str | Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.output = str(folder / f"output-{time.monotonic_ns()}")
        self.process = CONTEXT.Process(target=_main, args=([str(each) for each in arguments], self.output))
        self.process.start()

    def wait_for(self, condition, seconds: float = 60.0) -> None:
        until = time.monotonic() + seconds
        while not condition():
            assert self.process.is_alive(), self.done()
            assert time.monotonic() < until, "waited in vain"
            time.sleep(0.01)

    def send(self, signum: int = signal.SIGKILL) -> None:
        os.kill(self.process.pid, signum)

    def done(self, seconds: float = 120.0) -> Done:
        self.process.join(seconds)
        assert self.process.exitcode is not None, "did not end"
        texts = [Path(f"{self.output}.{suffix}").read_text() for suffix in ("out", "err")]
        return Done(self.process.exitcode, *texts)


def avsim(folder: Path, *arguments: str | Path) -> Done:
    """Run `avsim ARGUMENTS` to its end."""
    return Running(folder, *arguments).done()
