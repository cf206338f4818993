"""Outputs that are either whole or absent: temporary names, renames, and one writer per folder."""

import ctypes
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from avsim.errors import InputError

PARTIAL = ".partial"  # ends the name of a hidden folder that holds what is being written
_cleared: set[Path] = set()  # folders in which this process has looked for what killed ones left


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` (same name); rename it to `path` on success, remove it on failure.

    The temporary path does not exist yet: it may become a file or a folder. What processes that were killed
    left in the same folder is removed.

    Raises:
        InputError: the folder can't be written, or the disk is full.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if (folder := path.parent.absolute()) not in _cleared:
            clear_partial(folder)
            _cleared.add(folder)
        holder, lock = _holder(path)
    except OSError as error:
        raise InputError(f"{path}: cannot write here ({error.strerror})") from error
    try:
        yield holder / path.name
        _flush(holder / path.name)
        _put(holder / path.name, path, aside=holder / f"{path.name}.before")
        flush(path.parent)
    except OSError as error:
        raise InputError(f"{path}: could not be written ({error.strerror or error})") from error
    except Exception as error:
        if type(error).__name__ != "SafetensorError":  # no OSError, also where the disk is full
            raise
        raise InputError(f"{path}: could not be written ({error})") from error
    finally:
        shutil.rmtree(holder, ignore_errors=True)
        os.close(lock)


def _holder(path: Path) -> tuple[Path, int]:
    """A new hidden folder beside `path`, and the handle that keeps it locked while this process lives."""
    while True:
        holder = Path(tempfile.mkdtemp(prefix=f".{path.name[:40]}.", suffix=PARTIAL, dir=path.parent))
        try:
            lock = os.open(holder, os.O_RDONLY)
        except FileNotFoundError:
            continue  # another process took it for a killed one's
        _lock(lock, wait=True)
        if holder.is_dir():
            return holder, lock
        os.close(lock)


def _lock(handle: int, wait: bool = False) -> bool:
    """Lock an open folder; False where another process holds it, or the file system has no locks."""
    import fcntl  # absent on Windows; imported where used

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def clear_partial(folder: Path, recursive: bool = False) -> None:
    """Remove what killed processes were writing to a folder; a running one's stays.

    A folder that had stepped aside for its successor gets its name back.
    """
    pattern = f".*{PARTIAL}"
    for holder in list(folder.rglob(pattern) if recursive else folder.glob(pattern)):
        try:
            lock = os.open(holder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            if _lock(lock):
                for before in holder.glob("*.before"):
                    if not (holder.parent / before.stem).exists():
                        os.replace(before, holder.parent / before.stem)
                shutil.rmtree(holder, ignore_errors=True)
        except OSError:
            pass  # it stays; nothing depends on it
        finally:
            os.close(lock)


def _flush(made: Path) -> None:
    """Have what was made on the disk before its name is, also where the power fails."""
    for path in [made, *made.rglob("*")] if made.is_dir() else [made]:
        if path.is_file() and not path.is_symlink():
            flush(path)
    if made.is_dir():
        flush(made)


def flush(path: Path) -> None:
    """Have a file's content, or a folder's names, on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):  # a file system without fsync
            raise
    finally:
        os.close(handle)


def _put(made: Path, path: Path, aside: Path) -> None:
    """Give what was made its name; a folder that has it steps aside, and back where that fails."""
    try:
        if path.is_dir() and not path.is_symlink():
            if made.is_dir() and _exchanged(made, path):
                return
            os.replace(path, aside)
        os.replace(made, path)
    except BaseException:
        if aside.exists() and not path.exists():
            os.replace(aside, path)
        raise


def _exchanged(one: Path, other: Path) -> bool:
    """Exchange two names in one step; False where the system can't."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError, TypeError):
        return False
    here, exchange = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of linux/fs.h
    return rename(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0


@contextmanager
def claimed(folder: str | Path) -> Iterator[Path]:
    """Hold `folder` (made if absent) for one process; a claim dies with its holder.

    What killed processes were writing anywhere in it is removed.

    Raises:
        InputError: another running process writes there, or it can't be written.
    """
    import fcntl  # absent on Windows; imported where used

    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = open(folder / ".claim", "a+")
    except OSError as error:
        raise InputError(f"{folder}: cannot write here ({error.strerror})") from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(f"{folder}: another running avsim writes here; choose another folder") from error
        os.register_at_fork(after_in_child=handle.close)  # a worker that outlives its holder holds nothing
        clear_partial(folder, recursive=True)
        yield folder
