"""What becomes of memory that is freed. Other C libraries than glibc are left as they are."""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4  # parameters of mallopt, in malloc.h


def keep_freed() -> None:
    """Keep it for the next tensor: the kernel would zero every page of that anew.

    By default glibc returns tensors of some MB at once. Of a small model's passes on two cores that is a
    fifth of the time.
    """
    _set({_MMAP_MAX: 0, _TRIM_THRESHOLD: -1})


def return_freed() -> None:
    """Return it, blocks of 256 KiB and more at once: many processes share what there is.

    What a parent kept before it forked stays in its children's hands.
    """
    _set({_MMAP_MAX: 65536, _MMAP_THRESHOLD: 1 << 18, _TRIM_THRESHOLD: 1 << 17})


def _set(values: dict[int, int]) -> None:
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        for name, value in values.items():
            libc.mallopt(name, value)
