"""The command line in processes of their own, forked from one that has Lightning loaded: quick, killable."""

import multiprocessing
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["avsim.cli.trainer", "avsim.training.callbacks", "tests.small.system"])


def _main(arguments: list[str], output: str, cwd: str, disk: int) -> None:
    import resource

    import torch

    from avsim.__main__ import main

    for number, suffix in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{output}.{suffix}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)
    sys.argv = ["avsim", *arguments]
    os.chdir(cwd)
    if disk:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (disk, disk))
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
    """`avsim ARGUMENTS`, running, in `cwd`, with a disk that takes files of at most `disk` bytes (0: any)."""

    def __init__(self, folder: Path, *arguments: str | Path, cwd: str | Path = ".", disk: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.output = str(folder / f"output-{time.monotonic_ns()}")
        given = [str(each) for each in arguments], self.output, str(cwd), disk
        self.process = CONTEXT.Process(target=_main, args=given)
        self.process.start()

    def wait_for(self, condition, seconds: float = 200.0) -> None:
        until = time.monotonic() + seconds
        while not condition():
            assert self.process.is_alive(), self.done()
            assert time.monotonic() < until, "waited in vain"
            time.sleep(0.01)

    def send(self, signum: int = signal.SIGKILL) -> None:
        os.kill(self.process.pid, signum)

    def done(self, seconds: float = 280.0) -> Done:
        self.process.join(seconds)
        assert self.process.exitcode is not None, "did not end"
        paths = [Path(f"{self.output}.{suffix}") for suffix in ("out", "err")]
        texts = [path.read_text() if path.exists() else "" for path in paths]
        return Done(self.process.exitcode, *texts)


def avsim(folder: Path, *arguments: str | Path, cwd: str | Path = ".", disk: int = 0) -> Done:
    """Run `avsim ARGUMENTS` to its end; what it prints is kept in `folder`."""
    return Running(folder, *arguments, cwd=cwd, disk=disk).done()
