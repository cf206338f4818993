"""The experiment that proves the scorers, on a handful of clips: its table and its calibrations."""

import subprocess
import sys
from pathlib import Path

import pytest

from avsim.evaluation.calibration import Calibration

SCRIPT = Path(__file__).parents[2] / "experiments" / "002-calibration" / "calibrate.py"


@pytest.mark.slow
def test_every_judge_and_every_lie(tmp_path):
    arguments = [sys.executable, "-P", str(SCRIPT), str(tmp_path), "--clips", "12", "--reference", "12"]
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "table.md").read_text()
    for word in (
        "synchrony of events",
        "wrong material",
        "shifted by 320 ms",
        "Grounding, with oracle masks",
        "With perfect detectors",
        "left out",
    ):
        assert word in text
    paths = list((tmp_path / "calibrations").glob("*.json"))
    assert paths  # of scorers that need no detector
    for path in paths:
        found = Calibration.load(path)
        assert found.clips == 12 and found.weights == () and "calibrate.py" in found.made_by
