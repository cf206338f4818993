"""Several takes of a picture for a sound, and the one in which the model itself hears that sound best."""

from collections.abc import Sequence

import torch
from torch import Tensor

from avsim.clip import LatentSpec
from avsim.diffusion.guidance import unheard
from avsim.diffusion.loss import row_loss
from avsim.diffusion.noising import Noised
from avsim.models.joint import Context, JointDiT
from avsim.models.pair import Latents, Pair
from avsim.models.tokens import to_tokens
from avsim.seeds import normal_rows

LEVELS = 0.9, 0.3  # of the sound's noise: what sounds at all, and when exactly
HEARINGS = 2  # at each level


@torch.no_grad()
def best_heard(
    model: JointDiT, captions: Sequence[str], spec: LatentSpec, takes: Sequence[Latents], first_row: int = 0
) -> Latents:
    """Row by row that of several takes, all of one sound, whose picture tells most of it.

    What a take leaves untold is the flow loss of the sound, given the picture: the smaller, the likelier is
    the sound to the model (as in 2303.16203, whose classes are the takes here). Row i hears the same noise in
    all takes, which depends on `first_row + i` alone.
    """
    told = model.context(captions, spec)
    losses = [untold_of(model, told, to_tokens(take), first_row) for take in takes]  # (B,) each
    best = torch.stack(losses).argmin(0)  # (B,)
    rows = torch.arange(len(best), device=best.device)
    return takes[0].each(lambda *same: torch.stack(same)[best, rows], *takes[1:])


def untold_of(model: JointDiT, context: Context, x: Pair[Tensor], first_row: int = 0) -> Tensor:
    """The flow loss of clean sounds, given their clean pictures (B, L, D): its mean over levels, (B,)."""
    given = x.video.new_zeros(len(x.video), 1)
    losses = []
    for level in LEVELS:
        for hearing in range(HEARINGS):
            noise = normal_rows(tuple(x.audio.shape), 0, "take", hearing, first_row=first_row).to(x.audio)
            sound = Noised(x.audio, noise, torch.full_like(given, level))
            losses.append(row_loss(unheard(model, context, x.video, given, sound)))
    return torch.stack(losses).mean(0)
