"""A folder is enough to make a model again; nothing in it can run code."""

import json

import pytest
import torch
from torch import nn

from avsim import weights
from avsim.clip import ClipSpec
from avsim.errors import InputError


@weights.configured
class Inner(nn.Module):
    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.layer = nn.Linear(width, width)


@weights.configured
class Outer(nn.Module):
    def __init__(self, inner: nn.Module, spec: ClipSpec, sizes: tuple[int, ...] = (1, 2)) -> None:
        super().__init__()
        self.inner, self.spec, self.sizes = inner, spec, sizes


@weights.configured
class Plain(nn.Module):
    """A class without a constructor of its own."""


@pytest.fixture
def as_avsim(monkeypatch):
    """Let this module's classes be found under a name of avsim's own."""
    import sys

    module = sys.modules[__name__]
    monkeypatch.setitem(sys.modules, "avsim.made_for_test", module)
    for cls in (Inner, Outer, Plain):
        monkeypatch.setattr(cls, "__module__", "avsim.made_for_test")


def test_round_trip(tmp_path, as_avsim):
    model = Outer(Inner(4), spec=ClipSpec(3.0))
    weights.save_model(model, tmp_path / "m", commit="abc")
    again = weights.load_model(tmp_path / "m", expected=Outer)
    assert torch.equal(again.inner.layer.weight, model.inner.layer.weight)
    assert again.spec == ClipSpec(3.0) and list(again.sizes) == [1, 2] and not again.training
    assert json.loads((tmp_path / "m" / "config.json").read_text())["notes"] == {"commit": "abc"}


def test_a_class_without_a_constructor_of_its_own(tmp_path, as_avsim):
    assert Plain().config["init_args"] == {}
    assert isinstance(weights.load_model(weights.save_model(Plain(), tmp_path / "m")), Plain)


def test_averaged_tensors_stand_in(tmp_path, as_avsim):
    model = Inner()
    zeros = {name: torch.zeros_like(value) for name, value in model.state_dict().items()}
    weights.save_model(model, tmp_path / "m", zeros)
    assert weights.load_model(tmp_path / "m").layer.weight.abs().max() == 0 < model.layer.weight.abs().max()


def test_refusals(tmp_path, as_avsim):
    weights.save_model(Inner(3), tmp_path / "m")
    with pytest.raises(InputError, match="no config.json"):
        weights.load_model(tmp_path)
    with pytest.raises(InputError, match="holds a Inner; expected a Outer"):
        weights.load_model(tmp_path / "m", expected=Outer)
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    for changed, says in [
        ({**config, "class_path": "os.system"}, "only avsim's own"),
        ({**config, "class_path": "avsim.made_for_test.Absent"}, "can't be built"),
        (
            {"format": 2, "class_path": "avsim.weights.hash_of", "init_args": {"path": "/etc/hostname"}},
            "no class of avsim's own",
        ),
        ({"format": 2, "class_path": "avsim.weights.Path", "init_args": {}}, "no class of avsim's own"),
        (
            {"format": 2, "class_path": "avsim.simulator.system.SimulatorSystem", "init_args": {}},
            "no file can have built",
        ),
        ({**config, "init_args": {"breadth": 3}}, "can't be built"),
        ({**config, "init_args": {"width": 5}}, "not the weights of this architecture"),
        ({}, "does not say which model"),
        ({**config, "format": 1}, "has format 1; this version of avsim reads format 2"),
    ]:
        (tmp_path / "m" / "config.json").write_text(json.dumps(changed))
        with pytest.raises(InputError, match=says):
            weights.load_model(tmp_path / "m")
    (tmp_path / "m" / "config.json").write_text(json.dumps(config))
    (tmp_path / "m" / "model.safetensors").write_bytes(b"\x80\x04cposix\nsystem\n")
    with pytest.raises(InputError, match="its sha256 is .* changed or cut short"):
        weights.load_model(tmp_path / "m")
    del config["sha256"]  # an older folder
    (tmp_path / "m" / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="not the weights"):
        weights.load_model(tmp_path / "m")


def test_weights_can_be_stored_in_half_the_bytes(tmp_path, as_avsim):
    model = Inner(3)
    weights.save_model(model, tmp_path / "m", dtype=torch.bfloat16)
    again = weights.load_model(tmp_path / "m")
    for name, value in model.state_dict().items():
        kept = again.state_dict()[name]
        assert kept.dtype == value.dtype and torch.equal(kept, value.to(torch.bfloat16).to(value.dtype))


@pytest.mark.parametrize(
    "width", ["x", -1, 0.5, None, True, [], {}, 10**9, 480_000, 1e300, float("nan")], ids=repr
)
def test_sizes_of_a_config_are_checked_before_memory_is_taken(width, tmp_path, as_avsim):
    weights.save_model(Inner(3), tmp_path / "m")
    file = tmp_path / "m" / "config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps({**config, "init_args": {"width": width}}))
    with pytest.raises(InputError, match=r"m/config\.json: "):  # 480,000 squared floats are 860 GiB
        weights.load_model(tmp_path / "m")


@pytest.mark.parametrize(
    "changed", [{"init_args": 3}, {"sha256": 3}, {"class_path": 3}, {"class_path": None}], ids=repr
)
def test_fields_of_a_config_of_other_types(changed, tmp_path, as_avsim):
    weights.save_model(Inner(3), tmp_path / "m")
    file = tmp_path / "m" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changed}))
    with pytest.raises(InputError, match=r"m/config\.json: "):
        weights.load_model(tmp_path / "m")


def test_notes_that_are_none(tmp_path, as_avsim):
    weights.save_model(Inner(3), tmp_path / "m")
    file = tmp_path / "m" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "notes": "x"}))
    with pytest.raises(InputError, match="notes is 'x'; expected an object"):
        weights.notes_of(tmp_path / "m")
