"""Memory that is freed is kept for the next tensor, or returned: seen in a process of its own."""

import subprocess
import sys

import pytest

COUNT = """
import resource, torch
from avsim import memory
getattr(memory, "{policy}")()
x = y = torch.ones(1 << 20)
for _ in range(80):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(8):
        y = (x + y).exp()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's")
def test_freed_memory_is_kept_or_returned():
    pages = 16 * (4 << 20) // 4096  # of sixteen tensors, as small as pages are
    kept, returned = (
        int(subprocess.check_output([sys.executable, "-c", COUNT.format(policy=policy)], text=True))
        for policy in ("keep_freed", "return_freed")
    )
    assert kept < 0.01 * pages < 0.1 * pages < returned
