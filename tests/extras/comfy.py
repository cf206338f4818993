"""A stub of the part of ComfyUI that runs nodes: its sockets' types, and its checks before and after a node.

It follows `comfy_api/latest` (`VideoComponents`, `VideoFromComponents`), `execution.py` (inputs that are
missing or out of bounds are refused; `getattr(node(), node.FUNCTION)(**inputs)`) and `comfy/utils.py`.
"""

import sys
import types
from abc import ABC, abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch

SOCKETS = {"VIDEO", "IMAGE", "AUDIO", "MASK"}
WIDGETS = {"STRING": str, "INT": int, "FLOAT": float, "BOOLEAN": bool}


@dataclass
class VideoComponents:
    images: torch.Tensor
    frame_rate: Fraction
    audio: dict[str, Any] | None = None
    metadata: dict | None = None


class VideoInput(ABC):
    @abstractmethod
    def get_components(self) -> VideoComponents: ...


class VideoFromComponents(VideoInput):
    def __init__(self, components: VideoComponents) -> None:
        self.components = components

    def get_components(self) -> VideoComponents:
        return self.components


class Interrupted(Exception):
    """As `comfy.model_management.InterruptProcessingException`."""


class Comfy:
    """What a running ComfyUI has: progress, and a button that interrupts."""

    def __init__(self) -> None:
        self.progress: list[tuple[int, int]] = []
        self.interrupted = False

    def install(self, monkeypatch) -> None:
        comfy = self

        class ProgressBar:
            def __init__(self, total: int) -> None:
                self.total, self.current = total, 0

            def update(self, value: int) -> None:
                self.current = min(self.total, self.current + value)
                comfy.progress.append((self.current, self.total))

        def throw_exception_if_processing_interrupted() -> None:
            if comfy.interrupted:
                raise Interrupted

        of = {
            "comfy": {},
            "comfy.utils": {"ProgressBar": ProgressBar},
            "comfy.model_management": {
                "throw_exception_if_processing_interrupted": throw_exception_if_processing_interrupted
            },
            "comfy_api": {},
            "comfy_api.latest": {
                "InputImpl": types.SimpleNamespace(VideoFromComponents=VideoFromComponents),
                "Types": types.SimpleNamespace(VideoComponents=VideoComponents),
            },
        }
        for name, members in of.items():
            module = types.ModuleType(name)
            vars(module).update(members)
            monkeypatch.setitem(sys.modules, name, module)


def check_value(name: str, kind: str, options: dict[str, Any], value: Any) -> None:
    if kind == "VIDEO":
        assert isinstance(value, VideoInput), name
        check_value(name, "IMAGE", {}, value.get_components().images)
        assert isinstance(value.get_components().frame_rate, Fraction), name
        if value.get_components().audio is not None:
            check_value(name, "AUDIO", {}, value.get_components().audio)
    elif kind == "IMAGE":
        assert value.ndim == 4 and value.shape[3] == 3 and value.dtype == torch.float32, name
        assert 0 <= value.min() and value.max() <= 1, name
    elif kind == "AUDIO":
        assert set(value) == {"waveform", "sample_rate"} and isinstance(value["sample_rate"], int), name
        assert value["waveform"].ndim == 3 and value["waveform"].dtype == torch.float32, name
    elif kind == "MASK":
        assert value.ndim == 3, name
    else:
        assert isinstance(value, WIDGETS[kind]), name
        if "min" in options and value < options["min"]:
            raise ValueError(f"{name}: value_smaller_than_min")
        if "max" in options and value > options["max"]:
            raise ValueError(f"{name}: value_bigger_than_max")


def execute(node: type, **given: Any) -> tuple[Any, ...]:
    """Run a node as a prompt would: parameters that are not given have their widget's default."""
    types_of = node.INPUT_TYPES()
    assert set(types_of) <= {"required", "optional", "hidden"} and isinstance(node.CATEGORY, str)
    inputs = {}
    for group, members in types_of.items():
        for name, (kind, *rest) in members.items():
            options = rest[0] if rest else {}
            assert kind in SOCKETS | set(WIDGETS), kind
            if name not in given and kind in WIDGETS:
                inputs[name] = options["default"]
            elif name in given:
                inputs[name] = given.pop(name)
            elif group == "required":
                raise ValueError(f"{name}: required_input_missing")
            if name in inputs:
                check_value(name, kind, options, inputs[name])
    assert not given, given
    outputs = getattr(node(), node.FUNCTION)(**inputs)
    assert isinstance(outputs, tuple) and len(outputs) == len(node.RETURN_TYPES) == len(node.RETURN_NAMES)
    for name, kind, value in zip(node.RETURN_NAMES, node.RETURN_TYPES, outputs, strict=True):
        check_value(name, kind, {}, value)
    return outputs
