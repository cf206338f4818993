"""Several clips as one: their waves added, with the stems known, and their videos side by side.

Mix-and-separate is from The Sound of Pixels (1804.03160). A part's video is its share of the columns: with
a spec as wide as `count` stored clips the parts are seen whole, with one as wide as a clip they are cropped.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import replace
from itertools import accumulate

import torch
from torch import Generator

from avsim.clip import ClipSpec
from avsim.data.sources import Sample, Source
from avsim.errors import InputError

_TRIES = 64  # samples of a partner from another group before the source counts as a single group


class Mixture:
    """Clip `index` with `count` - 1 others of other groups: waves added, videos side by side.

    A sample has one region for each part, its columns, whose stem is the part's wave as it is in the sum.

    Raises:
        InputError: fewer than two parts, a video too narrow for them, or a source of a single group.
    """

    def __init__(self, source: Source, count: int = 2) -> None:
        if count < 2:
            raise InputError(f"count is {count}; a mixture has two parts or more")
        self.source, self.count = source, count

    def __len__(self) -> int:
        return len(self.source)

    def group(self, index: int) -> str:
        """That of the first part."""
        return self.source.group(index)

    def sample(self, index: int, spec: ClipSpec, generator: Generator) -> Sample:
        """The mixture of clip `index` and others, in random order."""
        parts = self._parts(index, spec, generator)
        return _side_by_side(parts, " and ".join(part.caption for part in parts if part.caption))

    def _parts(self, index: int, spec: ClipSpec, generator: Generator) -> list[Sample]:
        if spec.width < self.count:
            raise InputError(f"width is {spec.width}; {self.count} clips don't fit side by side")
        chosen = self._partners(index, generator)
        order = torch.randperm(self.count, generator=generator).tolist()
        # The columns of a part; the first ones are wider where the width can't be shared out evenly.
        edges = [math.ceil(spec.width * k / self.count) for k in range(self.count + 1)]
        widths = [right - left for left, right in zip(edges, edges[1:], strict=False)]
        return [
            self.source.sample(chosen[which], replace(spec, width=width), generator)
            for which, width in zip(order, widths, strict=True)
        ]

    def _partners(self, index: int, generator: Generator) -> list[int]:
        """`index` and others, no two of one group."""
        chosen, groups = [index], {self.source.group(index)}
        for _ in range(_TRIES * self.count):
            if len(chosen) == self.count:
                return chosen
            other = int(torch.randint(len(self.source), (), generator=generator))
            if self.source.group(other) not in groups:
                chosen.append(other)
                groups.add(self.source.group(other))
        if len(chosen) == self.count:
            return chosen
        raise InputError(
            f"a mixture of {self.count} clips needs as many shots or videos; {len(chosen)} found among "
            f"{len(self.source)} clips of this split; prepare more videos, or do without it (--data."
            "validation null, --data.test null)"
        )


def _side_by_side(parts: list[Sample], caption: str) -> Sample:
    """One sample of parts, whose widths may differ by one; a sum above full scale is scaled down."""
    frames = masks = wave = stems = None
    videos = [part.frames for part in parts if part.frames is not None]
    waves = [part.wave for part in parts if part.wave is not None]
    if len(videos) == len(parts):
        frames = torch.cat(videos, -1)
        masks = torch.zeros(len(parts), *frames.shape[1:])
        left = 0
        for mask, video in zip(masks, videos, strict=True):
            mask[..., left : left + video.shape[-1]] = 1.0
            left += video.shape[-1]
    if len(waves) == len(parts):
        stems = torch.stack(waves)
        stems = stems / stems.sum(0).abs().max().clamp(min=1.0)
        wave = stems.sum(0)
    return Sample(frames, wave, caption, " + ".join(part.name for part in parts), stems, masks)


class Distractors:
    """The clips of a source, some of them with the wave of another clip of it, which is not in the video.

    A distractor belongs to no region. It is added to the clip's own wave or replaces it; then all stems are
    silent, as they must be where video and audio are of two different clips.

    Raises:
        InputError: chances that are not within 0 ... 1 together; in `sample`, a source of a single group.
    """

    def __init__(
        self,
        source: Source,
        joins: float = 0.15,  # chance that a distractor is added
        replaces: float = 0.08,  # chance that it replaces the clip's wave
        gain_db: float = 6.0,  # its gain is uniform within plus and minus this
    ) -> None:
        if joins < 0 or replaces < 0 or joins + replaces > 1:
            raise InputError(
                f"distractors are added with chance {joins} and replace with chance {replaces}; expected "
                "chances whose sum is at most 1"
            )
        self.source, self.joins, self.replaces, self.gain_db = source, joins, replaces, gain_db

    def __len__(self) -> int:
        return len(self.source)

    def group(self, index: int) -> str:
        """That of the clip itself."""
        return self.source.group(index)

    def sample(self, index: int, spec: ClipSpec, generator: Generator) -> Sample:
        """Clip `index`, perhaps with a distractor."""
        sample = self.source.sample(index, spec, generator)
        chance, gain = torch.rand(2, generator=generator).tolist()
        if chance >= self.joins + self.replaces or sample.wave is None:
            return sample
        other = self._other(index, spec, generator)
        if other.wave is None:
            return sample
        distractor = 10 ** ((2 * gain - 1) * self.gain_db / 20) * other.wave
        if chance < self.joins:
            return replace(sample, wave=sample.wave + distractor, name=f"{sample.name} with {other.name}")
        silent = None if sample.stems is None else torch.zeros_like(sample.stems)
        return replace(
            sample, wave=distractor, stems=silent, name=f"{sample.name} with audio of {other.name}"
        )

    def _other(self, index: int, spec: ClipSpec, generator: Generator) -> Sample:
        for _ in range(_TRIES):
            other = int(torch.randint(len(self.source), (), generator=generator))
            if self.source.group(other) != self.source.group(index):
                return self.source.sample(other, spec, generator)
        raise InputError(
            f"a distractor is of another shot or video; one found among {len(self.source)} clips"
        )


class Blend:
    """Several sources in one, each with a share of the indices: real videos beside the world, for example.

    The sources follow one another. Each is repeated until its share of all indices is that of its weight, and
    so far that all clips of all sources occur. All give clips of one spec, so that samples can be stacked.

    Raises:
        InputError: no source, an empty one, or weights that are not as many, or not above 0.
    """

    def __init__(self, sources: list[Source], weights: list[float] | None = None) -> None:
        weights = [1.0] * len(sources) if weights is None else list(weights)
        if not sources or len(weights) != len(sources) or min(weights) <= 0:
            raise InputError(
                f"a blend of {len(sources)} sources with weights {weights}; each needs one above 0"
            )
        if not all(len(source) for source in sources):
            raise InputError("a blend with a source that has no clips")
        self.sources = sources
        lengths = [len(source) for source in sources]
        scale = max(length / weight for length, weight in zip(lengths, weights, strict=True))
        self.ends = list(accumulate(max(1, round(scale * weight)) for weight in weights))

    def __len__(self) -> int:
        return self.ends[-1]

    def group(self, index: int) -> str:
        """That of the clip in its own source; no two sources share a group."""
        which, clip = self._locate(index)
        return f"{which}: {self.sources[which].group(clip)}"

    def sample(self, index: int, spec: ClipSpec, generator: Generator) -> Sample:
        """Clip `index`, of the source whose indices hold it."""
        which, clip = self._locate(index)
        return self.sources[which].sample(clip, spec, generator)

    def _locate(self, index: int) -> tuple[int, int]:
        """Index -> number of its source, index of the clip there."""
        which = bisect_right(self.ends, index)
        begins = self.ends[which - 1] if which else 0
        return which, (index - begins) % len(self.sources[which])
