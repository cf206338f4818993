import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TRAINS = re.compile(r"\.backward\(|optimizer\w*\.step\(")


def test_nothing_trains_outside_of_avsim_training():
    """`avsim fit` is the only training path. Tests may look at gradients; benchmarks time them."""
    allowed = ROOT / "avsim" / "training", ROOT / "experiments" / "benchmarks"
    files = [path for folder in ("avsim", "experiments") for path in (ROOT / folder).rglob("*.py")]
    assert len(files) > 100
    found = [path for path in files if TRAINS.search(path.read_text())]
    assert [path for path in found if not any(path.is_relative_to(folder) for folder in allowed)] == []
    assert any(path.is_relative_to(allowed[1]) for path in found)  # the pattern finds what there is
