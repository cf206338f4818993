"""Several clips as one: their sounds added with the stems known, their videos side by side.

Mix-and-separate is from The Sound of Pixels (1804.03160). A part's video is its share of the columns: with
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
            f"a mixture of {self.count} clips needs as many shots or videos; {len(chosen)} found among "
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


class Distractors:
    """The clips of a source, now and then with the sound of another one of them, which is not seen.

    A stranger's sound belongs to no region. It joins the clip's own, or takes its place: then all regions are
    silent, as they must be where video and audio are of two videos.

    Raises:
        InputError: chances that are not within 0 ... 1 together; in `take`, a source of a single group.
    """

    def __init__(
        self,
        source: Source,
        joins: float = 0.15,  # chance
        replaces: float = 0.08,  # chance
        gain_db: float = 6.0,  # a stranger is louder or softer than it was by up to this
    ) -> None:
        if joins < 0 or replaces < 0 or joins + replaces > 1:
            raise InputError(
                f"strangers join {joins} and replace {replaces} of all clips; that isn't within 0 ... 1"
            )
        self.source, self.joins, self.replaces, self.gain_db = source, joins, replaces, gain_db

    def __len__(self) -> int:
        return len(self.source)

    def group(self, index: int) -> str:
        """That of the clip itself."""
        return self.source.group(index)

    def take(self, index: int, spec: ClipSpec, generator: Generator) -> Sample:
        """Clip `index`, with whom it meets."""
        sample = self.source.take(index, spec, generator)
        met, level = torch.rand(2, generator=generator).tolist()
        if met >= self.joins + self.replaces or sample.wave is None:
            return sample
        other = self._other(index, spec, generator)
        if other.wave is None:
            return sample
        sound = 10 ** ((2 * level - 1) * self.gain_db / 20) * other.wave
        if met < self.joins:
            return replace(sample, wave=sample.wave + sound, name=f"{sample.name} with {other.name}")
        silent = None if sample.stems is None else torch.zeros_like(sample.stems)
        return replace(sample, wave=sound, stems=silent, name=f"{sample.name} heard as {other.name}")

    def _other(self, index: int, spec: ClipSpec, generator: Generator) -> Sample:
        for _ in range(_TRIES):
            other = int(torch.randint(len(self.source), (), generator=generator))
            if self.source.group(other) != self.source.group(index):
                return self.source.take(other, spec, generator)
        raise InputError(f"a stranger is of another shot or video; one found among {len(self.source)} clips")


class Blend:
    """Clips of several sources in one batch, each as often as its weight says: videos beside the world, say.

    Clip `index` is drawn from one of them; as all have the same spec, they may be stacked. What chooses
    clips by their groups (`Mixture`, `Distractors`) goes around each source, not around the blend.

    Raises:
        InputError: no source, or weights that are not as many, or not above 0; in `group`, always.
    """

    def __init__(self, sources: list[Source], weights: list[float] | None = None) -> None:
        self.sources = sources
        self.weights = [1.0] * len(sources) if weights is None else list(weights)
        if not sources or len(self.weights) != len(sources) or min(self.weights) <= 0:
            raise InputError(
                f"a blend of {len(sources)} sources with weights {self.weights}; each needs one above 0"
            )

    def __len__(self) -> int:
        return max(len(source) for source in self.sources)

    def group(self, index: int) -> str:
        """Refused: the source of a clip is sampled later."""
        raise InputError(
            "a clip of a Blend has no group before it is sampled; put Mixture and Distractors around each "
            "of its sources instead"
        )

    def take(self, index: int, spec: ClipSpec, generator: Generator) -> Sample:
        """Clip `index`, counted around, of a source that is drawn."""
        source = self.sources[int(torch.multinomial(torch.tensor(self.weights), 1, generator=generator))]
        return source.take(index % len(source), spec, generator)
