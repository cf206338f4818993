"""Many tasks in a few processes: a bar on the screen, and no task can take the others down with it."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from avsim.memory import return_freed

Task = TypeVar("Task")
Result = TypeVar("Result")
STOPPING = (signal.SIGINT, signal.SIGTERM)


class Crashed(Exception):
    """The process that worked on a task died (a decoder's fault, or the system was out of memory)."""


def run_all(
    function: Callable[[Task], Result], tasks: Sequence[Task], jobs: int, label: str
) -> Iterator[tuple[Task, Result | Crashed]]:
    """Yield (task, its result) as they end, in no fixed order; what `function` raises is raised here.

    A task whose process dies takes those beside it along: these are done again, each alone, and the one that
    dies a second time gives `Crashed` in place of a result.
    """
    waiting, suspects = deque(tasks), []
    with bar(auto_refresh=False) as progress:  # a thread that draws must not be copied into workers
        shown = progress.add_task(label, total=len(tasks))
        while waiting:
            for task, result in _run(function, waiting, jobs):
                if isinstance(result, Crashed):
                    suspects.append(task)
                    continue
                progress.update(shown, advance=1, refresh=True)
                yield task, result
        for suspect in suspects:
            for task, result in _run(function, deque([suspect]), 1):
                progress.update(shown, advance=1, refresh=True)
                yield task, result


def _run(
    function: Callable[[Task], Result], waiting: deque[Task], jobs: int
) -> Iterator[tuple[Task, Result | Crashed]]:
    """Do tasks from the head of `waiting` until none is left, or a process dies: then those in hand crash."""
    # Forked workers share the memory of what is imported (300 MB with torch). As in torch's loaders this is
    # safe on Linux, for they use one thread each and no lock of ours is held by another thread here.
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    executor = ProcessPoolExecutor(min(jobs, len(waiting)), mp_context=context, initializer=_begin)
    in_hand: dict[Future[Result], Task] = {}
    broken = False
    try:
        while in_hand or (waiting and not broken):
            while waiting and not broken and len(in_hand) < 2 * jobs:
                try:
                    with _uninterrupted():
                        in_hand[executor.submit(_tidily, function, waiting[0])] = waiting[0]
                    waiting.popleft()
                except BrokenProcessPool:
                    broken = True
            for future in wait(in_hand, return_when=FIRST_COMPLETED).done:
                task = in_hand.pop(future)
                try:
                    result: Result | Crashed = future.result()
                except BrokenProcessPool as error:
                    result, broken = Crashed(str(error)), True
                yield task, result
    finally:
        if in_hand:  # stopped in the middle: by an error, a signal, or a caller that has seen enough
            for process in list((executor._processes or {}).values()):
                process.terminate()
        executor.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold stopping signals back: what their handlers raise while a process is being forked is lost."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _tidily(function: Callable[[Task], Result], task: Task) -> Result:
    """Do a task and leave no garbage.

    Decoders and their frames are parts of cycles, and hold megabytes that the collector doesn't count.
    """
    result = function(task)
    gc.collect()
    return result


def _begin() -> None:
    """In a new worker: leave Ctrl-C to the parent, never outlive it, and keep little garbage."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)

    def follow() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    torch.set_num_threads(1)  # the processes share out the cores
    gc.freeze()  # what was imported stays memory that all workers share
    gc.set_threshold(50, 10, 10)
    return_freed()
    threading.Thread(target=follow, daemon=True).start()


def bar(auto_refresh: bool = True) -> Progress:
    """A progress bar on stderr, which a thread of its own draws unless `auto_refresh` is false."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), auto_refresh=auto_refresh)
