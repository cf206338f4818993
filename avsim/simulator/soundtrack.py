"""Audio for a video of any length, in windows; memory does not grow with the length."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from avsim.clip import ClipSpec, LatentSpec, samples_of
from avsim.devices import autocast_if_faster
from avsim.diffusion import FOLEY, Latents, until
from avsim.errors import InputError
from avsim.simulator.models import MAX_LENGTH, Models, Sampling
from avsim.simulator.resize import frames_over

CONTEXT = 0.5  # seconds of audio before a window that the window is conditioned on
EDGE = 2  # frames at the end of a window that are dropped
CHUNK = 4  # number of windows whose audio is decoded together
MARGIN = 8  # additional audio latents on both sides of a decoded piece, against edge effects
FADE = 0.02  # seconds in which one decoded piece fades into the next
SEED_STEP = 1_000_003  # between the seeds of windows, so that they differ from those of other clips


def soundtrack(
    models: Models,
    frames_at: Callable[[float, ClipSpec], Tensor],
    seconds: float,
    prompt: str,
    seed: int,
    sampling: Sampling,
) -> Iterator[Tensor]:
    """`Simulator.soundtrack`."""
    if seconds <= MAX_LENGTH * models.spec.seconds:
        spec = models.latent_spec(seconds, sampling.size)
        given = Latents(models.encode_video(frames_at(0.0, spec.clip)), None)
        made = models.sample_clips([prompt], spec, FOLEY, given, seed, sampling)[0]
        assert made.wave is not None
        yield made.wave
        return
    spec = models.latent_spec(models.spec.seconds, sampling.size)
    rate = spec.clip.frames_per_second
    latents = _window_latents(models, frames_at, seconds, spec, prompt, seed, sampling)
    total = samples_of(frames_over(seconds, rate), rate, spec.clip.sample_rate)
    yield from decode_audio(models, latents, spec, total, CHUNK * spec.audio)


def _window_latents(
    models: Models,
    frames_at: Callable[[float, ClipSpec], Tensor],
    seconds: float,
    spec: LatentSpec,
    prompt: str,
    seed: int,
    sampling: Sampling,
) -> Iterator[Tensor]:
    """Audio latents (1, Da, n) of a long video; a window is conditioned on the end of the one before.

    The last `EDGE` frames of a window are dropped, for lack of context. Latents are carried from
    window to window: decoding and encoding them would raise the loudness by several dB each time.
    """
    rate, length = spec.clip.frames_per_second, spec.clip.frames
    context = max(1, min(round(CONTEXT * rate), (length - EDGE) // 2))
    if length - EDGE <= context:
        raise InputError(f"{models.source}: its clips of {length} frames are too short for windows of audio")
    z, first, begins = None, 0, 0  # the window before: its latents, its first frame and first latent
    while z is None or first + length - EDGE < frames_over(seconds, rate):
        given, task, known = None, FOLEY, 0
        if z is not None:
            first, seed = first + length - EDGE - context, seed + SEED_STEP
            at = round(first * spec.clip.sample_rate / (rate * spec.hop))
            known = begins + z.shape[2] - at
            given = pad(z[..., -known:], (0, spec.audio - known))
            task, begins = replace(FOLEY, audio=until(known * spec.hop / spec.clip.sample_rate)), at
        video = models.encode_video(frames_at(first / rate, spec.clip))
        z = models.sample_latents([prompt], spec, task, Latents(video, given), seed, sampling).audio
        assert z is not None
        z = z[..., : round((length - EDGE) * spec.clip.sample_rate / (rate * spec.hop))]
        yield z[..., known:]


def decode_audio(
    models: Models, latents: Iterator[Tensor], spec: LatentSpec, total: int, count: int
) -> Iterator[Tensor]:
    """Decode a stream of audio latents (1, Da, n) to `total` samples in pieces of `count` latents.

    A piece is decoded with `MARGIN` more latents on both sides, for the decoder's edges, and fades into
    the next one with equal power: phases are estimated for each piece alone.
    """
    fade = round(FADE * spec.clip.sample_rate)
    up = torch.sin(torch.linspace(0, math.pi / 2, fade))
    z, before, done = next(latents), 0, 0  # `before`: latents of `z` that are decoded already
    tail: Tensor | None = None
    while done < total:
        while z.shape[2] - before < count + MARGIN and (more := next(latents, None)) is not None:
            z = torch.cat([z, more], 2)
        part = z[..., max(0, before - MARGIN) : before + count + MARGIN]
        frames = math.floor(part.shape[2] * spec.hop * spec.clip.frames_per_second / spec.clip.sample_rate)
        lasting = replace(spec.clip, seconds=frames / spec.clip.frames_per_second)
        with torch.no_grad(), autocast_if_faster(models.device):
            wave = models.audio_codec.decode(part, lasting)[0].float().cpu()
        wave = wave[:, min(before, MARGIN) * spec.hop :]
        if tail is not None:
            wave[:, :fade] = wave[:, :fade] * up + tail * up.flip(0)
        size = min(count * spec.hop, total - done)
        tail = wave[:, size : size + fade]
        yield wave[:, :size]
        done += size
        z, before = z[..., max(0, before + count - MARGIN) :], min(before + count, MARGIN)
