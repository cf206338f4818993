"""Lightning data modules whose batch k is a function of (seed, k) alone.

One item of a loader is one step's batch: the processes share out its rows, workers only work ahead. Nothing
is kept between steps, so a run resumes from `trainer.global_step` alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import lightning
import torch
from torch import Generator, Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from avsim.clip import ClipSpec
from avsim.data.batch import ClipBatch, LatentBatch
from avsim.data.captions import sample_caption
from avsim.data.latent_shards import LatentSource
from avsim.data.order import clip_at
from avsim.data.published import check_sources
from avsim.data.sources import Sample, Source
from avsim.data.videos import uncaptioned
from avsim.data.vocabulary import captions_of, vocabulary_of
from avsim.errors import InputError
from avsim.seeds import derive, generator

log = logging.getLogger("avsim")

Batch = TypeVar("Batch")
Row = tuple[int, int, Generator]  # the clip's index in its source, its row, and what its draws come from


class _Batches(Dataset[Batch]):
    """Batch k, or this process's share of it."""

    def __init__(
        self,
        assemble: Callable[[list[Row]], Batch],
        length: int,  # clips in the source
        size: int,  # clips in a batch of all processes
        seed: int,
        trained: bool,  # endless and shuffled; else the list from its first clip to its last
        rank: int,
        ranks: int,
        together: int = 1,  # trained batches whose gradients are one step's
    ) -> None:
        self.assemble, self.length, self.size, self.seed = assemble, length, size, seed
        self.trained, self.rank, self.ranks, self.together = trained, rank, ranks, together

    def rows(self, step: int) -> list[Row]:
        """The rows of batch `step` that are this process's."""
        size = self.size if self.trained else min(self.size, self.length - step * self.size)
        mine = range(size * self.rank // self.ranks, size * (self.rank + 1) // self.ranks)
        if self.trained:
            return [
                (
                    clip_at(step * self.size + row, self.length, self.seed),
                    row + size * (step % self.together),  # no two of a step draw the same noise
                    generator(self.seed, "clip", step, row),
                )
                for row in mine
            ]
        places = [step * self.size + row for row in mine]
        return [(place, place, generator(self.seed, "fixed clip", place)) for place in places]

    def steps(self) -> range:
        """The batches of a fixed list that have a row for this process."""
        count = -(-self.length // self.size)
        return range(count if self.rows(count - 1) else count - 1)

    def __getitem__(self, step: int) -> Batch:
        return self.assemble(self.rows(step))


class _OneOf(Dataset[Batch]):
    """Batch k of one of several, drawn by k, each as often as its weight says: a batch has one spec.

    A part's own batch k is taken, so that of a pass over its clips only the batches are seen that fall to it.
    """

    def __init__(self, parts: Sequence[tuple[float, Dataset[Batch]]], seed: int) -> None:
        self.weights, self.parts = zip(*parts, strict=True)
        self.seed = seed

    def __getitem__(self, step: int) -> Batch:
        which = torch.multinomial(torch.tensor(self.weights), 1, generator=generator(self.seed, "part", step))
        return self.parts[int(which)][step]


class _Beside(Dataset[LatentBatch]):
    """Batch k of clips with batch k of images beside it."""

    def __init__(self, clips: Dataset[LatentBatch], images: Dataset[LatentBatch]) -> None:
        self.clips, self.images = clips, images

    def __getitem__(self, step: int) -> LatentBatch:
        return replace(self.clips[step], images=self.images[step])


class _From(Sampler[int]):
    """Steps from the one that a run is at, without an end."""

    def __init__(self, step: Callable[[], int]) -> None:
        self.step = step

    def __iter__(self) -> Iterator[int]:
        step = self.step()
        while True:
            yield step
            step += 1


class _Data(lightning.LightningDataModule):
    """What both modules share: loaders over `_Batches`."""

    def __init__(self, batch_size: int, workers: int, seed: int) -> None:
        super().__init__()
        if batch_size < 1:
            raise InputError(f"batch_size is {batch_size}; it must be at least 1")
        if workers < 0:
            raise InputError(f"workers is {workers}; it must be 0 or more")
        self.batch_size, self.workers, self.seed = batch_size, workers, seed

    def _batches(
        self, assemble: Callable[[list[Row]], Any], length: int, trained: bool, size: int | None = None
    ) -> _Batches[Any]:
        """Batches of `size` rows, `batch_size` by default."""
        size = self.batch_size if size is None else size
        rank, ranks, together = 0, 1, 1
        if self.trainer:
            rank, ranks = self.trainer.global_rank, self.trainer.world_size
            together = self.trainer.accumulate_grad_batches
        if trained and size % ranks:
            raise InputError(
                f"a batch is {size} rows over all processes; {ranks} of them can't share it evenly"
            )
        if self.trainer and ranks > 1 and self.trainer._accelerator_connector.use_distributed_sampler:
            raise InputError(
                "set trainer.use_distributed_sampler: false; the data already know their process"
            )
        return _Batches(assemble, length, size, self.seed, trained, rank, ranks, together)

    def _loader(self, batches: Dataset[Any], steps: Sampler[int] | range) -> DataLoader[Any]:
        return DataLoader(
            batches,
            batch_size=None,
            sampler=steps,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            pin_memory=torch.cuda.is_available(),
        )

    def _step(self) -> int:
        """The batch that the run is at."""
        return self.trainer.global_step * self.trainer.accumulate_grad_batches if self.trainer else 0


class ClipData(_Data):
    """Clips of one spec from a source for each split; validation and test are fixed lists.

    The whole batch over all processes is `batch_size` clips; it is the same for any number of processes and
    workers. The trainer needs `use_distributed_sampler: false` and runs one endless epoch up to `max_steps`
    (so `val_check_interval` is a number of steps and `check_val_every_n_epoch` null).

    Raises:
        InputError: sizes below 1, a batch that the processes can't share evenly, or a source that can't give
            the spec.
    """

    def __init__(
        self,
        spec: ClipSpec,
        train: Source,
        validation: Source | None = None,
        test: Source | None = None,
        batch_size: int = 32,
        workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, workers, seed)
        self.spec, self.sources = spec, {"train": train, "validation": validation, "test": test}

    def setup(self, stage: str) -> None:
        """Take one clip of each source that this stage uses: what is wrong with it is said here, once.

        Raises:
            InputError: a source video is in two splits.
        """
        check_sources(self.sources)
        for split in {"fit": ("train", "validation"), "validate": ("validation",)}.get(stage, (stage,)):
            if (source := self.sources.get(split)) is not None:
                source.sample(0, self.spec, generator(self.seed, "look"))

    def train_dataloader(self) -> DataLoader[ClipBatch]:
        """Shuffled and endless, from the step that the run is at."""
        return self._of("train")

    def val_dataloader(self) -> DataLoader[ClipBatch] | list[Any]:
        """The validation clips in order, always cropped alike."""
        return self._of("validation") if self.sources["validation"] is not None else []

    def test_dataloader(self) -> DataLoader[ClipBatch]:
        """The test clips in order, always cropped alike."""
        return self._of("test")

    def _of(self, split: str) -> DataLoader[ClipBatch]:
        source = self.sources[split]
        if source is None:
            raise InputError(f"data: no source for {split} is given")
        batches = self._batches(self._assemble(source, split == "train"), len(source), split == "train")
        return self._loader(batches, _From(self._step) if split == "train" else batches.steps())

    def _assemble(self, source: Source, trained: bool) -> Callable[[list[Row]], Any]:
        return _Assemble(source, self.spec, trained)


class LatentData(_Data):
    """Latents that `avsim encode` wrote, by split; batches and resuming as in `ClipData`.

    Args:
        folder: of latents; or several, of clips of other lengths, say. A training batch is of one of them,
            of each as often as it has clips.
        held_out: a folder whose splits are validated and tested on; by default the first one's.
        batch_size: clips in a batch, of whatever length.
        images: first frames beside each clip of a training batch, as a share of them; they are of other
            clips.
        workers: processes that load.
        seed: of the order.

    Raises:
        InputError: no latents there, nothing to train on, folders of different codecs, a negative share, or
            as in `ClipData`.
    """

    def __init__(
        self,
        folder: str | Path | list[str],
        held_out: str | None = None,
        batch_size: int = 32,
        images: float = 0.0,
        workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, workers, seed)
        if not 0 <= images < float("inf"):
            raise InputError(f"images is {images}; it is a share of a batch's clips, 0 or more")
        self.folders = folder if isinstance(folder, list) else [folder]
        if not self.folders:
            raise InputError("folder is an empty list; give at least one folder of latents")
        self.held_out, self.images = held_out or self.folders[0], images
        self.sources = [LatentSource(each, "train") for each in self.folders]
        self.spec = self.sources[0].spec
        items = [item for source in self.sources for item in source.items]
        if warning := uncaptioned(sum(not item.get("caption") for item in items), len(items)):
            log.warning(warning)
        others = [] if held_out is None else [LatentSource(held_out, "validation")]
        for source in (*self.sources, *others):
            one, first = (
                [codec["sha256"] for codec in each.codecs.values()] for each in (source, self.sources[0])
            )
            if one != first:
                raise InputError(
                    f"{source.shards.folder}: its latents are other codecs' than those of {self.folders[0]}"
                )

    @property
    def codecs(self) -> dict[str, dict[str, str]]:
        """The codecs of the latents, by part: their folders and sha256."""
        return self.sources[0].codecs

    @property
    def vocabulary(self) -> frozenset[str]:
        """The words of the captions that are trained on."""
        return vocabulary_of(each for source in self.sources for each in captions_of(source.items))

    @property
    def channels(self) -> tuple[int, int]:
        """Dv and Da of the latents."""
        return self.sources[0].channels

    def train_dataloader(self) -> DataLoader[LatentBatch]:
        """Shuffled and endless, from the step that the run is at."""
        parts = [(float(len(source)), self._train_batches(source)) for source in self.sources]
        return self._loader(_OneOf(parts, self.seed), _From(self._step))

    def _train_batches(self, source: LatentSource) -> Dataset[LatentBatch]:
        clips = self._batches(_AssembleLatents(source, True), len(source), True)
        if not (count := round(self.images * self.batch_size)):
            return clips
        images = self._batches(_AssembleImages(source, True), len(source), True, count)
        images.seed = derive(self.seed, "images")  # in an order of their own
        return _Beside(clips, images)

    def val_dataloader(self) -> DataLoader[LatentBatch]:
        """The validation latents in order."""
        return self._of("validation")

    def test_dataloader(self) -> DataLoader[LatentBatch]:
        """The test latents in order."""
        return self._of("test")

    def _of(self, split: str) -> DataLoader[LatentBatch]:
        source = LatentSource(self.held_out, split)
        batches = self._batches(_AssembleLatents(source, False), len(source), False)
        return self._loader(batches, batches.steps())


class _Assemble:
    """Rows -> `ClipBatch`; what is trained on gets one of its captions, of whatever style."""

    def __init__(self, source: Source, spec: ClipSpec, trained: bool) -> None:
        self.source, self.spec, self.trained = source, spec, trained

    def __call__(self, rows: list[Row]) -> ClipBatch:
        samples = [self.source.sample(index, self.spec, draws) for index, _, draws in rows]
        if self.trained:
            samples = [
                replace(sample, caption=sample_caption(sample.caption, sample.styles, draws)[1])
                for sample, (_, _, draws) in zip(samples, rows, strict=True)
            ]
        return stack(samples, self.spec, torch.tensor([row for _, row, _ in rows]))


class _AssembleLatents:
    """Rows -> `LatentBatch`; what is trained on gets one of its captions, of whatever style."""

    def __init__(self, source: LatentSource, trained: bool) -> None:
        self.source, self.trained = source, trained

    def __call__(self, rows: list[Row]) -> LatentBatch:
        videos, audios, captions, names = zip(
            *(self.source.latents(index) for index, _, _ in rows), strict=True
        )
        video, audio, (_, first, _) = torch.stack(videos), torch.stack(audios), rows[0]
        chosen = [("", caption) for caption in captions]  # of each row, the style and the caption
        if self.trained:
            chosen = [
                sample_caption(caption, self.source.styles(index), draws)
                for caption, (index, _, draws) in zip(captions, rows, strict=True)
            ]
        text = _stacked(
            [self.source.text(index, style) for (style, _), (index, _, _) in zip(chosen, rows, strict=True)]
        )
        words = [caption for _, caption in chosen]
        return LatentBatch(self.source.spec, video, audio, words, list(names), first, text)


class _AssembleImages(_AssembleLatents):
    """Rows -> `LatentBatch` of their first frames: a video codec is causal, so each is an image's latent."""

    def __call__(self, rows: list[Row]) -> LatentBatch:
        clips = super().__call__(rows)
        assert clips.video is not None
        still = replace(clips.spec, clip=clips.spec.clip.still)
        return replace(clips, spec=still, video=clips.video[:, :, :1], audio=None)


def stack(samples: list[Sample], spec: ClipSpec, rows: Tensor) -> ClipBatch:
    """Samples of one spec as a batch; stems and masks get as many regions as the richest sample has."""
    return ClipBatch(
        spec,
        _stacked([sample.frames for sample in samples]),
        _stacked([sample.wave for sample in samples]),
        [sample.caption for sample in samples],
        [sample.name for sample in samples],
        rows,
        _stacked([sample.stems for sample in samples]),
        _stacked([sample.masks for sample in samples]),
    )


def _stacked(values: list[Tensor | None]) -> Tensor | None:
    """Stack tensors, their first axes padded to one length with zeros; None unless all are there."""
    there = [value for value in values if value is not None]
    if len(there) < len(values):
        return None
    longest = max(value.shape[0] for value in there)
    return torch.stack([_padded(value, longest) for value in there])


def _padded(value: Tensor, length: int) -> Tensor:
    missing = length - value.shape[0]
    return torch.cat([value, value.new_zeros(missing, *value.shape[1:])]) if missing else value
