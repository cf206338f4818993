"""Models <-> folders: `config.json` says how to build one, `model.safetensors` holds its tensors.

Nothing is pickled. A model class decorated with `@configured` remembers the arguments it was made with, so
that its folder is enough to make it again, without Lightning and without the yaml it was trained from.
"""

import functools
import hashlib
import importlib
import inspect
import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.modules.module import register_module_module_registration_hook
from torch.overrides import TorchFunctionMode

from avsim.errors import InputError
from avsim.files import atomic
from avsim.untrusted import read_json

Model = TypeVar("Model", bound=type[nn.Module])
CONFIG, TENSORS = "config.json", "model.safetensors"
FORMAT = 2  # of config.json and of the names of tensors; 1 were those before November 2026, without a number
_CONFIGURED: set[type] = set()  # what files may have built, beside plain dataclasses
_ALLOWED: list[str] = ["avsim"]  # packages and modules whose classes files may name
LARGEST = 10**7  # of a number in a config; sizes and rates are below
# What constructors raise that are given what they can't use.
_UNFIT = (
    ImportError, AttributeError, TypeError, ValueError, LookupError, ArithmeticError, AssertionError,
    RuntimeError, MemoryError,
)  # fmt: skip
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


class NotAllowed(InputError):
    """A function of a module that the user did not allow."""


def allow(modules: Sequence[str]) -> None:
    """Let model folders and `allowed_function` also name what these packages or modules hold.

    Only a user may name them, by a flag or in a config: importing a module runs its code, so a file that is
    loaded never decides what is imported.

    Raises:
        InputError: a name that is no module's, or a module that can't be imported.
    """
    for name in modules:
        if not all(part.isidentifier() for part in name.split(".")):
            raise InputError(f"--allow-module {name!r:.60}: expected the name of a Python package or module")
        try:
            importlib.import_module(name)
        except Exception as error:  # whatever the user's own module raises
            raise InputError(f"--allow-module {name}: can't be imported ({error})") from error
        _ALLOWED.append(name)


@contextmanager
def allowing(modules: Sequence[str]) -> Iterator[None]:
    """`allow`, within a block.

    Raises:
        InputError: as `allow`.
    """
    before = list(_ALLOWED)
    try:
        allow(modules)
        yield
    finally:
        _ALLOWED[:] = before


def _is_allowed(module: str) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in _ALLOWED)


def allowed_function(path: str) -> Callable[..., Any]:
    """The function that "module:function" names, of an allowed module.

    Raises:
        NotAllowed: a module that the user did not allow.
        InputError: no such function in it, or no function.
    """
    module, _, name = path.partition(":")
    if not _is_allowed(module):
        raise NotAllowed(
            f"{path!r:.200}: its module's code would be run. If you trust it: --allow-module "
            f"{module.partition('.')[0] or 'MODULE'}"
        )
    try:
        found = getattr(importlib.import_module(module), name)
    except _UNFIT as error:
        raise InputError(f"{path!r:.200}: no such function ({error})") from error
    if not callable(found):
        raise InputError(f"{path!r:.200}: is a {type(found).__name__}; expected a function")
    return found


def configured(cls: Model) -> Model:
    """Let every instance of a module class carry `config`: its class path and constructor arguments.

    Arguments may be plain data, dataclasses of plain data, classes, or modules that are `configured`
    themselves. Classes of other packages than avsim are loaded where the user allows it (`allowing`).
    """
    original = cls.__init__

    @functools.wraps(original)
    def remember(self: Any, *args: Any, **kwargs: Any) -> None:
        signature = inspect.signature(original)
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        given = dict(list(bound.arguments.items())[1:])
        for name, parameter in signature.parameters.items():  # those of nn.Module, if a class adds none
            if parameter.kind is parameter.VAR_KEYWORD:
                given |= given.pop(name)
            elif parameter.kind is parameter.VAR_POSITIONAL:
                given.pop(name)
        arguments: Any = {name: _plain(value) for name, value in given.items()}
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
    """Make what a `config` describes: `configured` models and dataclasses, of avsim or of `allowing` modules.

    Raises:
        InputError: a class that is no such, or not there, or arguments it doesn't take.
    """
    if isinstance(config, list):
        return [build(item) for item in config]
    if not (isinstance(config, dict) and ("class_path" in config or "class" in config)):
        return config
    path = config["class"] if "class" in config else config["class_path"]
    if not isinstance(path, str):
        raise InputError(f"config names {path!r:.60} as a class; expected its path")
    module, _, name = path.rpartition(".")
    if not _is_allowed(module):
        package = module.partition(".")[0] or "MODULE"
        raise InputError(
            f"config names the class {path!r:.200}; only avsim's own are built from files. If you trust it: "
            f"--allow-module {package}"
        )
    try:
        cls = getattr(importlib.import_module(module), name)
        if not (isinstance(cls, type) and _is_allowed(cls.__module__)):
            raise InputError(
                f"config names {path!r}, which is no class of avsim's own or of an allowed module"
            )
        if "class" in config:
            return cls
        if not (cls in _CONFIGURED or is_dataclass(cls)):
            raise InputError(f"config names {path!r}, which no file can have built")
        arguments = {key: build(value) for key, value in _arguments(config).items()}
        _check_types(cls, arguments)
        return cls(**arguments)
    except _UNFIT as error:
        raise InputError(f"config can't be built as {path}: {error}") from error


def _arguments(config: dict[str, Any]) -> dict[str, Any]:
    """The constructor's arguments in a config.

    Raises:
        InputError: they are no object of json.
    """
    found = config.get("init_args", {})
    if not isinstance(found, dict):
        raise InputError(f"init_args is {found!r:.60}; expected an object of names and values")
    return found


def _check_types(cls: type, arguments: dict[str, Any]) -> None:
    """Refuse plain values of another type than the constructor's annotations say.

    Raises:
        InputError: a wrong type, a number that is not finite, or a whole one that no model can need.
    """
    try:
        hints = get_type_hints(cls.__init__)  # type: ignore[misc]
    except (NameError, TypeError):  # names that are imported for type checkers alone
        hints = {}
    for name, value in arguments.items():
        if name in hints and not _fits(value, hints[name]):
            raise InputError(f"{name} is {value!r:.60}; expected {_spoken(hints[name])}")
        numbers = value if isinstance(value, list) else [value]
        for number in numbers:
            if isinstance(number, int | float) and not abs(number) <= LARGEST:
                raise InputError(f"{name} is {number!r:.60}; expected at most {LARGEST:,}")


def _fits(value: Any, hint: Any) -> bool:
    """Whether a plain value is of a type; what can't be expected fits."""
    if get_origin(hint) in (Union, UnionType):
        return any(_fits(value, each) for each in get_args(hint))
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint in (bool, str, type(None)):
        return isinstance(value, hint)
    origin = get_origin(hint) or hint
    if origin in (tuple, list, Sequence):
        each = [one for one in get_args(hint) if one is not ...]
        if not isinstance(value, list | tuple):
            return False
        return len(set(each)) != 1 or all(_fits(item, each[0]) for item in value)
    if isinstance(origin, type) and (issubclass(origin, nn.Module) or is_dataclass(origin)):
        return isinstance(value, origin)
    return True


def _spoken(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")


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
    if hasattr(model, "save_folder"):  # a format of its own
        return model.save_folder(folder, notes)  # type: ignore[operator]
    tensors = model.state_dict() if tensors is None else tensors
    stored = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    if dtype is not None:
        stored = {
            name: value.to(dtype) if value.is_floating_point() else value for name, value in stored.items()
        }
    with atomic(folder) as temporary:
        temporary.mkdir()
        save_file(stored, temporary / TENSORS)
        config = {"format": FORMAT, **model.config, "notes": notes, "sha256": hash_of(temporary / TENSORS)}  # type: ignore[dict-item]
        (temporary / CONFIG).write_text(json.dumps(config, indent=2))
    return Path(folder)


def notes_of(folder: str | Path) -> dict[str, Any]:
    """What was noted down with the model of a folder; nothing where nobody did.

    Raises:
        InputError: the file can't be read, or its notes are no object of json.
    """
    notes = _read_config(Path(folder)).get("notes", {})
    if not isinstance(notes, dict):
        raise InputError(f"{Path(folder) / CONFIG}: notes is {notes!r:.60}; expected an object")
    return notes


def _read_config(folder: Path) -> dict[str, Any]:
    config = read_json(folder / CONFIG)
    if not (isinstance(config, dict) and "class_path" in config):
        raise InputError(f"{folder / CONFIG}: does not say which model it describes (class_path)")
    if (found := config.get("format", 1)) != FORMAT:
        raise InputError(
            f"{folder / CONFIG}: has format {found!r:.20}; this version of avsim reads format {FORMAT}. "
            "Use the version that wrote it, or train again"
        )
    return config


def hash_of(*paths: str | Path) -> str:
    """Sha256 of a file, or of several one after the other, in hexadecimal."""
    digest = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            hashlib.file_digest(file, lambda: digest)
    return digest.hexdigest()


def load_model(
    folder: str | Path,
    device: str | torch.device = "cpu",
    expected: type | tuple[type, ...] | None = None,
) -> Any:
    """Build the model of a folder and load its tensors; it comes back in eval mode.

    Raises:
        InputError: the folder or a file is missing, the tensors are others than those that were saved or
            another architecture's, or the model is not an `expected`.
    """
    folder = Path(folder)
    for name in (CONFIG, TENSORS):
        if not (folder / name).is_file():
            raise InputError(f"{folder}: no {name} here; expected a folder written by avsim's trainings")
    config = _read_config(folder)
    if (own := _with_own_format(config)) is not None:
        return _checked(own.load_folder(folder), folder, expected).eval().to(device)
    recorded = config.get("sha256")
    if not isinstance(recorded, str | None):
        raise InputError(f"{folder / CONFIG}: sha256 is {recorded!r:.60}; expected a text")
    if recorded is not None and recorded != (found := hash_of(folder / TENSORS)):
        raise InputError(
            f"{folder / TENSORS}: its sha256 is {found[:12]}…, {CONFIG} says {recorded[:12]}…; the file was "
            "changed or cut short"
        )
    try:
        _check_shapes(config, folder / TENSORS, expected)
        model = build(config)
    except InputError as error:
        raise InputError(f"{folder / CONFIG}: {error}") from error
    _checked(model, folder, expected)
    try:
        model.load_state_dict(load_file(folder / TENSORS))
    except (SafetensorError, RuntimeError) as error:
        first = str(error).strip().splitlines()
        detail = first[1].strip() if len(first) > 1 else first[0]
        raise InputError(f"{folder / TENSORS}: not the weights of this architecture ({detail})") from error
    return model.eval().to(device)


def _checked(model: Any, folder: Path, expected: type | tuple[type, ...] | None) -> Any:
    """The model, which is an `expected`.

    Raises:
        InputError: it is another.
    """
    if expected is not None and not isinstance(model, expected):
        classes = expected if isinstance(expected, tuple) else (expected,)
        names = " or a ".join(cls.__name__ for cls in classes)
        raise InputError(f"{folder}: holds a {type(model).__name__}; expected a {names}")
    return model


def _with_own_format(config: dict[str, Any]) -> Any:
    """The class that a config names, if it is an allowed one that reads folders by itself."""
    module, _, name = str(config["class_path"]).rpartition(".")
    if not _is_allowed(module):
        return None
    try:
        cls = getattr(importlib.import_module(module), name, None)
    except ImportError:
        return None
    return cls if isinstance(cls, type) and hasattr(cls, "load_folder") else None


def load_parts(paths: Mapping[str, str | Path | None]) -> dict[str, nn.Module]:
    """The models of several runs or folders, by part; a part without a path is left out.

    Raises:
        InputError: as `part_folder` and `load_model`.
    """
    return {part: load_model(part_folder(path, part)) for part, path in paths.items() if path is not None}


def codec_records(paths: Mapping[str, str | Path]) -> dict[str, dict[str, str]]:
    """Folder and sha256 of the weights of the codecs of latents, by modality."""
    folders = {part: part_folder(path, part) for part, path in paths.items()}
    return {
        part.partition("_")[0]: {"folder": str(folder), "sha256": hash_of(folder / TENSORS)}
        for part, folder in folders.items()
    }


class _Unfilled(TorchFunctionMode):
    """Tensors are not filled: on the meta device that does nothing, and imports torch's compiler."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in ("normal_", "uniform_", "fill_", "zero_", "trunc_normal_"):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


def _check_shapes(config: dict[str, Any], tensors: Path, expected: type | tuple[type, ...] | None) -> None:
    """Refuse a config whose model has other tensors than the file, before it takes memory.

    Raises:
        InputError: it has, or it can't be built.
    """
    try:
        with safe_open(tensors, "pt") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InputError(f"{tensors.name}: not the weights of this architecture ({error})") from error
    most, modules = len(shapes), 0

    def count(*registered: Any) -> None:
        # A model has a handful of modules for each tensor: more are a number that is out of bounds.
        nonlocal modules
        modules += 1
        if modules > 50 * most + 5000:
            raise InputError(f"describes more than {modules:,} modules; {tensors.name} holds {most} tensors")

    hook = register_module_module_registration_hook(count)
    try:
        with torch.device("meta"), _Unfilled(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd sizes, which are refused below
            model = build(config)
    except InputError as error:
        if isinstance(error.__cause__, NotImplementedError) or "meta" in str(error):
            return  # it computes with tensors while it is made (cached ones on the CPU too): meta ones can't
        raise
    finally:
        hook.remove()
    if not isinstance(model, nn.Module) or (expected is not None and not isinstance(model, expected)):
        return  # which is refused with words of its own
    own = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    for name in [*own, *shapes]:
        if own.get(name) != shapes.get(name):
            one, other = (f"of {sizes[name]}" if name in sizes else "absent" for sizes in (own, shapes))
            raise InputError(
                f"{tensors.name}: not the weights of this architecture "
                f"({name} is {one} by {CONFIG}, {other} in the file)"
            )
