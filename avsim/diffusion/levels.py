"""How much noise each token trains under: a mixture of noise levels, drawn per clip, modality and time step.

One model is trained for every task by drawing what each task will meet (Mixture of noise levels, 2405.13762;
Diffusion forcing, 2407.01392): the modalities together, apart, alone, one of them clean, or part of the clip.
"""

from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor

from avsim.clip import LatentSpec
from avsim.errors import InputError
from avsim.models.pair import Pair


def shifted(u: Tensor, shift: float) -> Tensor:
    """The noise level at the point u of a modality's path, u and level in [0, 1] (SD3, 2403.03206, eq. 23).

    A shift above 1 spends more of the path at high noise, which redundant signals need.
    """
    return shift * u / (1 + (shift - 1) * u)


class Levels(NamedTuple):
    """What one clip trains under."""

    s: Pair[Tensor]  # video (t,) one per latent frame, audio (l,) one per audio latent
    linked: bool  # picture and sound know each other


@dataclass(frozen=True)
class LevelMixture:
    """What share of the clips trains under which kind of levels.

    Raises:
        InputError: shares of the five kinds that don't add up to 1, or a share outside [0, 1].
    """

    together: float = 0.34  # both modalities at the same point of their paths: text -> picture and sound
    apart: float = 0.24  # each modality at a point of its own
    clean_video: float = 0.20  # the picture given: foley
    clean_audio: float = 0.12  # the sound given: visualize
    alone: float = 0.10  # each modality as if the other weren't there: an image, a silent video, a sound
    spread: float = 1.0  # deviation of the logit of a point: how far it comes towards both ends of the path
    pure: float = 0.05  # of drawn points: exactly 1, where every sampler starts
    by_step: float = 0.20  # of clips: levels that change along time (half: a span given, half: all apart)

    def __post_init__(self) -> None:
        kinds = (self.together, self.apart, self.clean_video, self.clean_audio, self.alone)
        if not all(0 <= share <= 1 for share in (*kinds, self.pure, self.by_step)):
            raise InputError(f"level shares must lie in [0, 1]; found {self}")
        if not self.spread > 0:
            raise InputError(f"the levels' spread is {self.spread}; it must be above 0")
        if abs(sum(kinds) - 1) > 1e-6:
            raise InputError(f"the shares of the five kinds of levels add up to {sum(kinds):g}, not to 1")

    def draw(self, spec: LatentSpec, shifts: Pair[float], generator: torch.Generator) -> Levels:
        """Draw the levels of a clip of `spec`, and whether its modalities are linked."""
        kind, by_step = torch.rand(2, generator=generator).tolist()
        if spec.video[0] == 1:  # an image alone: nothing beside it is given, and it has no span
            kind, by_step = 0.0, 1.0
        shares = (self.together, self.apart, self.clean_video, self.clean_audio)
        _, foley, visualize, alone = accumulate(shares)  # where each kind begins
        video_steps, audio_steps = spec.video_spans(), spec.audio_spans()  # (t, 2), (l, 2)
        u_video = u_audio = self._points(1, generator).expand(len(video_steps))
        if kind >= self.together:
            u_audio = self._points(1, generator).expand(len(video_steps))
        if by_step < self.by_step / 2:  # every latent frame, and the sound of its span, at its own level
            u_video = self._points(len(video_steps), generator)
            u_audio = u_video if kind < self.together else self._points(len(video_steps), generator)
        # The sound takes the level of the latent frame that it is heard with.
        ends = video_steps[:-1, 1].contiguous()
        owner = torch.searchsorted(ends, audio_steps.mean(1))  # (l,), each in 0 ... t - 1
        u = Pair(u_video, u_audio[owner])
        if self.by_step / 2 <= by_step < self.by_step:
            u = self._with_given_span(u, spec, generator)
        s_video, s_audio = shifted(u.video, shifts.video), shifted(u.audio, shifts.audio)
        if foley <= kind < visualize:
            s_video = torch.zeros_like(s_video)
        elif visualize <= kind < alone:
            s_audio = torch.zeros_like(s_audio)
        return Levels(Pair(s_video, s_audio), linked=kind < alone)

    def _points(self, count: int, generator: torch.Generator) -> Tensor:
        """Points of a path in (0, 1]: logit-normal, and exactly 1 with probability `pure`."""
        u = torch.sigmoid(self.spread * torch.randn(count, generator=generator))
        return torch.where(torch.rand(count, generator=generator) < self.pure, 1.0, u)

    def _with_given_span(self, u: Pair[Tensor], spec: LatentSpec, generator: torch.Generator) -> Pair[Tensor]:
        """The clip's first frame, beginning or end made clean, as animate, extend, loop and connect will."""
        which, cut = torch.rand(2, generator=generator).tolist()
        if which < 1 / 3:
            return Pair(torch.cat([torch.zeros(1), u.video[1:]]), u.audio)
        cut = cut * spec.clip.seconds

        def clear(levels: Tensor, spans: Tensor) -> Tensor:
            given = spans[:, 1] <= cut if which < 2 / 3 else spans[:, 0] >= cut
            return torch.where(given, 0.0, levels)

        return u.each(clear, Pair(spec.video_spans(), spec.audio_spans()))
