"""Configs of runs: read within bounds, compared with earlier ones, built within this machine's memory."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import nn
from torch.nn.modules.module import (
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)

from avsim.errors import InputError, shortened

ALIASES = 20  # of a config's file: each may stand for many values
CONFIGS = Path(__file__).parents[2] / "configs"  # in a checkout
CONFIG_BYTES = 1_000_000  # of a config's file
MODULES = 100_000  # of a model, at most
# What a run may be resumed with other values of: its curve stays the same, or goes on further.
HARMLESS = re.compile(
    r"run$|base$|init$|compile$|compile_mode$|checkpoint_every$|"
    r"trainer\.(max_steps|max_time|logger|callbacks|devices|num_nodes|accelerator|strategy|precision|"
    r"log_every_n_steps|val_check_interval|limit_val_batches|limit_test_batches|enable_\w+|profiler|"
    r"default_root_dir|num_sanity_val_steps|benchmark|plugins)\b|"
    r"data\.init_args\.(workers|num_workers)$"
)

OF_A_COMMAND = {"config", "ckpt_path", "allow_changes", "allow_module"}  # of one command, not of the run


def with_bases(arguments: Iterable[str]) -> Iterator[str]:
    """The arguments; before each config's file the one that it names as `base`, relative to itself.

    Raises:
        InputError: a file that can't be read as a config.
    """
    before = ""
    for argument in arguments:
        name, equals, value = argument.partition("=")
        path = argument if before in ("-c", "--config") else value if name in ("-c", "--config") else ""
        if path and not Path(path).exists():
            own = CONFIGS / Path(path).relative_to("configs") if path.startswith("configs/") else CONFIGS
            raise InputError(f"{path}: no such config" + (f"; avsim has {own}" if own.is_file() else ""))
        if path and Path(path).is_file():
            base = read_config(Path(path)).get("base")
            if not isinstance(base, str | None):
                raise InputError(f"{path}: base is {base!r:.60}; expected the path of a config")
            if base is not None:
                other = Path(path).parent / base
                if "base" in read_config(other):
                    raise InputError(f"{other}: has a base itself; the base of a config has none")
                yield from ([str(other), before] if before in ("-c", "--config") else ["-c", str(other)])
        yield argument
        before = "" if before in ("-c", "--config") else argument


def read_config(path: Path) -> dict[str, Any]:
    """The plain data of a config's file.

    Raises:
        InputError: it can't be read, is no YAML, has more than `ALIASES` aliases (which may stand for
            billions of values), or holds something else than fields.
    """
    try:
        if path.stat().st_size > CONFIG_BYTES:
            raise InputError(
                f"{path}: is {path.stat().st_size:,} bytes; a config has at most {CONFIG_BYTES:,}"
            )
        text = path.read_text(encoding="utf-8")
        aliases = sum(isinstance(token, yaml.AliasToken) for token in yaml.scan(text, yaml.SafeLoader))
        if aliases > ALIASES:
            raise InputError(f"{path}: has {aliases} aliases; a config has at most {ALIASES}")
        found = yaml.safe_load(text)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except InputError:
        raise
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise InputError(f"{path}: no config ({shortened(str(error))})") from error
    if not isinstance(found, dict | None):
        raise InputError(f"{path}: holds {found!r:.60}; expected a config's fields")
    return found or {}


@contextmanager
def bounded() -> Iterator[None]:
    """Refuse models that this machine's memory can't hold, before they take it: layers register their
    parameters before they fill them.

    Raises:
        InputError: such a model, or one that a class can't be built as.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    modules = size = 0

    def count_module(*_: Any) -> None:
        nonlocal modules
        modules += 1
        if modules > MODULES:
            raise InputError(f"config: describes a model of more than {MODULES:,} modules")

    def count_parameter(module: nn.Module, name: str, value: nn.Parameter | None) -> None:
        nonlocal size
        size += 0 if value is None else value.numel() * value.element_size()
        if size > memory:
            raise InputError(
                f"config: a {type(module).__name__} makes a model of {size / 2**30:,.0f} GiB; this machine "
                f"has {memory / 2**30:,.0f} GiB"
            )

    hooks = (
        register_module_module_registration_hook(count_module),
        register_module_parameter_registration_hook(count_parameter),
    )
    try:
        yield
    except (InputError, MisconfigurationException):
        raise
    except (TypeError, RuntimeError, ArithmeticError, AssertionError, LookupError, MemoryError) as error:
        # What constructors raise that are given values which they can't use.
        raise InputError(
            f"config: can't be built ({shortened(str(error) or type(error).__name__)})"
        ) from error
    finally:
        for hook in hooks:
            hook.remove()


def differences(before: Any, now: Any, name: str = "") -> dict[str, tuple[Any, Any]]:
    """What two configs of a run differ in: {dotted name: (before, now)}."""
    if isinstance(before, dict) and isinstance(now, dict):
        found: dict[str, tuple[Any, Any]] = {}
        for key in [key for key in {**before, **now} if name or key not in OF_A_COMMAND]:
            dotted = f"{name}.{key}" if name else str(key)
            found |= differences(before.get(key), now.get(key), dotted)
        return found
    return {} if before == now else {name: (before, now)}
