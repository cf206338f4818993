"""Mixture + regions -> stems that add up."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avsim.separation.discovery import energy_map, find_regions
    from avsim.separation.regions import read_mask
    from avsim.separation.separator import Separator
    from avsim.separation.stems import pixel_stem, separate
    from avsim.separation.system import SeparatorSystem

_HOMES = {
    "Separator": "separator",
    "separate": "stems",
    "pixel_stem": "stems",
    "energy_map": "discovery",
    "find_regions": "discovery",
    "read_mask": "regions",
    "SeparatorSystem": "system",
}
__all__ = [
    "Separator",
    "SeparatorSystem",
    "energy_map",
    "find_regions",
    "pixel_stem",
    "read_mask",
    "separate",
]


def __getattr__(name: str) -> Any:
    """Import a name when it is first used, so that separating never imports the training's Lightning."""
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
