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


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` (same name); rename it to `path` on success, remove it on failure.

    The temporary path does not exist yet: it may become a file or a folder.

    Raises:
        InputError: the folder can't be written, or the disk is full.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        holder = Path(tempfile.mkdtemp(prefix=f".{path.name[:40]}.", dir=path.parent))
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
        yield folder
