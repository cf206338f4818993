"""Defaults of public parameters stay: configs, checkpoints and scripts that omit them rely on them.

`python -m tests.test_defaults` writes `defaults.json` anew, for a change that is meant.
"""

import dataclasses
import importlib
import inspect
import json
import pkgutil
from enum import Enum
from pathlib import Path

import pytest

NUMBERS = Path(__file__).with_name("defaults.json")
PACKAGES = ("codecs", "diffusion", "evaluation", "models", "perception", "separation", "training")


def shown(value: object) -> object:
    """A default as JSON: numbers, texts and tuples as they are, others by their type's name."""
    if isinstance(value, bool | int | float | str) or value is None:
        return value
    if isinstance(value, tuple | list):
        return [shown(each) for each in value]
    if dataclasses.is_dataclass(value):
        return {field.name: shown(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return getattr(value, "__name__", type(value).__name__)


def defaults(package: str) -> dict[str, dict[str, object]]:
    """Of each public class and function of a package: its parameters that have defaults."""
    found = {}
    root = importlib.import_module(f"avsim.{package}")
    for module in pkgutil.walk_packages(root.__path__, f"avsim.{package}."):
        held = importlib.import_module(module.name)
        for name, each in vars(held).items():
            own = getattr(each, "__module__", None) == module.name and not name.startswith("_")
            own = own and not (inspect.isclass(each) and issubclass(each, Enum | Exception))
            if not own or not (inspect.isclass(each) or inspect.isfunction(each)):
                continue
            try:
                parameters = inspect.signature(each).parameters.values()
            except ValueError:
                continue
            given = {p.name: shown(p.default) for p in parameters if p.default is not inspect.Parameter.empty}
            if given:
                found[f"{module.name.removeprefix('avsim.')}.{name}"] = given
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_defaults_are_what_they_were(package):
    written = json.loads(NUMBERS.read_text())[package]
    found = json.loads(json.dumps(defaults(package)))
    changed = {name: (written.get(name), found.get(name)) for name in {*written, *found}
               if written.get(name) != found.get(name)}  # fmt: skip
    assert not changed, f"{changed}; if it is meant: python -m tests.test_defaults"


if __name__ == "__main__":
    NUMBERS.write_text(json.dumps({each: defaults(each) for each in PACKAGES}, indent=1) + "\n")
