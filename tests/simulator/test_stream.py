"""Clips of any length in constant memory, storyboards, frames that are given at some times."""

from dataclasses import replace

import pytest
import torch

import avsim
from avsim.clip import Clip
from avsim.diffusion import Latents
from avsim.errors import InputError
from avsim.simulator import Condition, Shot
from avsim.simulator.models import Models
from tests.simulator.test_joining import HOW, SIZE, clip_of

SHOTS = [Shot("a ball falls", 1.4), Shot("a bell is struck", 0.6), Shot("a violin plays", 1.0)]


def joined(pieces) -> Clip:
    pieces = [*pieces]
    for piece in pieces:
        assert piece.wave.shape[1] == 2000 * piece.frames.shape[1]
    frames, wave = (torch.cat([getattr(each, name) for each in pieces], 1) for name in ("frames", "wave"))
    return Clip(frames, wave, pieces[0].frames_per_second, pieces[0].sample_rate)


@pytest.mark.parametrize("seconds", [0.1, 1.0, 1.2, 2.9, 5.0])
def test_a_stream_is_as_long_as_it_should_be(simulator, seconds):
    clip = joined(simulator.stream("a", seconds, **HOW))
    assert clip.frames.shape == (3, -int(-seconds * 8 // 1), *SIZE)
    assert torch.isfinite(clip.frames).all() and clip.wave.abs().max() > 0


def test_a_long_clip_is_the_stream_of_its_prompt(simulator):
    long = simulator.generate("a", 3.0, seed=4, **HOW)
    streamed = joined(simulator.stream("a", 3.0, seed=4, **HOW))
    assert torch.equal(long.frames, streamed.frames) and torch.equal(long.wave, streamed.wave)
    longer = simulator.generate("a", 5.0, seed=4, **HOW)  # begins with the same windows
    assert torch.equal(longer.frames[:, :17], long.frames[:, :17])
    assert not torch.equal(long.frames, simulator.generate("a", 3.0, seed=5, **HOW).frames)


def test_memory_does_not_grow_with_the_length(simulator, monkeypatch):
    windows, decoded = [], []
    sample, decode = Models.sample_latents, type(simulator.video_codec).decode

    def noted(self, *rest):
        windows.append(rest[1].video[0])
        return sample(self, *rest)

    def seen(self, z, spec):
        decoded.append(z.shape[2])
        return decode(self, z, spec)

    monkeypatch.setattr(Models, "sample_latents", noted)
    monkeypatch.setattr(type(simulator.video_codec), "decode", seen)
    ahead = []
    for taken, _ in enumerate(simulator.stream("a", 12.0, steps=1)):
        ahead.append(len(windows) - taken)
    assert len(windows) > 20 and max(ahead) <= 8  # windows whose audio is not complete yet
    assert max(windows) <= 3 and max(decoded) <= 1 + 6 + 2


def test_every_window_is_given_the_anchor_the_first_block_and_the_latest_one(simulator, monkeypatch):
    given, made = [], []
    sample = Models.sample_latents

    def noted(self, prompts, spec, task, latents, *rest):
        given.append(latents.video)
        made.append(sample(self, prompts, spec, task, latents, *rest).video)
        return Latents(made[-1], sample(self, prompts, spec, task, latents, *rest).audio)

    monkeypatch.setattr(Models, "sample_latents", noted)
    longer = replace(simulator, spec=replace(simulator.spec, seconds=3.0))  # windows of 6 blocks, 2 given
    list(longer.stream("a", 9.0, steps=1))
    anchor, first, latest = made[0][:, :, 0], made[0][:, :, 1], made[0][:, :, -1]
    assert len(given) > 3
    for window, after in zip(given[1:], made[1:], strict=True):
        assert torch.equal(window[:, :, 0], anchor) and torch.equal(window[:, :, 1], first)
        assert torch.equal(window[:, :, 2], latest)
        latest = after[:, :, -1]


@pytest.mark.parametrize("lengths", [(0.5, 1.0), (1.5, 0.5, 1.0), (0.6, 0.6, 0.6, 0.6), (2.6, 1.0)])
def test_a_continuous_shot_begins_at_the_block_that_is_nearest_to_it(simulator, monkeypatch, lengths):
    begun, fill = {}, avsim.simulator.stream.fill

    def noted(timeline, gap, prompt, *rest):
        begun.setdefault(prompt, gap.frame)
        return fill(timeline, gap, prompt, *rest)

    monkeypatch.setattr(avsim.simulator.stream, "fill", noted)
    longer = replace(simulator, spec=replace(simulator.spec, seconds=2.0))  # windows of 4 blocks
    shots = [Shot(f"prompt {number}", seconds) for number, seconds in enumerate(lengths)]
    clip = longer.storyboard(shots, "continuous", **HOW)
    frames = [-int(-8 * seconds // 1) for seconds in lengths]
    assert clip.frames.shape[1] == sum(frames)
    for number in range(1, len(shots)):
        assert abs(begun[f"prompt {number}"] - sum(frames[:number])) <= 2  # half a block


def test_shots_have_their_lengths_and_prompts(simulator, monkeypatch):
    prompts = []
    sample = Models.sample_latents

    def noted(self, captions, spec, task, *rest):
        prompts.append((captions[0], task.given(spec)))
        return sample(self, captions, spec, task, *rest)

    monkeypatch.setattr(Models, "sample_latents", noted)
    for transition, cuts in (("cut", 2), ("continuous", 0)):
        prompts.clear()
        clip = simulator.storyboard(SHOTS, transition, seed=1, **HOW)
        assert clip.frames.shape[1] == 12 + 5 + 8 and clip.wave.shape[1] == 50000
        told = [prompt for prompt, _ in prompts]
        assert [*dict.fromkeys(told)] == [shot.prompt for shot in SHOTS]
        # At a cut nothing of the video is given, but audio is.
        new = [levels for _, levels in prompts[1:] if bool((levels.video == 1).all())]
        assert len(new) == cuts and all(bool((levels.audio == 0).any()) for levels in new)


def test_audio_goes_on_across_a_cut(simulator, monkeypatch):
    given, made = [], []
    sample = Models.sample_latents

    def noted(self, captions, spec, task, latents, *rest):
        given.append((task.given(spec), latents))
        made.append(sample(self, captions, spec, task, latents, *rest))
        return made[-1]

    monkeypatch.setattr(Models, "sample_latents", noted)
    simulator.storyboard([Shot("a", 9 / 8), Shot("b", 0.5)], "cut", **HOW)  # a window of 9 frames, a cut
    levels, latents = given[1]
    known = int((levels.audio == 0).sum())
    assert known == 20  # a frame and a block of 4, at 32 latents a second
    assert torch.equal(latents.audio[..., :known], made[0].audio[..., 36 - known : 36])


@pytest.mark.parametrize(
    ("shots", "transition", "message"),
    [
        ([], "cut", "without shots"),
        ([Shot("a", 1.0), Shot("b", 0.0)], "cut", "shot 2 of 0 s"),
        ([Shot("a", float("nan"))], "cut", "shot 1 of nan s"),
        ([Shot("a", 1.0)], "fade", "transition 'fade': expected cut or continuous"),
        ([Shot("a", 1e7)], "cut", "more than 268,435,456 pixels"),
    ],
)
def test_storyboards_that_cannot_be(simulator, shots, transition, message):
    with pytest.raises(InputError, match=message):
        simulator.storyboard(shots, transition, **HOW)


def test_given_frames_are_in_the_clip_where_they_were_put(simulator):
    assert avsim.Condition is Condition and avsim.Shot is Shot
    first, last = clip_of(1, 1).frames, clip_of(2, 2).frames
    clip = simulator.generate("a", conditions=[Condition(first), Condition(last, 1.0)], **HOW)
    assert clip.frames.shape == (3, 8, *SIZE) and clip.wave.shape == (2, 16000)
    assert torch.equal(clip.frames[:, :1], first) and torch.equal(clip.frames[:, 6:], last)
    middle = simulator.generate("a", 1.2, conditions=[Condition(first, 0.5)], **HOW)
    assert middle.frames.shape[1] == 10 and torch.equal(middle.frames[:, 4:5], first)
    other = simulator.generate("b", 1.2, seed=1, conditions=[Condition(first, 0.5)], **HOW)
    assert not torch.equal(other.frames[:, 9], middle.frames[:, 9])
    large = simulator.generate("a", conditions=[Condition(torch.rand(3, 1, 100, 90))], **HOW)
    assert large.frames.shape == (3, 8, *SIZE)


def test_weaker_conditions_start_from_noisier_latents(simulator, monkeypatch):
    levels = []
    sample = Models.sample_latents

    def noted(self, captions, spec, task, *rest):
        levels.append(task.given(spec).video.amax((1, 2)).tolist())
        return sample(self, captions, spec, task, *rest)

    monkeypatch.setattr(Models, "sample_latents", noted)
    frames = clip_of(1).frames
    clip = simulator.generate("a", conditions=[Condition(frames), Condition(frames, 0.9, 0.25)], **HOW)
    assert levels == [[0.0, 1.0, 0.75]]
    assert not torch.equal(clip.frames[:, 7:8], frames)
    simulator.generate("a", conditions=[Condition(frames, 0.0, 0.25)], **HOW)
    assert levels[1] == [0.0, 0.75, 1.0]  # an anchor that is not shown, the block it touches


@pytest.mark.parametrize(
    ("condition", "how", "message"),
    [
        (Condition(torch.rand(3, 1, 8, 8), 1.5), {}, "frames given at 1.5 s: outside the clip"),
        (Condition(torch.rand(3, 1, 8, 8), -0.1), {}, "outside the clip"),
        (Condition(torch.rand(3, 1, 8, 8), 0.0, 0.0), {}, "strength is 0"),
        (Condition(torch.rand(1, 8, 8)), {}, "expected float"),
        (Condition(torch.rand(3, 1, 8, 8)), {"seconds": 9.0}, "expected at most 1.5 s"),
    ],
)
def test_conditions_that_cannot_be(simulator, condition, how, message):
    with pytest.raises(InputError, match=message):
        simulator.generate("a", conditions=[condition], **how, **HOW)
