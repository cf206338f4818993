"""A reward for synchrony: how well the video and audio of a clean clip are in time."""

from typing import Any

import torch
from torch import Tensor

from avsim.clip import ClipSpec
from avsim.codecs.audio import AudioAutoencoder
from avsim.codecs.video import VideoAutoencoder
from avsim.diffusion.guidance import RewardFn
from avsim.models.pair import Latents
from avsim.perception.sync import OffsetJudge, in_time

FEW_ROUNDS = 4  # in which a sound is decoded
SLIGHT = 1.15  # norm of a clip's gradient, with what ships: 1.5 to 6 where something sounds, else 0.3


def timing(
    judge: OffsetJudge, video_codec: Any, audio_codec: Any, spec: ClipSpec, given: bool = False
) -> RewardFn:
    """What a judge of offsets says for no offset of latents of `spec`, decoded by these codecs.

    Beside a sound that is drawn too, our codecs are quick: the picture's gradient is that of its `sketch`,
    the sound takes a few rounds. A `given` one stays as it is, is decoded and listened to once, and the
    picture that is drawn for it has its gradient in full. At the judge's own rates nothing waits for the
    device, so that it fits a CUDA graph.
    """
    known: list[Tensor] = []  # what is heard

    @torch.no_grad()
    def heard(audio: Tensor, moments: int) -> Tensor:
        if known:
            return known[0]
        quick = {"rounds": FEW_ROUNDS} if isinstance(audio_codec, AudioAutoencoder) and not given else {}
        wave = audio_codec.decode(audio, spec, **quick).float()
        found = judge.listened(judge.sound.grid.hear(wave, spec.sample_rate), moments)
        if given:
            known.append(found)
        return found

    def shown(video: Tensor) -> Tensor:
        if given or not isinstance(video_codec, VideoAutoencoder):
            return video_codec.decode(video, spec).float()
        sketch = video_codec.sketch(video, spec)
        with torch.no_grad():
            added = video_codec.decode(video, spec) - sketch
        return (sketch + added).float()

    def critic(latents: Latents) -> Tensor:
        v = judge.looked(judge.picture.grid.see(shown(latents.video), spec.frames_per_second))
        return in_time(judge.logits(v, heard(latents.audio, v.shape[1]))) / SLIGHT

    return critic
