"""The noise levels of training: a mixture, sampled for each clip, modality and latent frame.

One model is trained for every task by sampling the noise levels of each task (Mixture of noise levels,
2405.13762; Diffusion forcing, 2407.01392): of both modalities jointly, independently, alone, with one of them
given, or with part of the clip given.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import torch
from torch import Tensor

from avsim.clip import LatentSpec
from avsim.errors import InputError
from avsim.models.pair import Pair
from avsim.seeds import row_normal, row_uniform


def shifted(u: Tensor, shift: float) -> Tensor:
    """The noise level of a timestep u, both in [0, 1], after the timestep shift (SD3, 2403.03206, eq. 23).

    A shift above 1 spends more steps at high noise, as redundant signals such as video need.
    """
    return shift * u / (1 + (shift - 1) * u)


@dataclass(frozen=True)
class LevelMixture:
    """The shares of the kinds of noise levels in training.

    Raises:
        InputError: shares of the five kinds that don't add up to 1, or a share outside [0, 1].
    """

    joint: float = 0.34  # both modalities at the same timestep u: text -> video and audio
    independent: float = 0.24  # each modality at its own timestep u
    video_given: float = 0.20  # foley
    audio_given: float = 0.12  # visualize
    unimodal: float = 0.10  # each modality as if the other were absent
    logit_std: float = 1.0  # standard deviation of logit(u)
    pure_noise: float = 0.05  # share of u that is exactly 1, where sampling starts
    temporal_share: float = (
        0.20  # share of clips whose levels vary in time: half with a given span, half with a level per frame
    )

    given_noise: float = 0.0  # half of what is given has a level uniform up to this, the rest level 0

    def __post_init__(self) -> None:
        kinds = (self.joint, self.independent, self.video_given, self.audio_given, self.unimodal)
        if not all(0 <= share <= 1 for share in (*kinds, self.pure_noise, self.temporal_share)):
            raise InputError(f"level shares must lie in [0, 1]; found {self}")
        if not 0 <= self.given_noise < 1:
            raise InputError(f"given_noise of the levels is {self.given_noise}; expected 0 or more, below 1")
        if not self.logit_std > 0:
            raise InputError(f"logit_std of the levels is {self.logit_std}; it must be above 0")
        if abs(sum(kinds) - 1) > 1e-6:
            raise InputError(f"the shares of the five kinds of levels add up to {sum(kinds):g}, not to 1")

    def unimodal_rows(self, first_row: int, count: int, batch_size: int, step: int) -> list[bool]:
        """Which of the rows `first_row` ... `first_row + count - 1` train each modality alone.

        They are spaced evenly over the rows of all steps: they are known without waiting for the device, and
        every step has its share of them, to within one row.
        """
        before = step * batch_size + first_row
        marks = [int((before + i) * self.unimodal) for i in range(count + 1)]
        return [later > earlier for earlier, later in zip(marks, marks[1:], strict=False)]

    def sample(
        self,
        spec: LatentSpec,
        shifts: Pair[float],
        rows: Tensor,
        seed: int,
        step: int,
        coupled: bool = True,
        name: str = "levels",
    ) -> Pair[Tensor]:
        """The levels of rows (B,) of step `step`: (B, t) of latent frames, (B, l) of audio latents.

        They are sampled on the device of `rows`; row i depends on (seed, step, rows[i]) alone. Rows that are
        not `coupled` train each modality alone: neither is given, and each has an independent timestep u.
        """
        # They decide: the kind of levels, whether these vary in time, which span is given, where it is cut.
        kind, along, which, cut = row_uniform(rows, (4,), seed, name, step)[:, :, None].unbind(1)  # (B, 1)
        if not coupled:
            joint, foley, visualize = (torch.zeros_like(kind, dtype=torch.bool) for _ in range(3))
        else:
            kind = kind * (1 - self.unimodal)
            shares = (self.joint, self.independent, self.video_given)
            end_of_joint, end_of_independent, end_of_foley = accumulate(shares)
            joint, visualize = kind < end_of_joint, kind >= end_of_foley
            foley = (kind >= end_of_independent) & ~visualize
        if spec.video[0] == 1:  # an image has no span that could be given
            along = torch.ones_like(along)
        points = self._points(rows, spec.video[0], seed, name, step)
        by_frame = (
            along < self.temporal_share / 2
        )  # every latent frame, and the audio of its span, at its own level
        u_video, u_audio = (torch.where(by_frame, u, u[:, :1]) for u in points)  # (B, t)
        u_audio = torch.where(joint, u_video, u_audio)
        video_spans, audio_spans, owner = _spans(spec, rows.device)
        u = Pair(u_video, u_audio[:, owner])  # (B, t), (B, l)
        with_span = ~by_frame & (along < self.temporal_share)
        s = u.each(shifted, shifts)
        given = self._given_span(with_span, which, cut * spec.clip.seconds, Pair(video_spans, audio_spans))
        given = Pair(given.video | foley, given.audio | visualize)
        return s.each(
            lambda s, given, level: torch.where(given, level, s),
            given,
            self._given_levels(rows, seed, name, step),
        )

    def _given_levels(self, rows: Tensor, seed: int, name: str, step: int) -> Pair[Tensor]:
        """The level of what is given of each modality, (B, 1)."""
        if not self.given_noise:
            return Pair(*torch.zeros(2, len(rows), 1, device=rows.device))
        u = row_uniform(rows, (2,), seed, name, step, "given")[:, :, None]  # (B, 2, 1)
        return Pair(*(self.given_noise * (2 * u - 1).clamp(min=0)).unbind(1))

    def _points(self, rows: Tensor, count: int, seed: int, name: str, step: int) -> Pair[Tensor]:
        """Timesteps u of both modalities, (B, t): 1 with probability `pure_noise`, else logit-normal."""
        logits = row_normal(rows, (2, count), seed, name, step, "logits")
        pure = row_uniform(rows, (2, count), seed, name, step, "pure") < self.pure_noise
        return Pair(*torch.where(pure, 1.0, torch.sigmoid(self.logit_std * logits)).unbind(1))

    @staticmethod
    def _given_span(chosen: Tensor, which: Tensor, cut: Tensor, spans: Pair[Tensor]) -> Pair[Tensor]:
        """The given latents of `chosen` rows (B, 1): the first frame, or all before or after `cut` seconds.

        These are the conditions of animate, extend, loop and connect. Returns bools, (B, t) and (B, l).
        """
        beginning = chosen & (which >= 1 / 3) & (which < 2 / 3)
        end = chosen & (which >= 2 / 3)
        given = spans.each(lambda span: (beginning & (span[:, 1] <= cut)) | (end & (span[:, 0] >= cut)))
        first = torch.arange(spans.video.shape[0], device=cut.device) == 0
        return Pair(given.video | (chosen & (which < 1 / 3) & first), given.audio)


@lru_cache(maxsize=32)
def _spans(spec: LatentSpec, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Seconds of latent frames (t, 2) and audio latents (l, 2), and the frame of each audio latent (l,)."""
    with torch.inference_mode(False):
        video, audio = spec.video_spans(), spec.audio_spans()
        owner = torch.searchsorted(video[:-1, 1].contiguous(), audio.mean(1))
        return video.float().to(device), audio.float().to(device), owner.to(device)
