"""Judges of picture and sound."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avsim.evaluation.bss import bss_eval

_HOMES = {"bss_eval": "bss"}
__all__ = ["bss_eval"]


def __getattr__(name: str) -> Any:
    """Import a judge when it is first used."""
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
