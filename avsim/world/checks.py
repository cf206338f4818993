"""Checks of what a user declares, one clear line each: whose value, what was found, what was expected."""

import math

from avsim.errors import InputError

LATEST = 1e6  # s: later than any clip


def one_of(owner: str, name: str, value: str, known: tuple[str, ...]) -> None:
    """`value` must be one of `known`."""
    if value not in known:
        raise InputError(f"{owner}: unknown {name} {value!r}; there are {', '.join(known)}")


def some_of(owner: str, name: str, values: tuple[str, ...], known: tuple[str, ...]) -> None:
    """`values` must be one or more of `known`."""
    if not values:
        raise InputError(f"{owner}: {name} is empty; expected one or more of {', '.join(known)}")
    for value in values:
        one_of(owner, f"name in {name}:", value, known)


def within(owner: str, name: str, value: float, low: float, high: float, unit: str = "") -> None:
    """`value` must lie between `low` and `high`; NaN doesn't."""
    if not low <= value <= high:
        expected = f"{low:g} or more" if high in (LATEST, math.inf) else f"{low:g} to {high:g}"
        raise InputError(f"{owner}: {name} is {f'{value:g} {unit}'.strip()}; expected {expected}")
