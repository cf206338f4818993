"""A loaded model: every direction from one checkpoint, and the stems of what it made.

    simulator   Simulator: generate, foley, animate, extend, loop, connect, retake, edit, separate, ...
    models      Models: what a folder holds, and how clips of a `LatentSpec` are sampled
    prompts     warnings of what a prompt asks for and the model was not trained on
    soundtrack  audio for a video of any length, in windows
    windows     windows that share an anchor frame; their latents are carried
    stream      clips of any length from prompts, storyboards
    gaps        a gap beside or between clips, filled       seams   given content pasted back without a step
    joining     extend, loop, connect, retake               keyframes   frames that are given at some times
    sizes       other sizes, composed                       presence    what a prompt names and a clip lacks
    editing     edits by the velocity difference of two prompts
    defaults    the sampling defaults of each task
    loading     a run's folder -> Simulator
    diffusers_pipeline  pipelines of diffusers as generators
    resize      clips of any rate and size -> what the codecs accept
    samples     generated clips as files, and how they are shown
    system, datamodule      Lightning's `predict`: prompts -> clips -> stems, over many devices

Importing this package imports neither Lightning nor wandb; only the last line's files do.
"""

from avsim.simulator.keyframes import Condition
from avsim.simulator.loading import load
from avsim.simulator.simulator import Simulator
from avsim.simulator.stream import Shot

__all__ = ["Condition", "Shot", "Simulator", "load"]
