"""The random part of a training step: noise levels, noise, and caption dropout of each clip.

Row i of the step's global batch depends on (seed, step, i) alone, so that neither the number of processes nor
resuming changes the training. All of it is sampled on the batch's device.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from avsim.clip import LatentSpec
from avsim.data.batch import LatentBatch
from avsim.diffusion.levels import LevelMixture
from avsim.diffusion.noising import Noised
from avsim.models.pair import NAMES, Latents, Pair
from avsim.models.tokens import to_tokens
from avsim.seeds import row_normal, row_uniform


@dataclass(frozen=True)
class CaptionDropout:
    """The probability that a clip trains without its caption."""

    default: float  # of clips whose video is not given, or only in part
    given_video: float  # of clips whose whole video is given

    def sample(self, s: Pair[Tensor], rows: Tensor, seed: int, step: int, name: str) -> Tensor:
        """Which of the rows (B,) train without a caption, (B,) bool."""
        chance = torch.full(rows.shape, self.default, device=rows.device)
        if s.video is not None:
            chance = torch.where((s.video == 0).all(1), self.given_video, chance)
        return row_uniform(rows, (), seed, name, step) < chance


@dataclass(frozen=True, eq=False)
class TrainingSample:
    """Rows of a forward pass: all with both modalities or all with one, so no attention mask is needed."""

    spec: LatentSpec
    noised: Pair[Noised]
    captions: Sequence[str] | Tensor
    uncond: Tensor  # (B,) bool: rows that train without their caption
    rows: Tensor  # (B,)
    weight: float  # of the rows' mean loss in the loss of the step

    @property
    def coupled(self) -> bool:
        """Whether both modalities are present."""
        return len(self.noised.present()) == 2


def training_samples(
    batch: LatentBatch,
    batch_size: int,
    levels: LevelMixture,
    dropout: CaptionDropout,
    shifts: Pair[float],
    seed: int,
    step: int,
    image_weight: float,
) -> list[TrainingSample]:
    """The sub-batches of a step: coupled rows, rows of each modality alone, and images.

    `batch_size` counts the rows of all processes. Weighted, the losses add up to the mean over the batch's
    clips plus `image_weight` times the mean over its images.
    """
    count, device = len(batch.names), batch.device
    unimodal = levels.unimodal_rows(batch.first_row, count, batch_size, step)
    x = to_tokens(Latents(batch.video, batch.audio))
    if len(x.present()) < 2:
        unimodal = [True] * count
    captions = batch.captions if batch.text is None else batch.text
    samples = []
    for alone in (False, True):
        chosen = tuple(i for i, mark in enumerate(unimodal) if mark == alone)
        if not chosen:
            continue
        at = _indices(chosen, count, device)
        part = x.each(lambda x: x if at is None else x[at])  # noqa: B023
        text = _some(captions, chosen, at)
        rows = batch.first_row + (torch.arange(count, device=device) if at is None else at)
        s = levels.sample(batch.spec, shifts, rows, seed, step, coupled=not alone)
        for keep in ((True, False), (False, True)) if alone else ((True, True),):
            kept = part.each(lambda x, keep: x if keep else None, Pair(*keep))
            if kept.present():
                weight = len(chosen) / count
                name = "" if not alone else NAMES[keep.index(True)]
                samples.append(_sample(batch.spec, kept, s, text, rows, dropout, seed, step, name, weight))
    if batch.images is not None:
        images = batch.images
        rows = images.first_row + torch.arange(len(images.names), device=device)
        s = levels.sample(images.spec, shifts, rows, seed, step, coupled=False, name="image levels")
        text = images.captions if images.text is None else images.text
        tokens = to_tokens(Latents(images.video, None))
        samples.append(
            _sample(images.spec, tokens, s, text, rows, dropout, seed, step, "image", image_weight)
        )
    return samples


def _sample(
    spec: LatentSpec,
    x: Pair[Tensor],
    s: Pair[Tensor],
    captions: Sequence[str] | Tensor,
    rows: Tensor,
    dropout: CaptionDropout,
    seed: int,
    step: int,
    name: str,
    weight: float,
) -> TrainingSample:
    noise = x.each(
        lambda x, of: row_normal(rows, tuple(x.shape[1:]), seed, f"{name} noise", step, of).to(x), NAMES
    )
    noised = x.each(Noised, noise, s)
    uncond = dropout.sample(noised.each(lambda n: n.s), rows, seed, step, f"{name} caption")
    return TrainingSample(spec, noised, captions, uncond, rows, weight)


def _some(
    captions: Sequence[str] | Tensor, chosen: Sequence[int], at: Tensor | None
) -> Sequence[str] | Tensor:
    """The chosen captions."""
    if at is None:
        return captions
    return captions[at] if isinstance(captions, Tensor) else [captions[i] for i in chosen]


@lru_cache(maxsize=1024)
def _indices(chosen: tuple[int, ...], count: int, device: torch.device) -> Tensor | None:
    """Rows as a tensor on a device, cached; None: all of them."""
    return None if len(chosen) == count else torch.tensor(chosen).to(device)
