"""Clips of any length in windows that share one anchor frame, and whose latents are never encoded again.

Video latents of a window are coded relative to its first frame. All windows of a clip have the same first
frame, the anchor, which need not be shown (a frame sink, 2509.22622): latents of one window are then valid in
the next one, and a codec that sharpens a little does not sharpen what it has sharpened before.

A timeline counts frames. After the anchor, each video latent covers a block of `time_stride` frames. The
audio of a window begins one frame before its first block, because frame 0 of a window is the anchor.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from avsim.clip import LatentSpec, samples_of
from avsim.devices import autocast_if_faster
from avsim.diffusion import Latents, Task
from avsim.errors import InputError
from avsim.simulator.models import Models, Sampling
from avsim.simulator.sizes import check_trained

CONTEXT = 3 / 8  # share of a window's blocks that are given from the window before
NOISE = 0.05  # noise level of the latents that a window takes from the one before
MARGIN = 6  # additional video latents before those that are decoded, as context of the decoder


@dataclass(frozen=True)
class Timeline:
    """Positions of blocks of frames and of audio latents; frames are counted from 0.

    Raises:
        InputError: a generator of clips that are too short for a window.
    """

    models: Models
    trained: LatentSpec  # of a training clip, at the size that is generated

    def __post_init__(self) -> None:
        if self.blocks < 2:
            raise InputError(
                f"{self.models.source}: its clips of {self.trained.clip.frames} frames are too short for "
                "windows"
            )

    @classmethod
    def of(cls, models: Models, size: tuple[int, int] | None) -> Timeline:
        """The timeline of a model's clips.

        Raises:
            InputError: a size that the model was not trained on.
        """
        check_trained(models, size, "what is generated in windows")
        return cls(models, models.latent_spec(models.spec.seconds, size))

    @property
    def stride(self) -> int:
        """The number of frames of a block."""
        return self.trained.time_stride

    @property
    def rate(self) -> float:
        """Frames per second."""
        return self.trained.clip.frames_per_second

    @property
    def blocks(self) -> int:
        """The largest number of blocks of a window, without the anchor."""
        return self.trained.video[0] - 1

    @property
    def context(self) -> int:
        """The largest number of blocks that a window takes from the one before."""
        return max(1, min(self.blocks - 1, round(CONTEXT * self.blocks)))

    def window(self, blocks: int) -> LatentSpec:
        """The spec of a window with the anchor and this number of blocks."""
        seconds = (1 + self.stride * blocks) / self.rate
        return replace(self.trained, clip=replace(self.trained.clip, seconds=seconds))

    def audio_at(self, frame: int) -> int:
        """The number of the audio latent that begins nearest to a frame."""
        return round(frame * self.trained.clip.sample_rate / (self.rate * self.trained.hop))

    def samples_at(self, frame: int) -> int:
        """The number of samples before a frame."""
        return samples_of(frame, self.rate, self.trained.clip.sample_rate)


@dataclass(frozen=True, eq=False)
class Gap:
    """Blocks of a window that are generated, between latents that are given.

    Shapes: anchor (1, Dv, 1, h, w); before and after video (1, Dv, n, h, w), audio (1, Da, m) up to the gap
    and from its end on; video (1, Dv, blocks, h, w) and audio (1, Da, m) of the gap itself, where they are
    given; region (h, w) bool.
    """

    anchor: Tensor
    frame: int  # of the timeline, at which it begins
    blocks: int
    before: Latents = Latents()
    after: Latents = Latents()
    video: Tensor | None = None  # given video of the gap, of which `region` alone is generated
    region: Tensor | None = None  # None: nothing of the video
    audio: Tensor | None = None  # given audio of the gap


def fill(
    timeline: Timeline, gap: Gap, prompt: str, seed: int, sampling: Sampling, noise: float = NOISE
) -> Latents:
    """Generate the latents of a gap: video (1, Dv, blocks, h, w), audio (1, Da, m).

    What is given before and after is noised to the level `noise`: its errors are then corrected, not copied.
    """
    c, d = (0 if side.video is None else side.video.shape[2] for side in (gap.before, gap.after))
    begin, end = 1 + c, 1 + c + gap.blocks
    spec = timeline.window(c + gap.blocks + d)
    origin = timeline.audio_at(gap.frame - c * timeline.stride - 1)
    first, last = (
        timeline.audio_at(frame) - origin for frame in (gap.frame, gap.frame + gap.blocks * timeline.stride)
    )
    video, video_levels = _canvas(gap.anchor, spec.video[0], 2)
    audio, audio_levels = _canvas(_any_audio(timeline, gap), spec.audio, 2)
    _place(video, video_levels, gap.anchor, 0, 0.0)
    _place(video, video_levels, gap.before.video, begin - c, noise)
    _place(video, video_levels, gap.after.video, end, noise)
    video_levels = video_levels[:, None, None].repeat(1, *spec.video[1:])
    if gap.video is not None:
        video[:, :, begin:end] = gap.video
        video_levels[begin:end] = 0.0 if gap.region is None else gap.region.float()
    if gap.before.audio is not None:
        known = min(first, gap.before.audio.shape[2])
        _place(audio, audio_levels, gap.before.audio[..., -known:], first - known, noise)
    if gap.after.audio is not None:
        _place(audio, audio_levels, gap.after.audio[..., : spec.audio - last], last, noise)
    if gap.audio is not None:
        _place(audio, audio_levels, gap.audio, first, 0.0)
    free = bool((video_levels == 1).any()), bool((audio_levels == 1).any())
    name = {(True, False): "visualize", (False, True): "foley"}.get(free, "extend")
    task = Task(name, lambda _: video_levels, lambda _: audio_levels)
    sampling = replace(sampling, num_candidates=1)
    made = timeline.models.sample_latents([prompt], spec, task, Latents(video, audio), seed, sampling)
    return Latents(made.video[:, :, begin:end], made.audio[..., first:last])


def _any_audio(timeline: Timeline, gap: Gap) -> Tensor:
    """Audio latents, for their channels, dtype and device."""
    return gap.anchor.new_zeros(1, timeline.models.audio_codec.channels, 1)


def _canvas(like: Tensor, length: int, axis: int) -> tuple[Tensor, Tensor]:
    """Zeros as `like`, but `length` long, and levels (length,) of pure noise."""
    shape = [*like.shape]
    shape[axis] = length
    return like.new_zeros(shape), torch.ones(length)


def _place(canvas: Tensor, levels: Tensor, latents: Tensor | None, at: int, level: float) -> None:
    """Write latents to a canvas of this module, along axis 2."""
    if latents is not None:
        canvas[:, :, at : at + latents.shape[2]] = latents.to(canvas)
        levels[at : at + latents.shape[2]] = level


@dataclass(frozen=True, eq=False)
class Past:
    """The end of the clip so far: the anchor, and the latents that the next window takes.

    Shapes: anchor (1, Dv, 1, h, w), latents as of `Gap.before`; frame: at which the past ends.
    """

    anchor: Tensor
    latents: Latents
    frame: int


def recent(timeline: Timeline, first: Tensor, video: Tensor) -> Tensor:
    """The blocks that the next window takes: the latest, and the first of the clip, which is a sink, too.

    Without the first one, small changes would accumulate from window to window.
    """
    count = timeline.context
    if count < 2 or video.shape[2] <= count:
        return video[:, :, -count:]
    return torch.cat([first, video[:, :, 1 - count :]], 2)


def kept(timeline: Timeline, before: Latents, made: Latents, frame: int) -> Latents:
    """The context of the window that begins at `frame`, after `before` and `made`."""
    blocks = timeline.context
    audio = timeline.audio_at(frame) - timeline.audio_at(frame - blocks * timeline.stride - 1)
    whole = Latents(*(torch.cat([*each], 2) for each in zip(before, made, strict=True)))
    return Latents(recent(timeline, whole.video[:, :, :1], whole.video), whole.audio[..., -audio:])


def past_of(timeline: Timeline, frames: Tensor, wave: Tensor) -> tuple[Past, Tensor]:
    """A clip (3, T, H, W), (A, N) at the timeline's rates as a `Past`, and the anchor's frame.

    The clip's frame 0 is the timeline's. The anchor is the frame before the context.
    """
    total, stride = frames.shape[1], timeline.stride
    blocks = min(timeline.context, max(1, total // stride))
    shown = frames[:, -(1 + blocks * stride) :]
    missing = 1 + blocks * stride - shown.shape[1]
    shown = torch.cat([shown[:, :1].expand(-1, missing, -1, -1), shown], 1)
    video = timeline.models.encode_video(shown)
    first, last = (max(0, timeline.audio_at(frame)) for frame in (total - blocks * stride - 1, total))
    audio = encode_span(timeline, wave, first, last)
    return Past(video[:, :, :1], Latents(video[:, :, 1:], audio), total), shown[:, :1]


def future_of(timeline: Timeline, frames: Tensor, wave: Tensor, anchor: Tensor, blocks: int) -> Latents:
    """Latents of the first `blocks` of a clip as they follow an anchor frame (3, 1, H, W)."""
    blocks = max(1, min(blocks, frames.shape[1] // timeline.stride))
    shown = frames[:, : blocks * timeline.stride]
    missing = blocks * timeline.stride - shown.shape[1]
    held = shown[:, :1].expand(-1, timeline.stride * MARGIN, -1, -1)  # for frames not yet generated
    last = shown[:, -1:].expand(-1, missing, -1, -1)
    video = timeline.models.encode_video(torch.cat([anchor, held, shown, last], 1))[:, :, 1 + MARGIN :]
    audio = min(timeline.audio_at(blocks * timeline.stride), max(1, wave.shape[1] // timeline.trained.hop))
    return Latents(video, encode_span(timeline, wave, 0, audio))


def encode_span(timeline: Timeline, wave: Tensor, first: int, last: int) -> Tensor:
    """Latents `first` to `last` of a wave (A, N), (1, Da, last - first); beyond its ends it is mirrored.

    With silence there, the codec would encode an end of the sound.
    """
    hop = timeline.trained.hop
    begin, end = (first - MARGIN) * hop, (last + MARGIN) * hop
    span = wave[:, max(0, begin) : max(0, end)]
    left, right = max(0, -begin), max(0, end - wave.shape[1])
    while left or right:  # a reflection is at most as long as what it reflects
        most = span.shape[1] - 1
        if most < 1:
            span = F.pad(span, (left, right))
            break
        span = F.pad(span, (min(left, most), min(right, most)), mode="reflect")
        left, right = max(0, left - most), max(0, right - most)
    latents = timeline.models.encode_audio(span)
    return latents[..., MARGIN : MARGIN + last - first]


@torch.no_grad()
def decode_blocks(timeline: Timeline, anchor: Tensor, before: Tensor, video: Tensor) -> Tensor:
    """Frames (3, n stride, H, W) of the blocks `video`, which follow the blocks `before`."""
    count = video.shape[2] * timeline.stride
    z = torch.cat([anchor, before[:, :, max(0, before.shape[2] - MARGIN) :], video], 2)
    spec = timeline.window(z.shape[2] - 1).clip
    with autocast_if_faster(timeline.models.device):
        frames = timeline.models.video_codec.decode(z, spec)
    return frames[0, :, -count:].float().cpu()


def decode_video(
    timeline: Timeline, anchor: Tensor, before: Tensor, blocks: Iterator[Tensor]
) -> Iterator[Tensor]:
    """Frames (3, n, H, W) of a stream of blocks (1, Dv, n, h, w)."""
    for video in blocks:
        yield decode_blocks(timeline, anchor, before, video)
        before = torch.cat([before, video], 2)[:, :, -MARGIN:]


def shared_out(blocks: int, most: int) -> list[int]:
    """How many of `blocks` each window generates: at most `most`, as evenly as possible."""
    count = math.ceil(blocks / max(1, most))
    return [blocks * (k + 1) // count - blocks * k // count for k in range(count)]
