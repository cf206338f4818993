"""Plain data -> frozen dataclasses, checked, with a clear line for each mistake."""

import dataclasses
import types
import typing
from typing import Any, Union

from avsim.errors import InputError


def typed(kind: Any, value: Any, where: str) -> Any:
    """Plain data as a value of type `kind`: a dataclass, a tuple, an optional one, a number, a string or a
    bool.

    Args:
        kind: the type.
        value: dicts, lists, strings and numbers, as from a YAML or JSON file.
        where: what it is called in messages.

    Raises:
        InputError: an unknown or missing field, a value of the wrong type.
    """
    if typing.get_origin(kind) in (Union, types.UnionType):
        inner = next(k for k in typing.get_args(kind) if k is not type(None))
        return None if value is None else typed(inner, value, where)
    if typing.get_origin(kind) is tuple:
        items = typing.get_args(kind)
        if not isinstance(value, list | tuple):
            raise InputError(f"{where}: found {value!r}; expected a list")
        items = items[:1] * len(value) if items[-1] is ... else items
        if len(items) != len(value):
            raise InputError(f"{where}: found {len(value)} values; expected {len(items)}")
        return tuple(
            typed(item, each, f"{where}[{k}]")
            for k, (item, each) in enumerate(zip(items, value, strict=True))
        )
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        if not isinstance(value, dict):
            raise InputError(f"{where}: found {value!r}; expected fields with their values")
        hints = typing.get_type_hints(kind)
        required = [
            field.name
            for field in dataclasses.fields(kind)
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        ]
        for name in value:
            if name not in hints:
                raise InputError(f"{where}: unknown field {name!r}; there are {', '.join(hints)}")
        for name in required:
            if name not in value:
                raise InputError(f"{where}: {name} is missing")
        make: Any = kind
        return make(**{name: typed(hints[name], each, f"{where}.{name}") for name, each in value.items()})
    accepted = (int, float) if kind is float else (kind,)
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
        raise InputError(f"{where}: found {value!r}; expected {kind.__name__}")
    try:
        return kind(value)
    except OverflowError as error:
        raise InputError(f"{where}: found a number that is too large") from error
