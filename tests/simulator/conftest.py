from pathlib import Path

import pytest

from tests.small.models import export


@pytest.fixture(scope="session")
def run(tmp_path_factory) -> Path:
    """A run that exported tiny models."""
    return export(tmp_path_factory.mktemp("simulator") / "run")


@pytest.fixture(scope="session")
def simulator(run):
    import avsim

    return avsim.load(run)
