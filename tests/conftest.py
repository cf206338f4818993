import pytest

from avsim import devices


@pytest.fixture
def float32(monkeypatch):
    """Models compute in float32, also where bfloat16 is quicker: for identities that rounding would hide."""
    monkeypatch.setattr(devices, "fast_in_bfloat16", lambda device: False)
