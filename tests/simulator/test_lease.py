import subprocess
import sys
from pathlib import Path

import pytest
import torch

from avsim.weights import SMALL, load_model

LEASE = Path(__file__).parents[2] / "experiments" / "004-small" / "lease.py"


@pytest.mark.slow
def test_what_a_lease_trains_speaks_the_latents_that_ship(tmp_path):
    done = subprocess.run(
        [sys.executable, LEASE, tmp_path / "out", "--minutes", "0.3", "--size", "0.03"],
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    for name in ("generator", "video_codec", "audio_codec"):
        now, before = load_model(tmp_path / "out" / name), load_model(SMALL / name)
        changed = {
            key for key, value in now.state_dict().items() if not torch.equal(value, before.state_dict()[key])
        }
        assert changed, name
        assert not [key for key in changed if key.startswith(("encoder", "whitening"))]
