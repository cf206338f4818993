"""Clips of any length from prompts, window by window: memory does not grow with the length."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import tee
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from avsim.clip import Clip
from avsim.diffusion import JOINT, Latents, Task
from avsim.errors import InputError
from avsim.simulator.models import Models, Sampling
from avsim.simulator.resize import frames_over
from avsim.simulator.soundtrack import SEED_STEP, decode_audio
from avsim.simulator.windows import MARGIN, Gap, Past, Timeline, decode_blocks, fill, kept

Transition = Literal["cut", "continuous"]
TRANSITIONS: tuple[Transition, ...] = ("cut", "continuous")


@dataclass(frozen=True)
class Shot:
    """A part of a storyboard."""

    prompt: str
    seconds: float


class _Piece(NamedTuple):
    """What a window adds: frames (3, n, H, W) and audio latents (1, Da, m)."""

    frames: Tensor
    audio: Tensor


@dataclass(frozen=True, eq=False)
class _State:
    """What the next window continues, and the blocks before it that the decoder also receives."""

    past: Past
    decoded: Tensor  # (1, Dv, n, h, w)


def stream(
    models: Models, shots: Sequence[Shot], transition: Transition, seed: int, sampling: Sampling
) -> Iterator[Clip]:
    """Consecutive shots, in pieces of about a window, generated lazily.

    The audio continues across shots: a window is conditioned on the audio before it. With "continuous" the
    video continues too, with the next prompt (from the block of frames nearest to the shot's beginning); with
    "cut" it starts again, from the same noise in all shots.

    Raises:
        InputError: no shots, one of less than a frame, or an unknown transition.
    """
    if transition not in TRANSITIONS:
        raise InputError(f"transition {transition!r}: expected {' or '.join(TRANSITIONS)}")
    if not shots:
        raise InputError("a storyboard without shots; give at least one")
    timeline = Timeline.of(models, sampling.size)
    for number, shot in enumerate(shots, 1):
        if not (math.isfinite(shot.seconds) and shot.seconds > 0):
            raise InputError(f"shot {number} of {shot.seconds:g} s: expected a frame or more")
    lengths = [frames_over(shot.seconds, timeline.rate) for shot in shots]
    return _clips(timeline, _pieces(timeline, shots, lengths, transition, seed, sampling), sum(lengths))


def _clips(timeline: Timeline, pieces: Iterator[_Piece], total: int) -> Iterator[Clip]:
    """The pieces as clips, with their samples; `total` frames in all."""
    clip = timeline.trained.clip
    shown, heard = tee(pieces)
    waves = decode_audio(
        timeline.models,
        (piece.audio for piece in heard),
        timeline.trained,
        timeline.samples_at(total),
        timeline.trained.audio,
    )
    frame, wave = 0, torch.zeros(clip.channels, 0)
    for frames, _ in shown:
        frames = frames[:, : total - frame]
        after = frame + frames.shape[1]
        samples = timeline.samples_at(after) - timeline.samples_at(frame)
        while wave.shape[1] < samples and (more := next(waves, None)) is not None:
            wave = torch.cat([wave, more], 1)
        # samples_of(n) of a piece may differ by one from its share of the whole
        yield Clip.fitted(frames, wave[:, :samples], timeline.rate, clip.sample_rate)
        frame, wave = after, wave[:, samples:]


def _pieces(
    timeline: Timeline,
    shots: Sequence[Shot],
    lengths: Sequence[int],
    transition: Transition,
    seed: int,
    sampling: Sampling,
) -> Iterator[_Piece]:
    """The pieces of all windows, with at least as many frames as the shots have."""
    state: _State | None = None
    frame = end = 0  # number of frames so far; where the current shot ends
    first_seed = seed
    for shot, length in zip(shots, lengths, strict=True):
        end += length
        going_on = transition == "continuous" and shot is not shots[-1]  # the next prompt begins at `end`
        if state is None or transition == "cut":
            opened = (
                _opening(timeline, shot.prompt, first_seed, sampling, end if going_on else None)
                if state is None
                else _cut(timeline, state.past, shot.prompt, first_seed, sampling)
            )
            piece, state = opened
            if transition == "cut" and frame + piece.frames.shape[1] > end:
                piece, state = _shortened(timeline, piece, state, frame, end)
            yield piece
            frame = state.past.frame
        while end - frame > (timeline.stride // 2 if going_on else 0):
            seed += SEED_STEP
            room = timeline.blocks - state.past.latents.video.shape[2]
            left = (end - frame) / timeline.stride
            blocks = min(room, max(1, round(left)) if going_on else math.ceil(left))
            piece, state = _next(timeline, state, blocks, shot.prompt, seed, sampling)
            if transition == "cut" and frame + piece.frames.shape[1] > end:
                piece, state = _shortened(timeline, piece, state, frame, end)
            yield piece
            frame = state.past.frame


def _opening(
    timeline: Timeline, prompt: str, seed: int, sampling: Sampling, end: int | None
) -> tuple[_Piece, _State]:
    """The first window: as a clip of that length, of which the blocks up to the frame `end` are kept."""
    spec = timeline.window(timeline.blocks)
    z = timeline.models.sample_latents([prompt], spec, JOINT, Latents(), seed, sampling)
    blocks = timeline.blocks if end is None else max(1, round((end - 1) / timeline.stride))
    anchor, video = z.video[:, :, :1], z.video[:, :, 1 : 1 + blocks]
    frames = _decoded_with_anchor(timeline, anchor, video)
    count = frames.shape[1]
    audio = z.audio[..., : timeline.audio_at(count)]
    return _Piece(frames, audio), _begun(timeline, anchor, video, audio, count)


def _cut(timeline: Timeline, past: Past, prompt: str, seed: int, sampling: Sampling) -> tuple[_Piece, _State]:
    """The first window of a later shot: its audio continues the earlier one's, none of its video is given.

    Its first frame and block coincide with audio of the earlier shot, and are dropped.
    """
    spec, frame = timeline.window(timeline.blocks), past.frame
    origin = timeline.audio_at(frame - timeline.stride - 1)
    known = timeline.audio_at(frame) - origin
    end = frame + (timeline.blocks - 1) * timeline.stride
    given = past.latents.audio[..., -known:]
    audio = given.new_zeros(*given.shape[:2], spec.audio)
    audio[..., known - given.shape[2] : known] = given
    levels = torch.ones(spec.audio)
    levels[known - given.shape[2] : known] = 0
    task = Task("extend", audio=lambda _: levels)
    sampling = replace(sampling, num_candidates=1)
    z = timeline.models.sample_latents([prompt], spec, task, Latents(None, audio), seed, sampling)
    anchor, video = z.video[:, :, :1], z.video[:, :, 1:]
    frames = _decoded_with_anchor(timeline, anchor, video)[:, 1 + timeline.stride :]
    new = z.audio[..., known : timeline.audio_at(end) - origin]
    return _Piece(frames, new), _begun(timeline, anchor, video, torch.cat([given, new], 2), end)


def _decoded_with_anchor(timeline: Timeline, anchor: Tensor, video: Tensor) -> Tensor:
    """The anchor's frame and those of the blocks, (3, 1 + n stride, H, W)."""
    first = timeline.models.decode_video(anchor[0], timeline.trained.clip.still).frames
    assert first is not None
    return torch.cat([first, decode_blocks(timeline, anchor, video[:, :, :0], video)], 1)


def _begun(timeline: Timeline, anchor: Tensor, video: Tensor, audio: Tensor, frame: int) -> _State:
    """The state after a window that has its own anchor."""
    nothing = Latents(video[:, :, :0], audio[..., :0])
    latents = kept(timeline, nothing, Latents(video, audio), frame)
    return _State(Past(anchor, latents, frame), video[:, :, -MARGIN:])


def _next(
    timeline: Timeline, state: _State, blocks: int, prompt: str, seed: int, sampling: Sampling
) -> tuple[_Piece, _State]:
    """The next `blocks`."""
    past = state.past
    made = fill(timeline, Gap(past.anchor, past.frame, blocks, past.latents), prompt, seed, sampling)
    frames = decode_blocks(timeline, past.anchor, state.decoded, made.video)
    frame = past.frame + blocks * timeline.stride
    past = replace(past, latents=kept(timeline, past.latents, made, frame), frame=frame)
    decoded = torch.cat([state.decoded, made.video], 2)[:, :, -MARGIN:]
    return _Piece(frames, made.audio), _State(past, decoded)


def _shortened(
    timeline: Timeline, piece: _Piece, state: _State, frame: int, end: int
) -> tuple[_Piece, _State]:
    """A piece that begins at `frame`, cut at `end`, where the next shot continues its audio alone."""
    surplus = timeline.audio_at(state.past.frame) - timeline.audio_at(end)
    audio = piece.audio[..., : piece.audio.shape[2] - surplus]
    latents = state.past.latents
    latents = latents._replace(audio=latents.audio[..., : latents.audio.shape[2] - surplus])
    past = replace(state.past, latents=latents, frame=end)
    return _Piece(piece.frames[:, : end - frame], audio), replace(state, past=past)
