"""Read mutants in a process of its own, which may crash: `child.py FOLDER SEED FIRST LAST LOG`.

LOG gets a line of JSON before each mutant and one for each finding, so that the parent can name what killed
the process. A call that takes too much CPU time ends it by SIGPROF.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from avsim import media
from avsim.errors import InputError
from tests.fuzz.mutation import mutant

CPU, MEMORY = 10.0, 2 << 30  # seconds of one call and bytes of one mutant


def main(folder: Path, seed: int, first: int, last: int, log: Path) -> None:
    """Read the mutants `first` to `last` - 1 of the files in a folder."""
    warnings.simplefilter("ignore")
    seeds = sorted(folder.glob("seed/*"))
    address_space = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (address_space + 2 * MEMORY,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    start = peak = _peak()
    with log.open("a", buffering=1) as lines:
        for number in range(first, last):
            source = seeds[number % len(seeds)]
            path = folder / f"mutant-{first}{source.suffix}"
            path.write_bytes(mutant(source.read_bytes(), seed, number))
            lines.write(json.dumps({"at": number, "file": source.name}) + "\n")
            for name, call in _calls(path).items():
                began = time.process_time()
                signal.setitimer(signal.ITIMER_PROF, CPU)
                try:
                    call()
                except InputError:
                    pass
                except Exception as error:
                    found = {"found": f"{name}: {type(error).__name__}: {error}"[:300]}
                    lines.write(json.dumps({"number": number, "file": source.name, **found}) + "\n")
                signal.setitimer(signal.ITIMER_PROF, 0)
                if (spent := time.process_time() - began) > CPU:
                    found = {"found": f"{name}: {spent:.0f} s of CPU"}
                    lines.write(json.dumps({"number": number, "file": source.name, **found}) + "\n")
            if _peak() > max(peak, start + MEMORY):
                peak = _peak()
                found = {"found": f"{(peak - start) / 1e9:.1f} GB of memory"}
                lines.write(json.dumps({"number": number, "file": source.name, **found}) + "\n")
            path.unlink()


def _calls(path: Path) -> dict[str, Callable[[], object]]:
    return {
        "probe": lambda: media.probe(path),
        "read": lambda: media.read(path),
        "span": lambda: media.read(path, 0.4, 0.3, (24, 32), 8.0, 8000, 1),
        "sound": lambda: media.read(path, 0.5, 0.5, want="wave"),
    }


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:5]), Path(sys.argv[5]))
