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
from avsim.diffusion.pair import Latents, Pair
from avsim.diffusion.tokens import to_tokens
from avsim.seeds import generator


@dataclass(frozen=True)
class Dropout:
    """Shares of the clips from which a condition is withheld, so that guidance can do without it."""

    text: float = 0.1  # no caption
    partner: float = 0.1  # picture and sound don't know each other


@dataclass(frozen=True, eq=False)
class Drawn:
    """A batch, ready for the model."""

    noised: Pair[Noised]
    captions: list[str]
    linked: Tensor  # (B,) bool


def draw(
    batch: LatentBatch, levels: LevelMixture, dropout: Dropout, shifts: Pair[float], seed: int, step: int
) -> Drawn:
    """The draws of step `step` for every row of `batch`."""
    tokens = to_tokens(Latents(batch.video, batch.audio))
    noise, s, told, linked = [], [], [], []
    for row in batch.rows.tolist():
        random = generator(seed, "diffusion", step, row)
        s.append(levels.draw(batch.spec, shifts, random))
        without_text, without_partner = torch.rand(2, generator=random).tolist()
        told.append(without_text >= dropout.text)
        linked.append(without_partner >= dropout.partner)
        noise.append(tokens.each(lambda x: torch.randn(x.shape[1:], generator=random)))  # noqa: B023
    return Drawn(
        tokens.each(lambda x, noise, s: Noised(x, noise.to(x), s.to(x)), stacked(noise), stacked(s)),
        [caption if tell else "" for caption, tell in zip(batch.captions, told, strict=True)],
        torch.tensor(linked, device=tokens.there()[0].device),
    )


def stacked(rows: list[Pair[Tensor]]) -> Pair[Tensor]:
    """B pairs of tensors -> one pair of (B, ...)."""
    return rows[0].each(lambda _, *same: torch.stack(same), *rows)
