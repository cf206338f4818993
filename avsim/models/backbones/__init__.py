"""Adapters from video transformers to `VideoBackbone`, one module each; they call the models' own blocks."""

import importlib
from typing import Any

# Class of the transformer -> module and adapter. Importing an adapter imports no diffusers.
ADAPTERS = {
    "WanTransformer3DModel": ("avsim.models.backbones.wan", "WanBackbone"),
    "LTXVideoTransformer3DModel": ("avsim.models.backbones.ltx_video", "LTXVideoBackbone"),
    "JointDiT": ("avsim.models.backbones.joint_dit", "JointDiTBackbone"),
}

# Known architectures that have no adapter, and why.
REFUSED = {
    "CogVideoXTransformer3DModel": "it predicts v of a variance-preserving diffusion on discrete timesteps; "
    "avsim's loss and sampler are for rectified flow, as in Wan and LTX-Video",
}


def adapter_of(cls: type) -> Any:
    """The adapter for a transformer's class or one of its base classes; None if there is none."""
    for base in cls.__mro__:
        if base.__name__ in ADAPTERS:
            module, name = ADAPTERS[base.__name__]
            return getattr(importlib.import_module(module), name)
    return None
