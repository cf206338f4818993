"""A reward for synchrony: how well the video and audio of a clean clip are synchronised."""

from typing import Any

import torch
from torch import Tensor

from avsim.clip import ClipSpec
from avsim.codecs.audio import AudioAutoencoder
from avsim.codecs.video import VideoAutoencoder
from avsim.diffusion.guidance import RewardFn
from avsim.models.pair import Latents
from avsim.perception.sync import SyncModel, in_sync_score

DECODER_ITERATIONS = 4  # of phase retrieval, enough for onsets
# Gradient norm of the score above which a clip counts in full: it is 1.5 to 6 with audible events, else 0.3.
FULL_NORM = 1.15


def sync_reward(
    model: SyncModel, video_codec: Any, audio_codec: Any, spec: ClipSpec, audio_given: bool = False
) -> RewardFn:
    """The score of a sync model for no offset between video and audio latents of `spec`.

    If the audio is generated too, avsim's codecs take shortcuts: the gradient w.r.t. the video is that of
    `linear_decode`, and audio is decoded in few iterations. Given audio is decoded and encoded once, and the
    gradient w.r.t. the video is exact. At the sync model's own frame and sample rate the host never waits
    for the device, so that the reward can be part of a CUDA graph.
    """
    cached: list[Tensor] = []  # features of given audio

    @torch.no_grad()
    def audio_features(latents: Tensor, steps: int) -> Tensor:
        if cached:
            return cached[0]
        fast = isinstance(audio_codec, AudioAutoencoder) and not audio_given
        options = {"iterations": DECODER_ITERATIONS} if fast else {}
        wave = audio_codec.decode(latents, spec, **options).float()
        found = model.encode_audio(model.audio.grid.resample_audio(wave, spec.sample_rate), steps)
        if audio_given:
            cached.append(found)
        return found

    def decode_video(latents: Tensor) -> Tensor:
        if audio_given or not isinstance(video_codec, VideoAutoencoder):
            return video_codec.decode(latents, spec).float()
        linear = video_codec.linear_decode(latents, spec)
        with torch.no_grad():
            rest = video_codec.decode(latents, spec) - linear
        return (linear + rest).float()

    def reward_fn(latents: Latents) -> Tensor:
        frames = model.video.grid.resample_video(decode_video(latents.video), spec.frames_per_second)
        v = model.encode_video(frames)  # (B, L, E)
        return in_sync_score(model.logits(v, audio_features(latents.audio, v.shape[1]))) / FULL_NORM

    return reward_fn
