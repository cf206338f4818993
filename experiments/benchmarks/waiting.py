"""The time of a clip by OpenMP's wait policy, on an idle machine and beside busy processes.

    python experiments/benchmarks/waiting.py [--rounds 7] [--busy 1] [--threads 2]

A process for each of some settings of libgomp loads what ships; they generate the same clip of two seconds in
turns, since machines are shared: what slows one round slows all. The busy processes only count. Printed are
medians of the wall time in shares of the clip's length and, in brackets, of its ratio to the default's in the
same round.
"""

import argparse
import os
import subprocess
import sys
import time
from statistics import median

SECONDS = 2.0  # of the clip
SETTINGS = {  # of libgomp: how often a thread looks for work before it sleeps, 300,000 times by default
    "default": {},
    "PASSIVE": {"OMP_WAIT_POLICY": "PASSIVE"},  # not at all
    "spin 1e3": {"GOMP_SPINCOUNT": "1000"},
    "spin 1e4": {"GOMP_SPINCOUNT": "10000"},
    "spin 3e4": {"GOMP_SPINCOUNT": "30000"},
}
PROMPT = "a ball falls and hits the floor"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--busy", type=int, default=1, help="busy processes in the second half")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument(
        "--serve", action="store_true", help=argparse.SUPPRESS
    )  # in the processes that generate
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.threads)
        return
    workers = {name: start(setting, arguments.threads) for name, setting in SETTINGS.items()}
    print(f"{arguments.threads} threads, clips of {SECONDS:g} s, {arguments.rounds} rounds; shares of length")
    print(f"{'':16}" + "".join(f"{name:>16}" for name in SETTINGS) + f"{'load':>7}")
    for busy in (0, arguments.busy):
        spinning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
        try:
            time.sleep(1.0)
            rounds = [
                {name: clip(workers[name]) for name in list(SETTINGS)[:: (-1) ** number]}
                for number in range(arguments.rounds)
            ]
        finally:
            for process in spinning:
                process.kill()
                process.wait()
        shown = ""
        for name in SETTINGS:
            share = median(each[name] for each in rounds) / SECONDS
            ratio = median(each[name] / each["default"] for each in rounds)
            shown += f"{share:8.2f} (x{ratio:4.2f})"
        label = f"beside {busy} busy" if busy else "quiet"
        print(f"{label:16}{shown}{os.getloadavg()[0]:7.1f}", flush=True)
    for worker in workers.values():
        worker.stdin.close()  # type: ignore[union-attr]
        worker.wait()


def start(setting: dict[str, str], threads: int) -> subprocess.Popen[str]:
    """A process that has generated one clip already, for the caches."""
    kept = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY",)}
    command = [sys.executable, __file__, "--serve", "--threads", str(threads)]
    process = subprocess.Popen(
        command, env={**kept, **setting}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    clip(process)
    return process


def clip(process: subprocess.Popen[str]) -> float:
    """The seconds that the process took for a clip."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return float(process.stdout.readline())


def serve(threads: int) -> None:
    """Generate a clip for each line on stdin, and print the seconds that it took."""
    import torch  # before avsim, which would set the policy itself

    import avsim

    torch.set_num_threads(threads)
    simulator = avsim.load("small")
    for _ in sys.stdin:
        began = time.perf_counter()
        simulator.generate(PROMPT, SECONDS)
        print(time.perf_counter() - began, flush=True)


if __name__ == "__main__":
    main()
