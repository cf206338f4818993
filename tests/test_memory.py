"""Memory that is freed is kept for the next tensor, or returned: seen in a process of its own."""

import ctypes
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallopt"), reason="glibc's"
)

COUNT = """
import ctypes, resource, torch
from avsim.memory import keep_freed, return_freed
ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)  # PR_SET_THP_DISABLE: count pages as small as they are
{policies}
x = y = torch.ones(1 << 20)
for _ in range(3):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(8):
        y = (x + y).exp()
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
# Of all pages of sixteen tensors, those that the kernel had to find.
print(faults / (16 * x.nbytes / resource.getpagesize()))
"""


SMALL = """
import resource
from avsim.memory import keep_freed, return_freed
{policies}
blocks = [b"x" * 100_000 for _ in range(3000)]
del blocks
print(int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize())
"""


def printed(script):
    """The number that it prints where freed memory is kept, and where it is returned after all."""
    return (
        float(subprocess.check_output([sys.executable, "-c", script.format(policies=policies)], text=True))
        for policies in ("keep_freed()", "keep_freed(); return_freed()")
    )


def test_freed_memory_is_kept_or_returned():
    kept, returned = printed(COUNT)
    assert kept < 0.01
    assert returned > 0.9


def test_small_blocks_are_returned_too():
    kept, returned = printed(SMALL)
    assert kept > 300e6 > 1.5 * returned
