"""Networks: `Pair` (video, audio), blocks, couplings of the two streams, the joint DiT, text encoders.

backbone, backbones/   video transformers that are run block by block: avsim's own, Wan, LTX-Video
audio_tower, fusion    what is added for sound
joint_transformer      all of them as one model; `add_audio`
"""

from typing import Any

__all__ = ["JointTransformer", "LoRA", "VideoBackbone", "add_audio", "add_lora", "load_joint"]

_HOMES = {
    "JointTransformer": "avsim.models.joint_transformer",
    "VideoBackbone": "avsim.models.backbone",
    "LoRA": "avsim.models.lora",
    "add_audio": "avsim.models.joint_transformer",
    "add_lora": "avsim.models.lora",
    "load_joint": "avsim.models.joint_folder",
}


def __getattr__(name: str) -> Any:
    """The public names, imported at first use."""
    import importlib

    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'avsim.models' has no attribute {name!r}")
