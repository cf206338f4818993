"""Networks. Two families of joint models have one interface for sampling and training:

    joint                  `JointDiT`: avsim's own two-stream transformer, trained from scratch
    blocks, couplings      its blocks, and how the two streams exchange information in them
    joint_generator        `JointGenerator`: a `JointTransformer` with text encoder and timestep shifts
    joint_transformer      `JointTransformer`: a video backbone, an audio tower and fusion; `add_audio`
    backbone, backbones/   the interface of video backbones; adapters for Wan, LTX-Video, avsim's own
    audio_tower, fusion    the audio branch, and its cross-attention to and from the video
    lora                   adapters on the video backbone
    joint_folder           a `JointTransformer` <-> a folder
    pipelines, importing   third-party diffusers pipelines, codecs and text encoders
    text                   text encoders
    pair, tokens, rope     (video, audio) values; latents <-> tokens; rotary positions in seconds
    attention, level_only  attention layers; the Wiener estimate that outputs are added to

A noise level s, 0 (clean) to 1 (noise), is sigma of diffusers' flow matching schedulers, timestep / 1000.
Levels have the shape (B, K): each of a clip's K levels holds for L / K consecutive ones of its L tokens.
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
