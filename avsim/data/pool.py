"""Many tasks in a few processes: a bar on the screen, and no task can take the others down with it."""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Task = TypeVar("Task")
Result = TypeVar("Result")
_MMAP_THRESHOLD = -3  # M_MMAP_THRESHOLD of malloc.h


class Crashed(Exception):
    """The process that worked on a task died (a decoder's fault, or the system was out of memory)."""


def run_all(
    function: Callable[[Task], Result], tasks: Sequence[Task], jobs: int, label: str
) -> Iterator[tuple[Task, Result | Crashed]]:
    """Yield (task, its result) as they end, in no fixed order; what `function` raises is raised here.

    A task whose process dies takes those beside it along: these are done again, each alone, and the one that
    dies a second time gives `Crashed` in place of a result.
    """
    with bar() as progress:
        shown = progress.add_task(label, total=len(tasks))
        lost: list[Task] = []
        for group, width in ((tasks, jobs), (lost, 1)):
            for some in [list(group)] if width > 1 or group is tasks else [[task] for task in group]:
                for task, result in _run(function, some, width):
                    if isinstance(result, Crashed) and group is tasks:
                        lost.append(task)
                        continue
                    progress.advance(shown)
                    yield task, result


def _run(
    function: Callable[[Task], Result], tasks: list[Task], jobs: int
) -> Iterator[tuple[Task, Result | Crashed]]:
    if not tasks:
        return
    # A fork server starts clean processes (no threads or locks copied) that share the imported modules.
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload(["avsim.data.prepare", "scenedetect"])
    executor = ProcessPoolExecutor(min(jobs, len(tasks)), mp_context=context, initializer=_begin)
    futures: dict[Future[Result], Task] = {}
    try:
        futures = {executor.submit(_tidily, function, task): task for task in tasks}
        for future in as_completed(futures):
            try:
                result: Result | Crashed = future.result()
            except BrokenProcessPool as error:
                result = Crashed(str(error))
            yield futures[future], result
    finally:
        for process in (executor._processes or {}).values():
            if any(not future.done() for future in futures):
                process.terminate()
        executor.shutdown(wait=True, cancel_futures=True)


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

    def follow() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    gc.freeze()  # what was imported stays memory that all workers share
    gc.set_threshold(50, 10, 10)
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # glibc: hand blocks of 64 KiB and more back as they are freed
        libc.mallopt(_MMAP_THRESHOLD, 1 << 16)
    threading.Thread(target=follow, daemon=True).start()


def bar() -> Progress:
    """A progress bar on stderr."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True))
