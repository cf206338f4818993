import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_all_that_ships_is_made_by_avsim_commands(tmp_path):
    """`experiments/004-small/run.sh`, every stage on two steps; a second run finds all of it done."""
    from avsim.simulator import load
    from avsim.weights import SMALL

    avsim = tmp_path / "avsim"
    avsim.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m avsim "$@"\n')
    avsim.chmod(0o755)
    run, environment = tmp_path / "run", {**os.environ, "REHEARSAL": "1", "AVSIM": str(avsim)}
    command = ["bash", str(ROOT / "experiments" / "004-small" / "run.sh"), str(run)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    made = {path.name for path in (run / "small").iterdir()}
    assert made == {path.name for path in SMALL.iterdir() if path.is_dir()}
    clip = load(run / "small").generate("a ball falls", seconds=0.5, steps=2)
    assert clip.frames is not None and clip.wave is not None
