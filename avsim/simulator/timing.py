"""A critic of what is being drawn: how well its picture and its sound are in time (`diffusion.by_critic`)."""

from typing import Any

import torch
from torch import Tensor

from avsim.clip import ClipSpec
from avsim.diffusion.guidance import Critic
from avsim.diffusion.pair import Latents
from avsim.perception.offset import OffsetJudge, in_time

SLIGHT = 1.15  # norm of a clip's gradient, with what ships: 1.5 to 6 where something sounds, else 0.3


def timing(
    judge: OffsetJudge, video_codec: Any, audio_codec: Any, spec: ClipSpec, given: bool = False
) -> Critic:
    """What a judge of offsets says for no offset of latents of `spec`, decoded by these codecs.

    A sound that stays as it is, because it is `given`, is decoded and listened to once. At the judge's own
    rates nothing waits for the device, so that it fits a CUDA graph.
    """
    known: list[Tensor] = []  # what is heard

    @torch.no_grad()
    def heard(audio: Tensor, moments: int) -> Tensor:
        if known:
            return known[0]
        wave = audio_codec.decode(audio, spec).float()
        found = judge.listened(judge.sound.grid.hear(wave, spec.sample_rate), moments)
        if given:
            known.append(found)
        return found

    def critic(latents: Latents) -> Tensor:
        frames = video_codec.decode(latents.video, spec).float()
        v = judge.looked(judge.picture.grid.see(frames, spec.frames_per_second))
        return in_time(judge.logits(v, heard(latents.audio, v.shape[1]))) / SLIGHT

    return critic
