"""What a training step draws for each clip: noise levels, noise, and what the model is not told.

Row i of the step's whole batch draws from (seed, step, i) alone, so that one process or eight, a kill or a
resume, train the same model.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from avsim.data.batch import LatentBatch
from avsim.diffusion.levels import LevelMixture
from avsim.diffusion.noising import Noised
from avsim.models.pair import Latents, Pair
from avsim.models.tokens import to_tokens
from avsim.seeds import generator


@dataclass(frozen=True, eq=False)
class Drawn:
    """A batch, ready for the model."""

    noised: Pair[Noised]
    captions: list[str]
    linked: Tensor  # (B,) bool


def draw(
    batch: LatentBatch, levels: LevelMixture, untold: float, shifts: Pair[float], seed: int, step: int
) -> Drawn:
    """The draws of step `step` for every row; `untold` is the chance of a caption to be withheld."""
    tokens = to_tokens(Latents(batch.video, batch.audio))
    noise, drawn, told = [], [], []
    for row in batch.rows.tolist():
        random = generator(seed, "diffusion", step, row)
        drawn.append(levels.draw(batch.spec, shifts, random))
        told.append(float(torch.rand((), generator=random)) >= untold)
        noise.append(tokens.each(lambda x: torch.randn(x.shape[1:], generator=random)))  # noqa: B023
    s = stacked([each.s for each in drawn])
    return Drawn(
        tokens.each(lambda x, noise, s: Noised(x, noise.to(x), s.to(x)), stacked(noise), s),
        [caption if tell else "" for caption, tell in zip(batch.captions, told, strict=True)],
        torch.tensor([each.linked for each in drawn], device=tokens.there()[0].device),
    )


def stacked(rows: list[Pair[Tensor]]) -> Pair[Tensor]:
    """B pairs of tensors -> one pair of (B, ...)."""
    return rows[0].each(lambda _, *same: torch.stack(same), *rows)
