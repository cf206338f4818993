"""Fill a gap beside or between given clips with video and audio, in windows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from avsim.clip import Clip
from avsim.diffusion import Latents
from avsim.simulator.models import MAX_LENGTH, Sampling
from avsim.simulator.seams import paste_frames, paste_wave
from avsim.simulator.soundtrack import SEED_STEP, decode_audio
from avsim.simulator.windows import (
    Gap,
    Timeline,
    decode_video,
    encode_span,
    fill,
    future_of,
    past_of,
    recent,
    shared_out,
)


@dataclass(frozen=True, eq=False)
class Inside:
    """The gap's own content, and what of it is kept.

    Shapes: region (h, w) bool, the cells of the latents that are generated; None: none of them.
    """

    clip: Clip  # as long as the gap
    keep_video: bool = False  # except in the region
    keep_audio: bool = False
    region: Tensor | None = None


class _Held(NamedTuple):
    """The given latents of a gap, as `Gap` has them."""

    video: Tensor | None = None
    region: Tensor | None = None
    audio: Tensor | None = None


def fill_gap(
    timeline: Timeline,
    before: Clip | None,
    after: Clip | None,
    frames: int,
    prompt: str,
    seed: int,
    sampling: Sampling,
    inside: Inside | None = None,
) -> Clip:
    """Fill a gap of `frames` beside or between clips at a timeline's rates; given `inside`, both may be None.

    What is given beside the gap conditions it, and what is generated is matched to it (`seams`). Returns the
    frames and samples of the gap alone.
    """
    stride = timeline.stride
    blocks = -(-frames // stride)
    spare = blocks * stride - frames  # surplus frames of whole blocks, dropped on the side without a clip
    next_given = after if before is None or after is None else _since(timeline, after, spare)
    past: Latents = Latents()
    future: Latents = Latents()
    anchor, frame, context = None, 0, None
    if before is not None:
        found, context = past_of(timeline, *_both(before))
        past, anchor, frame = found.latents, found.anchor, found.frame
    elif after is not None:
        context = _both(after)[0][:, :1]
    else:
        assert inside is not None
        context = _both(inside.clip)[0][:, :1]
    if anchor is None:
        anchor = timeline.models.encode_video(context)
    if next_given is not None:
        future = future_of(timeline, *_both(next_given), context, timeline.context)
    held = _held(timeline, context, before, inside, blocks, frame)
    forward = before is not None or after is None
    made = _windows(timeline, anchor, past, future, held, frame, blocks, forward, prompt, seed, sampling)
    shown, wave, offset = _decode(timeline, anchor, past, made, future, frame)
    shift = 0 if forward else spare
    return _pasted(timeline, shown, wave, offset + shift, frame + shift, frames, before, after, inside)


def _both(clip: Clip) -> tuple[Tensor, Tensor]:
    assert clip.frames is not None and clip.wave is not None
    return clip.frames, clip.wave


def _since(timeline: Timeline, clip: Clip, frame: int) -> Clip | None:
    """A clip without its first frames; None: no frame is left."""
    frames, wave = _both(clip)
    if frame >= frames.shape[1]:
        return None
    start = timeline.samples_at(frame)
    return Clip.fitted(frames[:, frame:], wave[:, start:], timeline.rate, clip.sample_rate)


def _windows(
    timeline: Timeline,
    anchor: Tensor,
    past: Latents,
    future: Latents,
    held: _Held,
    frame: int,
    blocks: int,
    forward: bool,
    prompt: str,
    seed: int,
    sampling: Sampling,
) -> list[Latents]:
    """The latents of a gap, window by window: from its beginning on, or from its end back."""
    context, beyond = (0 if side.video is None else side.video.shape[2] for side in (past, future))
    most = timeline.blocks
    if context and beyond:  # windows are longer where both sides are given
        most = max(most, int((MAX_LENGTH * timeline.trained.clip.frames - 1) // timeline.stride))
    counts = shared_out(blocks, most - context - beyond)
    made: list[Latents] = []
    side, done = (past if forward else future), 0
    for n in counts:
        first = done if forward else blocks - done - n
        given = _slice(timeline, held, frame, first, n)
        last = done + n == blocks
        before = side if forward else past if last else Latents()
        after = (future if last else Latents()) if forward else side
        gap = Gap(anchor, frame + first * timeline.stride, n, before, after, *given)
        made.append(fill(timeline, gap, prompt, seed, sampling))
        side = _joined(side, made[-1]) if forward else _joined(made[-1], side)
        video = side.video[:, :, : timeline.context]
        if forward:
            video = recent(timeline, side.video[:, :, :1], side.video)
        side = side._replace(video=video)
        done, seed = done + n, seed + SEED_STEP
    return made if forward else made[::-1]


def _joined(one: Latents, other: Latents) -> Latents:
    """Concatenate latents in time; either may lack a modality."""

    def join(*parts: Any) -> Any:
        present = [part for part in parts if part is not None]
        return torch.cat(present, 2) if present else None

    return Latents(*(join(*each) for each in zip(one, other, strict=True)))


def _held(
    timeline: Timeline, anchor: Tensor, before: Clip | None, inside: Inside | None, blocks: int, frame: int
) -> _Held:
    """What of a gap is given."""
    if inside is None:
        return _Held()
    frames, wave = _both(inside.clip)
    video = audio = None
    if inside.keep_video:
        length = blocks * timeline.stride
        shown = torch.cat([frames, frames[:, -1:].expand(-1, length - frames.shape[1], -1, -1)], 1)
        if before is not None:
            context = _both(before)[0][:, -timeline.context * timeline.stride :]
            shown = torch.cat([context, shown], 1)
        missing = -shown.shape[1] % timeline.stride
        shown = torch.cat([anchor, shown[:, :1].expand(-1, missing, -1, -1), shown], 1)
        video = timeline.models.encode_video(shown)[:, :, -blocks:]
    if inside.keep_audio:
        wave = wave if before is None else torch.cat([_both(before)[1], wave], 1)
        first, last = (timeline.audio_at(at) for at in (frame, frame + blocks * timeline.stride))
        audio = encode_span(timeline, wave, first, last)
    return _Held(video, inside.region, audio)


def _slice(timeline: Timeline, held: _Held, frame: int, first: int, blocks: int) -> _Held:
    """The part of what is given from block `first` of the gap on."""
    video, region, audio = held
    at = [timeline.audio_at(frame + k * timeline.stride) for k in (0, first, first + blocks)]
    return _Held(
        None if video is None else video[:, :, first : first + blocks],
        region,
        None if audio is None else audio[..., at[1] - at[0] : at[2] - at[0]],
    )


def _decode(
    timeline: Timeline, anchor: Tensor, past: Latents, made: list[Latents], future: Latents, frame: int
) -> tuple[Tensor, Tensor, int]:
    """A gap's frames and wave, with what is given beside it; the number of frames before the gap.

    The wave begins at the first of these frames, or at the clip's own beginning where that is later.
    """
    parts = [part for part in (past, *made, future) if part.video is not None]
    blocks = [part.video for part in parts]
    frames = torch.cat([*decode_video(timeline, anchor, anchor[:, :, :0], iter(blocks))], 1)
    offset = 0 if past.video is None else past.video.shape[2] * timeline.stride
    audio = torch.cat([part.audio for part in parts], 2)
    known = 0 if past.audio is None else past.audio.shape[2]
    hop = timeline.trained.hop
    latents: Iterator[Tensor] = iter([audio])
    total = audio.shape[2] * hop
    wave = torch.cat([*decode_audio(timeline.models, latents, timeline.trained, total, audio.shape[2])], 1)
    first = timeline.samples_at(max(0, frame - offset))
    return frames, wave[:, first - (timeline.audio_at(frame) - known) * hop :], offset


def _pasted(
    timeline: Timeline,
    made: Tensor,
    wave: Tensor,
    first: int,
    frame: int,
    count: int,
    before: Clip | None,
    after: Clip | None,
    inside: Inside | None,
) -> Clip:
    """The `count` frames of a gap and their samples, matched to what is given beside them.

    The gap begins at frame `first` of `made`, which is frame `frame` of the timeline.
    """
    last, rate, sample_rate = first + count, timeline.rate, timeline.trained.clip.sample_rate
    start = timeline.samples_at(max(0, frame - first))
    begin, end = (timeline.samples_at(at) - start for at in (frame, frame + count))
    given, heard = made.clone(), wave.clone()
    if before is not None:
        frames, sound = _both(before)
        shown = frames[:, -min(first, frames.shape[1]) :]
        given[:, first - shown.shape[1] : first] = shown
        heard[:, :begin] = sound[:, sound.shape[1] - begin :]
    if after is not None:
        frames, sound = _both(after)
        shown, sound = frames[:, : given.shape[1] - last], sound[:, : max(0, heard.shape[1] - end)]
        given[:, last : last + shown.shape[1]] = shown
        heard[:, end : end + sound.shape[1]] = sound
    if before is None:  # there is no seam
        made, given, last, first = made[:, first:], given[:, first:], count, 0
        wave, heard, end, begin = wave[:, begin:], heard[:, begin:], end - begin, 0
    if after is None:
        made, given, wave, heard = made[:, :last], given[:, :last], wave[:, :end], heard[:, :end]
    if inside is None or not inside.keep_video or inside.region is not None:
        frames = paste_frames(made, given, first, last, rate)[:, first:last]
    else:
        frames = _both(inside.clip)[0][:, :count]
    if inside is None or not inside.keep_audio:
        sound = paste_wave(wave, heard, begin, min(end, wave.shape[1]), sample_rate)[:, begin:end]
    else:
        sound = _both(inside.clip)[1]
    return Clip.fitted(frames, sound, rate, sample_rate)
