"""The sound of a clip that was drawn, drawn once more: for the picture that came out, and not while it came.

While both are drawn, each follows the other as it is likely to become. What is at last seen to happen is not
always when it was about to be heard; the sound is noised again, and drawn for the picture as it is.
"""

from collections.abc import Sequence
from typing import Any

from avsim.clip import LatentSpec
from avsim.diffusion.generate import generate
from avsim.diffusion.guidance import Guidance
from avsim.diffusion.model import JointDiT
from avsim.diffusion.pair import Latents
from avsim.diffusion.tasks import Task, everything, nothing

STRENGTH = 0.8  # of the sound, how much is noise again
AGAIN = Task("again", everything, nothing, STRENGTH)
PLAIN = Guidance(text=1.0)  # one pass a step: the picture is there to be followed


def resounded(
    model: JointDiT, captions: Sequence[str], spec: LatentSpec, drawn: Latents, steps: int, **rows: Any
) -> Latents:
    """The same pictures, bit for bit, and their sounds drawn again in half as many steps as before.

    `rows` are the seed and the first row, as `generate` takes them.
    """
    return generate(model, captions, spec, drawn, AGAIN, steps=max(1, steps // 2), guidance=PLAIN, **rows)
