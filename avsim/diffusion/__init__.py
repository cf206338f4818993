"""The joint generator, to be read in this order.

    pair        one value per modality             couplings   how the two streams meet in a block
    tokens      latents <-> tokens, positions      blocks      one block
    noising     x_s and v                          text        captions -> text tokens
    levels      the mixture of noise levels        model       JointDiT: tokens, levels -> velocity
    rope        rotary seconds, rows, columns      loss, training_sample, system  training

    guidance    wrappers around `denoise`          distillation                   guidance distillation
    sampler     dx/ds = v from noise to data
    tasks       what is given, where the rest starts
    generate    all of it: captions -> latents
    takes       the best of several

Importing this package imports neither Lightning nor wandb; only `system.py` does.
"""

from avsim.diffusion.generate import generate
from avsim.diffusion.guidance import Guidance
from avsim.diffusion.tasks import (
    ANIMATE,
    FOLEY,
    IMAGE,
    JOINT,
    SOUND,
    VISUALIZE,
    Given,
    Task,
    everything,
    nothing,
    until,
)
from avsim.models.joint import JointDiT
from avsim.models.pair import Latents, Pair

__all__ = [
    "ANIMATE",
    "FOLEY",
    "IMAGE",
    "JOINT",
    "SOUND",
    "VISUALIZE",
    "Given",
    "Guidance",
    "JointDiT",
    "Latents",
    "Pair",
    "Task",
    "everything",
    "generate",
    "nothing",
    "until",
]
