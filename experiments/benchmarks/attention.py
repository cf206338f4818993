"""The generator's attention on a CPU, written out and by torch's fused kernel: python attention.py

One thread, CPU time, the best of several; forward and backward of 16 clips of 2 s, in ms.
"""

import time

import torch
import torch.nn.functional as F
from torch import Tensor

from avsim.models.couplings import attend

ROWS, HEADS, WIDTH = 16, 6, 32


def fused(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, mask)


def best(function, tokens: int, keys: int, dtype: torch.dtype) -> list[float]:
    """Milliseconds of forward and of backward."""
    q, k, v = (
        torch.randn(ROWS, HEADS, n, WIDTH, dtype=dtype, requires_grad=True) for n in (tokens, keys, keys)
    )
    mask = torch.zeros(ROWS, 1, tokens, keys, dtype=dtype)
    found = []
    for _ in range(8):
        start = time.process_time()
        out = function(q, k, v, mask)
        middle = time.process_time()
        out.backward(torch.ones_like(out))
        found.append((middle - start, time.process_time() - middle))
    return [1000 * min(times) for times in zip(*found, strict=True)]


if __name__ == "__main__":
    torch.set_num_threads(1)
    for dtype in (torch.bfloat16, torch.float32):
        for what, tokens, keys in (("both streams", 640, 640), ("video to text", 576, 40)):
            for name, function in (("fused", fused), ("spelled out", attend)):
                forward, backward = best(function, tokens, keys, dtype)
                print(f"{str(dtype)[6:]:9} {what:17} {name:12} {forward:6.1f} {backward:6.1f}")
