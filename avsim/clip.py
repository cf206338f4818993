"""The values every room passes on: a clip on one clock, the regions of its video, the stems of its sound.

The dimension key of the whole project:

    B batch    T frames          H, W height and width of the video     A channels of sound    N samples
    R regions  t, h, w           grid of video latents                    l     audio latents
    Dv, Da     latent channels   Lv, La  video and audio tokens           S, E  text tokens and their width

Time is in seconds everywhere. Frame i covers [i / fps, (i + 1) / fps), and T frames own round(T rate / fps)
samples. `ClipSpec` and `LatentSpec` derive every length; nothing else multiplies rates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from avsim.errors import InputError


@dataclass(frozen=True)
class ClipSpec:
    """The rates of a clip, from which every length follows.

    Raises:
        InputError: a rate, size or length that is not positive.
    """

    seconds: float = 2.0  # rounded to whole frames
    height: int = 64  # pixels
    width: int = 64  # pixels
    frames_per_second: float = 16.0
    sample_rate: int = 16000  # Hz
    channels: int = 2  # of sound: 1 mono, 2 stereo

    def __post_init__(self) -> None:
        for name in ("seconds", "height", "width", "frames_per_second", "sample_rate", "channels"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"{name} is {value}; it must be a positive number")

    @property
    def frames(self) -> int:
        """T, at least one."""
        return max(1, round(self.seconds * self.frames_per_second))

    @property
    def samples(self) -> int:
        """N, the samples that T frames own."""
        return samples_of(self.frames, self.frames_per_second, self.sample_rate)

    @property
    def still(self) -> ClipSpec:
        """Of its first frame alone."""
        return replace(self, seconds=1 / self.frames_per_second)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        return self.height, self.width

    @property
    def end(self) -> float:
        """When its last frame ends, in seconds."""
        return self.frames / self.frames_per_second

    def frame_seconds(self) -> Tensor:
        """Centre of each frame in seconds, (T,), float64."""
        return (torch.arange(self.frames, dtype=torch.float64) + 0.5) / self.frames_per_second


def samples_of(frames: int, frames_per_second: float, sample_rate: int) -> int:
    """The samples that `frames` own: round(T rate / fps)."""
    return round(frames * sample_rate / frames_per_second)


@dataclass(frozen=True)
class LatentSpec:
    """The strides of a pair of codecs over a `ClipSpec`, from which every latent length and time follows.

    Video latent 0 covers frame 0 alone (causal in time: one image is a clip of one frame); latent k > 0
    covers the `time_stride` frames after those before it. Audio latent j covers samples [j hop, (j + 1) hop).
    """

    clip: ClipSpec
    time_stride: int = 4  # frames per video latent
    space_stride: int = 8  # pixels per video latent, each way
    hop: int = 500  # samples per audio latent

    @property
    def video(self) -> tuple[int, int, int]:
        """(t, h, w): t = 1 + ceil((T - 1) / time stride), h and w rounded up."""
        t = 1 + math.ceil((self.clip.frames - 1) / self.time_stride)
        return (
            t,
            math.ceil(self.clip.height / self.space_stride),
            math.ceil(self.clip.width / self.space_stride),
        )

    @property
    def audio(self) -> int:
        """L = ceil(N / hop)."""
        return math.ceil(self.clip.samples / self.hop)

    def video_spans(self) -> Tensor:
        """First and last moment of each video latent in seconds, (t, 2), float64."""
        starts = 1 + self.time_stride * (torch.arange(self.video[0], dtype=torch.float64) - 1)
        edges = torch.cat([torch.zeros(1, dtype=torch.float64), starts[1:], starts[-1:] + self.time_stride])
        return torch.stack([edges[:-1], edges[1:]], dim=1) / self.clip.frames_per_second

    def audio_spans(self) -> Tensor:
        """First and last moment of each audio latent in seconds, (l, 2), float64."""
        starts = torch.arange(self.audio, dtype=torch.float64) * self.hop
        return torch.stack([starts, starts + self.hop], dim=1) / self.clip.sample_rate

    def video_seconds(self) -> Tensor:
        """Centre of the span of each video latent, (t,), float64."""
        return self.video_spans().mean(1)

    def audio_seconds(self) -> Tensor:
        """Centre of the span of each audio latent, (l,), float64."""
        return self.audio_spans().mean(1)


def _finite(values: Tensor) -> bool:
    """Whether all values are finite, in one pass without copies: NaN wins both extremes."""
    return bool(torch.isfinite(torch.stack(torch.aminmax(values))).all())


@dataclass(frozen=True, eq=False)
class Clip:
    """Video and audio on one clock; either may be absent, never both.

    Shapes: frames (3, T, H, W) float in [0, 1] or None; wave (A, N) float in [-1, 1] or None. Where both are
    there, N = round(T rate / fps); `Clip.fitted` pads or crops a wave to that.

    Raises:
        InputError: both absent, a wrong shape, lengths that disagree, values that are not finite, or a rate
            that is not positive.
    """

    frames: Tensor | None
    wave: Tensor | None
    frames_per_second: float = 16.0
    sample_rate: int = 16000

    def __post_init__(self) -> None:
        if self.frames is None and self.wave is None:
            raise InputError("a clip needs frames or a wave; both are None")
        for name in ("frames_per_second", "sample_rate"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"a clip's {name} is {value}; it must be positive")
        if self.frames is not None:
            shape = tuple(self.frames.shape)
            if len(shape) != 4 or shape[0] != 3 or 0 in shape or not self.frames.is_floating_point():
                raise InputError(
                    f"frames are {self.frames.dtype} {shape}; expected float (3, T, H, W), T, H, W > 0"
                )
            if not _finite(self.frames):
                raise InputError("frames hold values that are not finite")
        if self.wave is not None:
            shape = tuple(self.wave.shape)
            if len(shape) != 2 or 0 in shape or not self.wave.is_floating_point():
                raise InputError(f"the wave is {self.wave.dtype} {shape}; expected float (A, N), A, N > 0")
            if not _finite(self.wave):
                raise InputError("the wave holds values that are not finite")
        if self.frames is not None and self.wave is not None:
            owned = samples_of(self.frames.shape[1], self.frames_per_second, self.sample_rate)
            if self.wave.shape[1] != owned:
                raise InputError(
                    f"{self.frames.shape[1]} frames at {self.frames_per_second:g} fps own {owned} samples at "
                    f"{self.sample_rate} Hz; the wave has {self.wave.shape[1]} (see Clip.fitted)"
                )

    def __repr__(self) -> str:
        parts = []
        if self.frames is not None:
            parts.append(f"frames {tuple(self.frames.shape)} at {self.frames_per_second:g} fps")
        if self.wave is not None:
            parts.append(f"wave {tuple(self.wave.shape)} at {self.sample_rate:g} Hz")
        return f"Clip({', '.join(parts)})"

    @property
    def seconds(self) -> float:
        """Length in seconds: of the video where there is one, else of the sound."""
        if self.frames is not None:
            return self.frames.shape[1] / self.frames_per_second
        assert self.wave is not None
        return self.wave.shape[1] / self.sample_rate

    @property
    def spec(self) -> ClipSpec:
        """The spec of this clip; what an absent modality would have is left at the defaults."""
        spec = ClipSpec(self.seconds, frames_per_second=self.frames_per_second, sample_rate=self.sample_rate)
        if self.frames is not None:
            spec = replace(spec, height=self.frames.shape[2], width=self.frames.shape[3])
        return spec if self.wave is None else replace(spec, channels=self.wave.shape[0])

    @classmethod
    def fitted(
        cls, frames: Tensor, wave: Tensor, frames_per_second: float = 16.0, sample_rate: int = 16000
    ) -> Clip:
        """A clip whose wave is cropped, or padded with silence, to the samples that its frames own."""
        owned = samples_of(frames.shape[1], frames_per_second, sample_rate)
        wave = torch.nn.functional.pad(wave[:, :owned], (0, max(0, owned - wave.shape[1])))
        return cls(frames, wave, frames_per_second, sample_rate)

    def without_audio(self) -> Clip:
        """The video alone (its wave is None)."""
        return replace(self, wave=None)

    def without_video(self) -> Clip:
        """The audio alone (its frames are None)."""
        return replace(self, frames=None)

    def first_frame(self) -> Clip:
        """Frame 0 as a clip of one frame, without audio."""
        if self.frames is None:
            raise InputError("the clip has no frames to take the first of")
        return replace(self, frames=self.frames[:, :1], wave=None)

    @classmethod
    def read(
        cls,
        path: str | Path,
        start: float = 0.0,
        seconds: float | None = None,
        size: tuple[int, int] | None = None,
        frames_per_second: float | None = None,
        sample_rate: int | None = None,
    ) -> Clip:
        """Read a span of a file; see `avsim.media.read`."""
        from avsim import media

        return media.read(path, start, seconds, size, frames_per_second, sample_rate)

    def write(self, path: str | Path) -> Path:
        """Write to a file whose suffix names the format; see `avsim.media.write`."""
        from avsim import media

        return media.write(self, path)


@dataclass(frozen=True, eq=False)
class Region:
    """A part of the video, fixed or moving.

    Shapes: mask (H, W) for a fixed region or (T, H, W) for one that moves, float in [0, 1].
    """

    mask: Tensor
    name: str = "region"

    def __post_init__(self) -> None:
        if self.mask.ndim not in (2, 3) or 0 in self.mask.shape:
            raise InputError(
                f"region {self.name!r}: mask is {tuple(self.mask.shape)}; expected (H, W) or (T, H, W)"
            )
        if not torch.isfinite(self.mask).all() or self.mask.min() < 0 or self.mask.max() > 1:
            raise InputError(f"region {self.name!r}: mask values must lie in [0, 1]")
        if not self.mask.any():
            raise InputError(f"region {self.name!r} is empty: no pixel of its mask is above 0")

    @classmethod
    def box(
        cls, x: float, y: float, width: float, height: float, size: tuple[int, int], name: str = ""
    ) -> Region:
        """The pixels of a box, (x, y) its top left corner, in pixels of a video of `size` (H, W)."""
        name = name or f"box {x:g},{y:g},{width:g},{height:g}"
        if width <= 0 or height <= 0 or x < 0 or y < 0 or x + width > size[1] or y + height > size[0]:
            raise InputError(f"{name}: must lie inside the video, which is {size[1]} wide and {size[0]} high")
        mask = torch.zeros(size)
        mask[math.floor(y) : math.ceil(y + height), math.floor(x) : math.ceil(x + width)] = 1.0
        return cls(mask, name)

    @classmethod
    def point(cls, x: float, y: float, size: tuple[int, int], name: str = "") -> Region:
        """The one pixel at (x, y) of a video of `size` (H, W)."""
        name = name or f"point {x:g},{y:g}"
        if not (0 <= x < size[1] and 0 <= y < size[0]):
            raise InputError(f"{name}: must lie inside the video, which is {size[1]} wide and {size[0]} high")
        mask = torch.zeros(size)
        mask[int(y), int(x)] = 1.0
        return cls(mask, name)


OFF_SCREEN = "off screen"


@dataclass(frozen=True, eq=False)
class Stems:
    """One stem for each region and, last, "off screen"; their sum is the clip's own sound.

    Shapes: wave (R + 1, A, N) float32; regions R.
    """

    wave: Tensor
    regions: Sequence[Region]
    sample_rate: int

    def __post_init__(self) -> None:
        if self.wave.ndim != 3 or self.wave.shape[0] != len(self.regions) + 1:
            raise InputError(f"stems are {tuple(self.wave.shape)}; expected ({len(self.regions) + 1}, A, N)")

    @property
    def names(self) -> list[str]:
        """The regions' names and "off screen"."""
        return [region.name for region in self.regions] + [OFF_SCREEN]

    @property
    def mixture(self) -> Tensor:
        """The sum of all stems, (A, N)."""
        return self.wave.sum(0)
