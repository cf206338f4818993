"""Diffusion: noise levels, loss, training, guidance, sampling. The networks are in `avsim.models`.

    noising            x_s and v                          guidance       wrappers around `denoise`
    levels             noise levels in training           sampler        dx/ds = v from noise to data
    loss               flow loss, motion weight           tasks          what is given, what generated
    training_sample    levels, noise, dropout of a step   generate       captions -> latents
    system             training under Lightning           rerank         best-of-n sampling
    add_audio          the same, with a video backbone    sync_reward    the reward of sync guidance
    datamodule         synthetic clips, while training    distillation   targets of guidance distillation
    student            guidance distillation              flow_edit      edits by prompt
    attention_statistics    audio -> video attention      multidiffusion other sizes, in windows

Importing this package imports neither Lightning nor wandb; only the training modules do.
"""

from avsim.diffusion.generate import generate
from avsim.diffusion.guidance import Guidance
from avsim.diffusion.tasks import (
    ANIMATE,
    AUDIO_ONLY,
    AUDIO_TO_VIDEO,
    FOLEY,
    JOINT,
    VIDEO_ONLY,
    Given,
    Task,
    all_given,
    none_given,
    until,
)
from avsim.models.joint import JointDiT
from avsim.models.pair import Latents, Pair

__all__ = [
    "ANIMATE",
    "FOLEY",
    "VIDEO_ONLY",
    "JOINT",
    "AUDIO_ONLY",
    "AUDIO_TO_VIDEO",
    "Given",
    "Guidance",
    "JointDiT",
    "Latents",
    "Pair",
    "Task",
    "all_given",
    "generate",
    "none_given",
    "until",
]
