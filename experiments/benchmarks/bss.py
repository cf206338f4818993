"""BSS-eval of 256 pairs of signals of 65,535 samples on two threads, beside mir_eval in the same run.

    python experiments/benchmarks/bss.py [--pairs 256] [--sources 1] [--theirs 2]

Prints CPU and wall seconds of ours for all pairs, and mir_eval's for a few pairs scaled up to as many; the
wall time alone means little on a shared machine.
"""

import argparse
import os
import time
import warnings

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "2")

import numpy as np  # noqa: E402 (threads are counted when it is imported)
import torch  # noqa: E402

from avsim.evaluation.bss import bss_eval  # noqa: E402

SAMPLES = 65535


def timed(work) -> tuple[float, float]:
    """CPU and wall seconds of one call."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pairs", type=int, default=256)
    parser.add_argument("--sources", type=int, default=1, help="pairs that are scored with each other")
    parser.add_argument("--theirs", type=int, default=2, help="mixtures that mir_eval is given")
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    random = torch.Generator().manual_seed(0)
    shape = (arguments.pairs // arguments.sources, arguments.sources, SAMPLES)
    reference = torch.randn(shape, generator=random)
    estimate = 0.8 * reference + 0.2 * torch.randn(shape, generator=random)
    bss_eval(reference[:2], estimate[:2])
    cpu, wall = timed(lambda: bss_eval(reference, estimate))
    print(f"ours, {arguments.pairs} pairs: {cpu:.1f} s of CPU, {wall:.1f} s of wall time on 2 threads")
    if arguments.theirs:
        from mir_eval.separation import bss_eval_sources

        r, e = (x[: arguments.theirs].numpy().astype(np.float64) for x in (reference, estimate))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs, _ = timed(lambda: [bss_eval_sources(a, b, False) for a, b in zip(r, e, strict=True)])
        scaled = theirs * len(reference) / arguments.theirs
        print(f"mir_eval: {scaled:.0f} s of CPU for as many ({arguments.theirs} of them run)")
        print(f"ours is {scaled / cpu:.1f} x as quick")


if __name__ == "__main__":
    main()
