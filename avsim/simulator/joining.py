"""Continue, loop and connect given clips, and regenerate parts of them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from avsim.clip import Clip, Region
from avsim.errors import InputError
from avsim.simulator.gaps import Inside, fill_gap
from avsim.simulator.models import Models, Sampling
from avsim.simulator.presence import unseen_onsets
from avsim.simulator.prompts import warn_once
from avsim.simulator.resize import frames_for, frames_over, wave_for
from avsim.simulator.windows import Timeline

LOOP_SECONDS = 1.0  # default length of a loop's end, which leads back to its beginning
MAX_GAIN = 10 ** (2.5 / 20)  # largest ratio of an extension's RMS to the clip's: 3 dB less what a seam adds
FAINT = 1e-3  # RMS of audio that counts as silent
SAME_SCENE = 0.1  # mean difference of two frames above which their clips are joined by a dissolve
BESIDE = 1.0  # seconds of given clips beside a gap that the detectors receive
AUDIO_SEED_STEP = 7_000_003  # between the seeds of a gap's audio, as `soundtrack.SEED_STEP`
AUDIO_CANDIDATES = 4  # of a gap's audio, until no onset at its seams is without an event
FEATHER = 2  # pixels inside the edge of a region over which given and generated pixels are mixed


def own_clip(timeline: Timeline, clip: Clip, what: str) -> Clip:
    """A clip at the rates, size and channels of the model; a conversion is logged.

    Raises:
        InputError: a clip without video or audio; `what` names it.
    """
    if clip.frames is None or clip.wave is None:
        missing = "video" if clip.frames is None else "audio"
        raise InputError(f"{what} needs a clip with both video and audio; its {missing} is missing")
    spec = replace(timeline.trained.clip, seconds=clip.seconds)
    own = Clip.fitted(frames_for(clip, spec), wave_for(clip, spec), spec.frames_per_second, spec.sample_rate)
    if replace(clip.spec, seconds=own.seconds) != own.spec:
        warn_once(f"{what}: {_form(clip)} is converted to the model's {_form(own)}")
    return own


def _form(clip: Clip) -> str:
    spec = clip.spec
    kind = {1: "mono", 2: "stereo"}.get(spec.channels, f"{spec.channels} channels")
    return f"{spec.width} x {spec.height} at {spec.frames_per_second:g} fps, {spec.sample_rate:g} Hz {kind}"


def gap_frames(timeline: Timeline, seconds: float, what: str) -> int:
    """A gap's length in frames.

    Raises:
        InputError: less than a frame, not a number, or more than memory holds.
    """
    if not (math.isfinite(seconds) and seconds * timeline.rate >= 1 - 1e-6):
        raise InputError(f"{what} {seconds:g} s: expected a frame or more, {1 / timeline.rate:g} s")
    timeline.models.check_pixels(seconds, timeline.trained.clip.size)
    return frames_over(seconds, timeline.rate)


def in_order(clips: Sequence[Clip]) -> Clip:
    """Concatenate clips of the same rates and size."""
    frames = torch.cat([clip.frames for clip in clips], 1)  # type: ignore[misc]
    wave = torch.cat([clip.wave for clip in clips], 1)  # type: ignore[misc]
    return Clip.fitted(frames, wave, clips[0].frames_per_second, clips[0].sample_rate)


def filled(
    timeline: Timeline,
    before: Clip | None,
    after: Clip | None,
    frames: int,
    prompt: str,
    seed: int,
    sampling: Sampling,
    inside: Inside | None = None,
) -> Clip:
    """`fill_gap`, whose audio is generated again while an onset is heard at a seam and nothing is seen there.

    The video stays. Of `AUDIO_CANDIDATES` the first with the fewest such seams is returned; without detectors
    there is one candidate.
    """
    gap = fill_gap(timeline, before, after, frames, prompt, seed, sampling, inside)
    if (before is None and after is None) or (inside is not None and inside.keep_audio):
        return gap
    best, fewest = gap, _unseen(timeline, before, gap, after)
    for number in range(1, AUDIO_CANDIDATES):
        if not fewest:
            break
        again = Inside(gap, keep_video=True)
        other = seed + number * AUDIO_SEED_STEP
        made = fill_gap(timeline, before, after, frames, prompt, other, sampling, again)
        if (unseen := _unseen(timeline, before, made, after)) < fewest:
            best, fewest = made, unseen
    return best


def _unseen(timeline: Timeline, before: Clip | None, gap: Clip, after: Clip | None) -> int:
    """At how many ends of a gap an onset is heard and no event is seen; 0 without detectors."""
    video_detector, audio_detector = timeline.models.video_detector, timeline.models.audio_detector
    if video_detector is None or audio_detector is None:
        return 0
    most = round(BESIDE * timeline.rate)
    parts, seams = [gap], []
    if before is not None:
        total = before.spec.frames
        parts.insert(0, _part(timeline, before, max(0, total - most), total))
        seams.append(parts[0].seconds)
    if after is not None:
        seams.append(sum(part.seconds for part in parts))
        parts.append(_part(timeline, after, 0, min(most, after.spec.frames)))
    return unseen_onsets(in_order(parts), seams, video_detector, audio_detector)


def extended(
    models: Models,
    clip: Clip,
    prompt: str,
    seconds: float | None,
    backward: bool,
    out_of_distribution: bool,
    seed: int,
    sampling: Sampling,
) -> Clip:
    """`Simulator.extend`; `out_of_distribution`: the clip looks unlike the training clips."""
    timeline = Timeline.of(models, sampling.size)
    own = own_clip(timeline, clip, "extend")
    count = gap_frames(timeline, models.spec.seconds if seconds is None else seconds, "extend by")
    before, after = (None, own) if backward else (own, None)
    new = filled(timeline, before, after, count, prompt, seed, sampling)
    assert own.wave is not None and new.wave is not None
    limit = _loudest(own.wave, prompt, out_of_distribution)
    gain = min(1.0, limit / max(float(new.wave.square().mean().sqrt()), 1e-9))
    new = replace(new, wave=gain * new.wave)
    return in_order([new, own] if backward else [own, new])


def _loudest(wave: Tensor, prompt: str, out_of_distribution: bool) -> float:
    """The largest RMS that an extension of the audio `wave` may have."""
    rms = float(wave.square().mean().sqrt())
    loud = re.search(r"\b(loud|hard)", prompt.lower()) if out_of_distribution else prompt
    if loud or (rms < FAINT and not out_of_distribution):  # a silent clip may begin to sound
        return math.inf
    return max(rms, FAINT) * MAX_GAIN


def connected(
    models: Models, one: Clip, other: Clip, seconds: float, prompt: str, seed: int, sampling: Sampling
) -> Clip:
    """`Simulator.connect`."""
    timeline = Timeline.of(models, sampling.size)
    first, last = (own_clip(timeline, clip, "connect") for clip in (one, other))
    count = gap_frames(timeline, seconds, "connect over")
    assert first.frames is not None and last.frames is not None
    if (first.frames[:, -1] - last.frames[:, 0]).abs().mean() <= SAME_SCENE:
        gap = filled(timeline, first, last, count, prompt, seed, sampling)
    else:
        on = filled(timeline, first, None, count, prompt, seed, sampling)
        back = filled(timeline, None, last, count, prompt, seed, sampling)
        gap = cross_faded(on, back)
    return in_order([first, gap, last])


def cross_faded(one: Clip, other: Clip) -> Clip:
    """One clip that fades into another of the same length; waves with equal power."""
    assert one.frames is not None and other.frames is not None
    assert one.wave is not None and other.wave is not None
    count, samples = one.frames.shape[1], one.wave.shape[1]
    share = (torch.arange(1, count + 1)[:, None, None] / (count + 1) * math.pi / 2).sin().square()
    angle = torch.linspace(0, math.pi / 2, samples)
    wave = (one.wave * angle.cos() + other.wave * angle.sin()).clamp(-1, 1)
    return replace(one, frames=one.frames.lerp(other.frames, share), wave=wave)


def looped(
    models: Models, clip: Clip, seconds: float | None, prompt: str, seed: int, sampling: Sampling
) -> Clip:
    """`Simulator.loop` of a clip.

    Raises:
        InputError: a clip without video or audio, or a loop that is not longer than the clip.
    """
    timeline = Timeline.of(models, sampling.size)
    own = own_clip(timeline, clip, "loop")
    seconds = own.seconds + LOOP_SECONDS if seconds is None else seconds
    count = round((seconds - own.seconds) * timeline.rate) if math.isfinite(seconds) else 0
    if count < 1:
        raise InputError(
            f"a loop of {seconds:g} s: must be longer than the clip that it leads back to, {own.seconds:g} s"
        )
    models.check_pixels(seconds, sampling.size)
    return in_order([own, filled(timeline, own, own, count, prompt, seed, sampling)])


def retaken(
    models: Models,
    clip: Clip,
    prompt: str,
    start_time: float,
    end_time: float,
    region: Region | None,
    regenerate_video: bool,
    regenerate_audio: bool,
    seed: int,
    sampling: Sampling,
) -> Clip:
    """`Simulator.retake`.

    Raises:
        InputError: a span outside the clip or empty, nothing to generate, a region of another size, a clip
            without video or audio.
    """
    if not (math.isfinite(start_time) and math.isfinite(end_time)) or start_time >= end_time:
        raise InputError(f"retake from {start_time:g} to {end_time:g} s: the start must be before the end")
    if start_time < 0 or end_time > clip.seconds + 1e-3:
        raise InputError(
            f"retake from {start_time:g} to {end_time:g} s: outside the clip, which lasts {clip.seconds:g} s"
        )
    if not (regenerate_video or regenerate_audio):
        raise InputError("retake: neither video nor audio is to be generated; choose at least one")
    if region is not None and not regenerate_video:
        raise InputError("retake: a region is of the video, which is not to be generated")
    timeline = Timeline.of(models, sampling.size)
    own = own_clip(timeline, clip, "retake")
    assert own.frames is not None and own.wave is not None
    rate, total = timeline.rate, own.frames.shape[1]
    first = min(total - 1, math.floor(start_time * rate + 1e-6))
    last = min(total, max(first + 1, math.ceil(end_time * rate - 1e-6)))
    span = _part(timeline, own, first, last)
    before = None if first == 0 else _part(timeline, own, 0, first)
    after = None if last == total else _part(timeline, own, last, total)
    assert span.frames is not None
    mask = None if region is None else region_mask(region, clip, own, first, last)
    cells = None if mask is None else _cells(mask, timeline.trained.space_stride)
    inside = None
    if region is not None or not regenerate_video or not regenerate_audio:
        inside = Inside(span, not regenerate_video or region is not None, not regenerate_audio, cells)
    if inside is None and before is None and after is None:  # nothing is kept
        inside = Inside(span)
    gap = filled(timeline, before, after, last - first, prompt, seed, sampling, inside)
    if mask is not None:
        assert gap.frames is not None
        share = _feathered(mask)  # (1, n, H, W)
        gap = replace(gap, frames=torch.where(share > 0, span.frames.lerp(gap.frames, share), span.frames))
    return in_order([part for part in (before, gap, after) if part is not None])


def _part(timeline: Timeline, clip: Clip, first: int, last: int) -> Clip:
    """Frames `first` to `last` and their samples."""
    assert clip.frames is not None and clip.wave is not None
    begin, end = timeline.samples_at(first), timeline.samples_at(last)
    return Clip.fitted(clip.frames[:, first:last], clip.wave[:, begin:end], timeline.rate, clip.sample_rate)


def region_mask(region: Region, clip: Clip, own: Clip, first: int, last: int) -> Tensor:
    """Which pixels of `own` from frame `first` to `last` a region of `clip` has, (n, H, W) bool.

    Raises:
        InputError: a region of another size, or with another number of frames, than the clip.
    """
    assert clip.frames is not None and own.frames is not None
    moving = region.mask.ndim == 3
    mask = region.mask if moving else region.mask[None]
    if tuple(mask.shape[1:]) != tuple(clip.frames.shape[2:]) or (
        moving and len(mask) != clip.frames.shape[1]
    ):
        raise InputError(
            f"region {region.name!r} is {tuple(region.mask.shape)}; the clip's frames are "
            f"{tuple(clip.frames.shape[1:])}"
        )
    if not moving:
        mask = mask.expand(clip.frames.shape[1], -1, -1)
    shown = frames_for(Clip(mask[None].expand(3, -1, -1, -1).float(), None, clip.frames_per_second), own.spec)
    return shown[0, first:last] > 0.5


def _cells(mask: Tensor, stride: int) -> Tensor:
    """The cells of latents that a mask (n, H, W) touches in any frame, (h, w) bool."""
    whole = mask.any(0)[None, None].float()
    return F.max_pool2d(whole, stride, stride, ceil_mode=True)[0, 0] > 0


def _feathered(mask: Tensor) -> Tensor:
    """The share of generated pixels, (1, n, H, W): 0 outside the mask (n, H, W), 1 well inside it."""
    size = 2 * FEATHER + 1
    solid = F.pad(mask[None].float(), (FEATHER,) * 4, mode="replicate")
    return (2 * F.avg_pool2d(solid, size, 1) - 1).clamp(0, 1) * mask
