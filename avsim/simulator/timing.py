"""A critic of what is being drawn: how well its picture and its sound are in time (`diffusion.by_critic`)."""

from typing import Any

import torch
from torch import Tensor

from avsim.clip import ClipSpec
from avsim.diffusion.guidance import Critic
from avsim.diffusion.pair import Latents
from avsim.perception.offset import OffsetJudge, in_time


def timing(judge: OffsetJudge, video_codec: Any, audio_codec: Any, spec: ClipSpec) -> Critic:
    """What a judge of offsets says for no offset of latents of `spec`, decoded by these codecs.

    A sound that stays as it is, because it is given, is decoded and listened to once.
    """
    known: list[tuple[Tensor, Tensor]] = []  # latents of a sound, and what is heard

    @torch.no_grad()
    def heard(audio: Tensor, moments: int) -> Tensor:
        if not (known and torch.equal(known[0][0], audio)):
            wave = audio_codec.decode(audio, spec).float()
            known[:] = [(audio, judge.listened(judge.sound.grid.hear(wave, spec.sample_rate), moments))]
        return known[0][1]

    def critic(latents: Latents) -> Tensor:
        frames = video_codec.decode(latents.video, spec).float()
        v = judge.looked(judge.picture.grid.see(frames, spec.frames_per_second))
        return in_time(judge.logits(v, heard(latents.audio, v.shape[1])))

    return critic
