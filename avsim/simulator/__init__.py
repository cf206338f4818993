"""A loaded model: all tasks of one checkpoint, and the separation of clips into stems.

    simulator   Simulator: generate, foley, animate, extend, loop, connect, retake, edit, separate, ...
    models      Models: what a folder holds, and how clips of a `LatentSpec` are sampled
    prompts     warnings about prompts with words or places that the model was not trained on
    soundtrack  audio for a video of any length, in windows
    windows     windows that share an anchor frame and reuse each other's latents
    stream      clips of any length from prompts or storyboards
    gaps        fill a gap beside or between clips          seams       paste given content without a step
    joining     extend, loop, connect, retake               keyframes   frames that are given at some times
    sizes       sizes other than the trained one            presence    what a prompt names and a clip lacks
    editing     edits by the velocity difference of two prompts
    defaults    the sampling defaults of each task
    loading     a run's folder -> Simulator
    diffusers_pipeline  pipelines of diffusers as generators
    resize      clips of any rate and size -> what the codecs accept
    samples     generated clips as files, and how they are shown
    system, datamodule      Lightning's `predict`: prompts -> clips -> stems, over many devices

Importing this package imports neither Lightning nor wandb; only `system` and `datamodule` do.
"""

from avsim.simulator.keyframes import Condition
from avsim.simulator.loading import load
from avsim.simulator.simulator import Simulator
from avsim.simulator.stream import Shot

__all__ = ["Condition", "Shot", "Simulator", "load"]
