"""A loaded model: every direction from one checkpoint, and the stems of what it made.

    simulator   Simulator: generate, foley, visualize, animate, extend, edit, image, sound, separate
    usual       how a task is drawn when nobody says otherwise
    loading     a run's folder -> Simulator
    timing      the judge of offsets as a reward_fn of what is being drawn
    fitting     clips of any rate and size -> what the codecs take
    samples     drawn clips as files, and how they are shown
    system, datamodule, writer      Lightning's `predict`: prompts -> clips -> stems, over many devices

Importing this room imports neither Lightning nor wandb; only the last line's files do.
"""

from avsim.simulator.loading import load
from avsim.simulator.simulator import Simulator

__all__ = ["Simulator", "load"]
