"""Models <-> folders: `config.json` says how to build one, `model.safetensors` holds its tensors.

Nothing is pickled. A model class decorated with `@configured` remembers the arguments it was made with, so
that its folder is enough to make it again, without Lightning and without the yaml it was trained from.
"""

import functools
import hashlib
import importlib
import inspect
import json
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from avsim.errors import InputError
from avsim.files import atomic

Model = TypeVar("Model", bound=type[nn.Module])
CONFIG, TENSORS = "config.json", "model.safetensors"
_CONFIGURED: set[type] = set()  # what files may have built, beside plain dataclasses
SMALL = Path(__file__).parent / "small"  # what ships with the package, a folder for each part


def shipped(part: str) -> Path | None:
    """The folder of a part that ships with the package, if it does."""
    return SMALL / part if (SMALL / part).is_dir() else None


def part_folder(path: str | Path, part: str) -> Path:
    """The folder of a trained `part`: `path` itself, or the part of the run or model there; "small" ships.

    Raises:
        InputError: no such part there.
    """
    path = SMALL if str(path) == "small" and not Path(path).is_dir() else Path(path)
    for folder in (path, path / part, path / "simulator" / part):
        if (folder / CONFIG).is_file() and (folder / TENSORS).is_file():
            return folder
    raise InputError(f"{path}: no trained {part} here; expected a run that trained one, or its folder")


def configured(cls: Model) -> Model:
    """Let every instance of a module class carry `config`: its class path and constructor arguments.

    Arguments may be plain data, dataclasses of plain data, classes of avsim's own, or modules that are
    `configured` themselves.
    """
    original = cls.__init__

    @functools.wraps(original)
    def remember(self: Any, *args: Any, **kwargs: Any) -> None:
        bound = inspect.signature(original).bind(self, *args, **kwargs)
        bound.apply_defaults()
        arguments: Any = {name: _plain(value) for name, value in list(bound.arguments.items())[1:]}
        original(self, *args, **kwargs)
        if type(self) is cls:
            self.config = {"class_path": f"{cls.__module__}.{cls.__qualname__}", "init_args": arguments}  # type: ignore[assignment]

    cls.__init__ = remember  # type: ignore[assignment, method-assign, misc]
    _CONFIGURED.add(cls)
    return cls


def _plain(value: Any) -> Any:
    if isinstance(value, nn.Module):
        return value.config
    if isinstance(value, type):
        return {"class": f"{value.__module__}.{value.__qualname__}"}
    if is_dataclass(value) and not isinstance(value, type):
        path = f"{type(value).__module__}.{type(value).__qualname__}"
        return {"class_path": path, "init_args": {key: _plain(item) for key, item in asdict(value).items()}}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def build(config: Any) -> Any:
    """Make what a `config` describes: `configured` models and dataclasses of avsim's own, nothing else.

    Raises:
        InputError: a class that is no such, or not there, or arguments it doesn't take.
    """
    if isinstance(config, list):
        return [build(item) for item in config]
    if not (isinstance(config, dict) and ("class_path" in config or "class" in config)):
        return config
    path: str = config["class"] if "class" in config else config["class_path"]
    module, _, name = path.rpartition(".")
    if module.partition(".")[0] != "avsim":
        raise InputError(f"config names the class {path!r}; only avsim's own are built from files")
    try:
        cls = getattr(importlib.import_module(module), name)
        if not (isinstance(cls, type) and cls.__module__.partition(".")[0] == "avsim"):
            raise InputError(f"config names {path!r}, which is no class of avsim's own")
        if "class" in config:
            return cls
        if not (cls in _CONFIGURED or is_dataclass(cls)):
            raise InputError(f"config names {path!r}, which no file can have built")
        return cls(**{key: build(value) for key, value in config.get("init_args", {}).items()})
    except (ImportError, AttributeError, TypeError) as error:
        raise InputError(f"config can't be built as {path}: {error}") from error


def save_model(
    model: nn.Module,
    folder: str | Path,
    tensors: dict[str, Tensor] | None = None,
    dtype: torch.dtype | None = None,
    **notes: Any,
) -> Path:
    """Write `model` to `folder`, whole or not at all; `tensors` stand in for its own (an average, say).

    `dtype` is what floating-point tensors are stored as, their own by default; `notes` are plain data kept in
    config.json under "notes" (commit, command, step).
    """
    tensors = model.state_dict() if tensors is None else tensors
    stored = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    if dtype is not None:
        stored = {
            name: value.to(dtype) if value.is_floating_point() else value for name, value in stored.items()
        }
    with atomic(folder) as temporary:
        temporary.mkdir()
        save_file(stored, temporary / TENSORS)
        config = {**model.config, "notes": notes, "sha256": hash_of(temporary / TENSORS)}  # type: ignore[dict-item]
        (temporary / CONFIG).write_text(json.dumps(config, indent=2))
    return Path(folder)


def notes_of(folder: str | Path) -> dict[str, Any]:
    """What was noted down with the model of a folder; nothing where nobody did."""
    return json.loads((Path(folder) / CONFIG).read_text()).get("notes", {})


def hash_of(path: str | Path) -> str:
    """Sha256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_model(folder: str | Path, device: str | torch.device = "cpu", expected: type | None = None) -> Any:
    """Build the model of a folder and load its tensors; it comes back in eval mode.

    Raises:
        InputError: the folder or a file is missing, the tensors are others than those that were saved or
            another architecture's, or the model is not an `expected`.
    """
    folder = Path(folder)
    for name in (CONFIG, TENSORS):
        if not (folder / name).is_file():
            raise InputError(f"{folder}: no {name} here; expected a folder written by avsim's trainings")
    try:
        config = json.loads((folder / CONFIG).read_text())
    except json.JSONDecodeError as error:
        raise InputError(f"{folder / CONFIG}: not valid json ({error})") from error
    if not (isinstance(config, dict) and "class_path" in config):
        raise InputError(f"{folder / CONFIG}: does not say which model it describes (class_path)")
    if (told := config.get("sha256")) is not None and told != (found := hash_of(folder / TENSORS)):
        raise InputError(
            f"{folder / TENSORS}: its sha256 is {found[:12]}…, {CONFIG} says {told[:12]}…; the file was "
            "changed or cut short"
        )
    model = build(config)
    if expected is not None and not isinstance(model, expected):
        raise InputError(f"{folder}: holds a {type(model).__name__}; expected a {expected.__name__}")
    try:
        model.load_state_dict(load_file(folder / TENSORS))
    except (SafetensorError, RuntimeError) as error:
        first = str(error).strip().splitlines()
        detail = first[1].strip() if len(first) > 1 else first[0]
        raise InputError(f"{folder / TENSORS}: not the weights of this architecture ({detail})") from error
    return model.eval().to(device)
