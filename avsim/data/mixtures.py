"""Several clips as one: their sounds added with the stems known, their pictures side by side.

Mix-and-separate is from The Sound of Pixels (1804.03160). A part's picture is its share of the columns: with
a spec as wide as `count` stored clips the parts are seen whole, with one as wide as a clip they are cropped.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Generator, Tensor

from avsim.clip import ClipSpec
from avsim.data.sources import Sample, Source
from avsim.errors import InputError

_TRIES = 64  # draws of a partner from another group before the source is said to have but one


class Mixture:
    """Clip `index` with `count` - 1 others of other groups: waves added, pictures side by side.

    A sample has one region for each part, its columns, whose stem is the part's wave as it is in the sum.

    Raises:
        InputError: fewer than two parts, a picture too narrow for them, or a source of a single group.
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

    def take(self, index: int, spec: ClipSpec, generator: Generator) -> Sample:
        """The mixture whose first part is clip `index`, its place among the parts drawn too."""
        parts = self._parts(index, spec, generator)
        return _side_by_side(parts, [part.wave for part in parts], " and ".join(_captions(parts)))

    def _parts(self, index: int, spec: ClipSpec, generator: Generator) -> list[Sample]:
        if spec.width < self.count:
            raise InputError(f"width is {spec.width}; {self.count} clips don't fit side by side")
        chosen = self._partners(index, generator)
        order = torch.randperm(self.count, generator=generator).tolist()
        # The columns of a part; the first ones are wider where the width can't be shared out evenly.
        edges = [math.ceil(spec.width * k / self.count) for k in range(self.count + 1)]
        widths = [right - left for left, right in zip(edges, edges[1:], strict=False)]
        return [
            self.source.take(chosen[which], replace(spec, width=width), generator)
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
            f"a mixture of {self.count} clips needs as many shots or films; {len(chosen)} found among "
            f"{len(self.source)} clips"
        )


class Composite(Mixture):
    """A duet of solos: a `Mixture` whose caption says who is where and whose sound comes from there.

    Each part's sound is mixed to mono and panned, with constant power, to the middle of its columns (a mono
    spec is not panned).
    """

    def take(self, index: int, spec: ClipSpec, generator: Generator) -> Sample:
        """The duet of which clip `index` is one part, its place among the parts drawn too."""
        parts = self._parts(index, spec, generator)
        waves = [
            None if part.wave is None else _panned(part.wave, (place + 0.5) / self.count)
            for place, part in enumerate(parts)
        ]
        said = [
            f"{side}: {caption}" if caption else side
            for side, caption in zip(_sides(self.count), (part.caption for part in parts), strict=True)
        ]
        caption = "; ".join(said) if any(part.caption for part in parts) else ""
        return _side_by_side(parts, waves, caption)


def _panned(wave: Tensor, place: float) -> Tensor:
    """A wave (A, N) heard from `place`, 0 left to 1 right; power does not depend on the place."""
    if wave.shape[0] != 2:
        return wave
    angle = place * math.pi / 2
    gains = torch.tensor([math.cos(angle), math.sin(angle)]) * math.sqrt(2.0)
    return gains[:, None] * wave.mean(0)


def _sides(count: int) -> list[str]:
    if count <= 3:
        return {2: ["left", "right"], 3: ["left", "middle", "right"]}[count]
    return [f"place {place + 1} from the left" for place in range(count)]


def _captions(parts: list[Sample]) -> list[str]:
    return [part.caption for part in parts if part.caption]


def _side_by_side(parts: list[Sample], waves: list[Tensor | None], caption: str) -> Sample:
    """One sample of parts (widths may differ by one) and their waves; a sum that clips is turned down."""
    name = " + ".join(part.name for part in parts)
    frames = masks = wave = stems = None
    pictures = [part.frames for part in parts if part.frames is not None]
    sounds = [sound for sound in waves if sound is not None]
    if len(pictures) == len(parts):
        frames = torch.cat(pictures, -1)
        masks = torch.zeros(len(parts), *frames.shape[1:])
        left = 0
        for mask, picture in zip(masks, pictures, strict=True):
            mask[..., left : left + picture.shape[-1]] = 1.0
            left += picture.shape[-1]
    if len(sounds) == len(parts):
        stems = torch.stack(sounds)
        stems = stems / stems.sum(0).abs().max().clamp(min=1.0)
        wave = stems.sum(0)
    return Sample(frames, wave, caption, name, stems, masks)
