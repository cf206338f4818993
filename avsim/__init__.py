"""avsim: a world simulator that can be heard."""

import os
from typing import Any

# Threads of a small model that spin for each other are four times slower beside one busy process. OpenMP
# reads this once, when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"
__all__ = [
    "AVPipeline",
    "Clip",
    "ClipSpec",
    "Condition",
    "InputError",
    "Region",
    "Shot",
    "Stems",
    "load",
    "models",
]


def __getattr__(name: str) -> Any:
    """The public names, imported at first use, so that `import avsim` and `avsim --help` stay fast."""
    if name in ("Clip", "ClipSpec", "Region", "Stems"):
        from avsim import clip

        return getattr(clip, name)
    if name == "InputError":
        from avsim.errors import InputError

        return InputError
    if name == "models":
        import importlib

        return importlib.import_module("avsim.models")
    if name in ("Condition", "Shot", "load"):
        from avsim import simulator

        return getattr(simulator, name)
    if name == "AVPipeline":
        from avsim.pipeline import AVPipeline

        return AVPipeline
    raise AttributeError(f"module 'avsim' has no attribute {name!r}")
