"""Tasks: which latents are given, that is kept as conditions, and at which noise level the rest starts.

All tasks run the same code.

FOLEY                                            the video is given, the audio is generated
Task("extend", until(1.0), until(1.0))           the first second of both is given
Task("inpaint", lambda spans: levels, all_given) levels (t, h, w) of the video: 0 is given, 1 is generated
Task("edit", start=0.6)                          nothing is given, all starts from a partly noised clip
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from avsim.clip import LatentSpec
from avsim.errors import InputError
from avsim.models.pair import NAMES, Pair
from avsim.models.tokens import grid

GivenFn = Callable[[Tensor], Tensor]
"""Which latents of a modality are given: spans in seconds (K, 2) -> (K,) bool; or the level at which each one
starts, (K,) float; of a video also (K, h, w)."""


def none_given(spans: Tensor) -> Tensor:
    """No latent is given."""
    return torch.zeros(len(spans), dtype=torch.bool)


def all_given(spans: Tensor) -> Tensor:
    """All latents are given."""
    return torch.ones(len(spans), dtype=torch.bool)


def first(spans: Tensor) -> Tensor:
    """The first latent alone: of a video, its first frame."""
    return torch.arange(len(spans)) == 0


def until(end: float) -> GivenFn:
    """Latents that end by `end` seconds."""
    return lambda spans: spans[:, 1] <= end + 1e-6


@dataclass(frozen=True, eq=False)
class Given:
    """The noise level at which each latent of a clip starts: 0 is given, 1 is pure noise, between is an edit.

    Shapes: video (t, h, w), audio (l,), levels in [0, 1]; None: the clip lacks that modality.

    Raises:
        InputError: no modality, or levels outside [0, 1].
    """

    video: Tensor | None
    audio: Tensor | None

    def __post_init__(self) -> None:
        if self.video is None and self.audio is None:
            raise InputError("a task needs a modality to generate; both are absent")
        for level in (self.video, self.audio):
            if level is not None and not ((level >= 0) & (level <= 1)).all():
                raise InputError("the levels at which latents start must lie in [0, 1]")

    def tokens(self, spec: LatentSpec) -> Pair[Tensor]:
        """The starting level of every token, (Lv,), (La,).

        Raises:
            InputError: levels of other shapes than the latents of `spec`.
        """
        levels = Pair(self.video, self.audio)
        for name, level, shape in zip(NAMES, levels, grid(spec), strict=True):
            if level is not None and tuple(level.shape) != shape:
                raise InputError(f"starting levels of {name}: {tuple(level.shape)}; the spec needs {shape}")
        return levels.each(lambda level: level.float().flatten())


@dataclass(frozen=True)
class Task:
    """What is given of each modality (None: the clip has no such modality), and where the rest starts."""

    name: str
    video: GivenFn | None = none_given
    audio: GivenFn | None = none_given
    start: float = 1.0  # the level at which all that is not given starts: `strength` in diffusers' img2img

    def given(self, spec: LatentSpec) -> Given:
        """The starting levels of this task on clips of `spec`."""
        video = audio = None
        if self.audio is not None:
            audio = self._levels(self.audio(spec.audio_spans()))
        if self.video is not None:
            video = self._levels(self.video(spec.video_spans()))
            video = (video if video.ndim == 3 else video[:, None, None]).expand(spec.video)
        return Given(video, audio)

    def _levels(self, part: Tensor) -> Tensor:
        """Starting levels of what a `GivenFn` returned."""
        return torch.where(part, 0.0, self.start) if part.dtype == torch.bool else part


JOINT = Task("joint")  # text -> video and audio
FOLEY = Task("foley", video=all_given)  # video -> audio
AUDIO_TO_VIDEO = Task("visualize", audio=all_given)  # audio -> video
ANIMATE = Task("animate", video=first)  # image -> video and audio
VIDEO_ONLY = Task("image", audio=None)  # text -> video alone; an image if the spec has one frame
AUDIO_ONLY = Task("audio", video=None)  # text -> audio alone
