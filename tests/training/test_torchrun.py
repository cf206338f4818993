"""A run of two processes under torchrun: stopped, it leaves a checkpoint, and goes on with the same curve."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch

from tests.training.test_resume import curve, weights

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
LINE = [
    sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "avsim", "fit",
    "-c", "configs/base.yaml", "-c", "tests/small/line.yaml", "--model.init_args.dropout", "0",
    "--trainer.accelerator", "cpu", "--trainer.precision", "32-true", "--trainer.strategy", "ddp",
    "--trainer.devices", "2",
]  # fmt: skip


def started(run: Path, *more: str) -> subprocess.Popen:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    with open(run.with_suffix(".log"), "a") as log:
        return subprocess.Popen([*LINE, "--folder", str(run), *more], stdout=log, stderr=log, env=environment)


def rows(run: Path) -> int:
    return len(curve(run)) if (run / "csv" / "metrics.csv").is_file() else 0


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("whole") / "run"
    assert started(run).wait(300) == 0, run.with_suffix(".log").read_text()
    return run


@pytest.mark.parametrize("told", ["torchrun", "both processes", "one process"])
def test_a_stopped_run_saves_a_checkpoint_and_goes_on_with_the_same_curve(whole, tmp_path, told):
    run = tmp_path / "run"
    launcher = started(run, "--model.init_args.seconds", "0.5", "--checkpoint-every", "100")
    try:
        until = time.monotonic() + 200
        while rows(run) < 3:
            assert launcher.poll() is None and time.monotonic() < until, run.with_suffix(".log").read_text()
            time.sleep(0.05)
        workers = [each for each in psutil.Process(launcher.pid).children() if "avsim" in each.cmdline()]
        assert len(workers) == 2
        for each in {"torchrun": [launcher], "both processes": workers}.get(told, workers[1:]):
            os.kill(each.pid, signal.SIGTERM)
        assert launcher.wait(120) != 0
    finally:
        launcher.kill()
    log = run.with_suffix(".log").read_text()
    assert "avsim fit: stopped by SIGTERM" in log, log
    step = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]
    assert 3 <= step < 12
    assert started(run, "--allow-changes", "true").wait(300) == 0, run.with_suffix(".log").read_text()
    assert re.search(f"going on from step {step}$", run.with_suffix(".log").read_text(), re.M)
    assert curve(run) == curve(whole)
    assert all(torch.equal(weights(run)[name], tensor) for name, tensor in weights(whole).items())
