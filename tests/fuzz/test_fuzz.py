"""No damaged file raises anything but InputError, crashes, hangs or fills the memory.

To repeat with other mutants: `AVSIM_FUZZ_SEED=2 AVSIM_FUZZ_MUTANTS=8000 pytest -m slow tests/fuzz`.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.mutation import mutant
from tests.fuzz.seeds import make

ROOT = Path(__file__).parents[2]
SEED = int(os.environ.get("AVSIM_FUZZ_SEED", 0))
MUTANTS = int(os.environ.get("AVSIM_FUZZ_MUTANTS", 4000))
STUCK = 120.0  # seconds without a line in the log: a mutant that waits rather than computes
BATCH = 250  # mutants of one process


def findings(folder: Path, seed: int, mutants: int) -> list[str]:
    """One line for each mutant that went wrong; where it ends the process, another goes on behind it."""
    log, found, first = folder / "log", [], 0
    while first < mutants:
        log.write_text("")
        last = min(first + BATCH, mutants)
        command = [sys.executable, "-m", "tests.fuzz.child", folder, str(seed), str(first), str(last), log]
        ended = _ended(command, log)
        lines = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]
        found += [
            f"({seed}, {line['number']}) of {line['file']}: {line['found']}"
            for line in lines
            if "found" in line
        ]
        print(f"{last} of {mutants} mutants begun, found: {found}", flush=True)  # shown if the time runs out
        started = [line for line in lines if "at" in line]
        if ended == 0:
            first = last
            continue
        assert started, f"the child didn't begin: {ended}"
        what = "over 10 s of CPU" if ended == -signal.SIGPROF else f"ended by {ended}"
        found.append(f"({seed}, {started[-1]['at']}) of {started[-1]['file']}: {what}")
        first = started[-1]["at"] + 1
    return found


def _ended(command: list[object], log: Path) -> int | str:
    """The exit status of a process that writes to `log`, or "a hang"."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    child = subprocess.Popen(
        list(map(str, command)),
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=log.with_suffix(".err").open("w"),
    )
    size = -1
    while True:
        try:
            return child.wait(STUCK)
        except subprocess.TimeoutExpired:
            if log.stat().st_size == size:
                child.kill()
                child.wait()
                return "a hang"
            size = log.stat().st_size


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_damaged_file_is_refused_or_read(tmp_path: Path) -> None:
    if shutil.which("ffmpeg") is None:
        pytest.skip("the ffmpeg binary, which makes the seeds, is absent")
    (tmp_path / "seed").mkdir()
    made = make(tmp_path / "seed")
    assert len(made) >= 12, f"this ffmpeg made {sorted(made)} alone"
    assert not findings(tmp_path, SEED, MUTANTS)


def test_a_mutant_is_the_same_for_the_same_seed_and_number() -> None:
    data = bytes(range(256)) * 8
    assert mutant(data, 3, 5) == mutant(data, 3, 5)
    others = {mutant(data, 3, number) for number in range(50)} | {mutant(data, 4, 5)}
    assert len(others) > 40
    assert sum(one != data for one in others) > 40
