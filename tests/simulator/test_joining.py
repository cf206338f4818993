"""Extend, loop, connect, retake: what is given stays bit for bit, what is generated fits it."""

from dataclasses import replace

import pytest
import torch

from avsim.clip import Clip, Region
from avsim.errors import InputError
from avsim.simulator import joining
from avsim.simulator.models import Models
from avsim.simulator.prompts import warn_once
from avsim.simulator.seams import continued, paste_frames, paste_wave
from avsim.simulator.windows import Timeline, decode_blocks, decode_video, encode_span
from tests.small.models import SPEC

HOW = {"steps": 2}
SIZE = (SPEC["height"], SPEC["width"])


def clip_of(frames: int = 8, seed: int = 0, size: tuple[int, int] = SIZE, rate: float = 8.0) -> Clip:
    random = torch.Generator().manual_seed(seed)
    wave = 0.1 * torch.randn(2, round(frames * 16000 / rate), generator=random)
    return Clip(torch.rand(3, frames, *size, generator=random), wave, rate, 16000)


def part(clip: Clip, first: int, last: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Frames of a clip and their samples, 2000 each."""
    return clip.frames[:, first:last], clip.wave[:, 2000 * first : 2000 * last]


def assert_same(one: tuple[torch.Tensor, ...], other: tuple[torch.Tensor, ...]) -> None:
    assert all(torch.equal(*each) for each in zip(one, other, strict=True))


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("frames, seconds", [(2, 0.5), (8, 1.25), (13, 2.0)])
def test_an_extension_leaves_the_clip_as_it_is(simulator, frames, seconds, backward):
    clip, more = clip_of(frames), round(8 * seconds)
    longer = simulator.extend(clip, "a", seconds, seed=1, backward=backward, **HOW)
    assert longer.frames.shape[1] == frames + more and longer.wave.shape[1] == 2000 * (frames + more)
    at = more if backward else 0
    assert_same(part(longer, at, at + frames), part(clip, 0, frames))
    other = simulator.extend(clip, "a", seconds, seed=2, backward=backward, **HOW)
    new = (0, more) if backward else (frames, frames + more)
    assert not torch.equal(part(other, *new)[0], part(longer, *new)[0])
    again = simulator.extend(clip, "a", seconds, seed=1, backward=backward, **HOW)
    assert torch.equal(again.frames, longer.frames) and torch.equal(again.wave, longer.wave)


@pytest.mark.parametrize("backward", [False, True])
def test_latents_are_carried_from_window_to_window_and_encoded_once(simulator, monkeypatch, backward):
    given, made, encoded = [], [], []
    sample, encode = Models.sample_latents, Models.encode_video

    def noted(self, prompts, spec, task, latents, *rest):
        given.append((task.given(spec), latents, spec))
        made.append(sample(self, prompts, spec, task, latents, *rest))
        return made[-1]

    monkeypatch.setattr(Models, "sample_latents", noted)
    monkeypatch.setattr(Models, "encode_video", lambda self, x: encoded.append(x) or encode(self, x))
    simulator.extend(clip_of(8), "a", 1.5, backward=backward, **HOW)  # 3 blocks, of which a window has 2
    assert len(given) == 3 and len(encoded) <= 2
    for before, (levels, latents, spec) in zip(made, given[1:], strict=False):
        assert spec.video[0] == 3  # the anchor, a given block, a generated one
        known, free, source = (2, 1, 1) if backward else (1, 2, 2)
        assert levels.video[0].max() == 0 and levels.video[free].min() == 1
        assert 0 < levels.video[known].max() < 0.2  # slightly noised
        assert torch.equal(latents.video[:, :, 0], given[0][1].video[:, :, 0])  # the same anchor
        assert torch.equal(latents.video[:, :, known], before.video[:, :, source])


def test_decoding_in_blocks_is_decoding_at_once(float32, simulator):
    timeline = Timeline.of(simulator, None)
    with torch.no_grad():
        z = simulator.encode_video(torch.rand(3, 1 + 4 * 12, *SIZE))
        whole = decode_blocks(timeline, z[:, :, :1], z[:, :, :0], z[:, :, 1:])
        pieces = [*decode_video(timeline, z[:, :, :1], z[:, :, :0], iter(z[:, :, 1:].split(2, 2)))]
    torch.testing.assert_close(torch.cat(pieces, 1), whole, atol=1e-4, rtol=0)


def test_a_span_of_audio_has_the_latents_that_the_whole_has(float32, simulator):
    timeline, wave = Timeline.of(simulator, None), clip_of(16).wave
    whole = simulator.encode_audio(wave)
    torch.testing.assert_close(encode_span(timeline, wave, 20, 40), whole[..., 20:40], atol=0.3, rtol=0)
    assert encode_span(timeline, wave[:, :700], 0, 1).shape[2] == 1  # shorter than its mirrored margin
    assert encode_span(timeline, wave[:, :1], 0, 1).isfinite().all()


def test_a_loop_goes_back_to_its_beginning(simulator):
    clip = clip_of(8)
    loop = simulator.loop(clip, 1.5, "a", **HOW)
    assert loop.frames.shape[1] == 12 and loop.wave.shape[1] == 24000
    assert_same(part(loop, 0, 8), part(clip, 0, 8))
    assert simulator.loop(clip, **HOW).seconds == 2.0  # LOOP_SECONDS more
    for seconds in (0.5, 1.0, float("nan")):
        with pytest.raises(InputError, match="must be longer than the clip"):
            simulator.loop(clip, seconds, **HOW)
    made = simulator.loop("a ball falls", 1.5, **HOW)
    assert made.frames.shape == (3, 12, *SIZE) and made.wave.shape == (2, 24000)
    assert simulator.loop("a ball falls", **HOW).seconds == simulator.spec.seconds


def test_a_connection_keeps_both_clips(simulator):
    one, other = clip_of(8, 1), clip_of(6, 2)
    whole = simulator.connect(one, other, 0.75, "a", **HOW)
    assert whole.frames.shape[1] == 20
    assert_same(part(whole, 0, 8), part(one, 0, 8))
    assert_same(part(whole, 14, 20), part(other, 0, 6))


def test_clips_of_other_forms_are_converted_and_it_is_said(simulator, caplog):
    warn_once.cache_clear()
    whole = simulator.connect(clip_of(8), clip_of(15, 1, (20, 30), 15.0), 0.5, **HOW)
    assert whole.frames.shape == (3, 20, *SIZE) and whole.wave.shape == (2, 40000)
    said = "connect: 30 x 20 at 15 fps, 16000 Hz stereo is converted to the model's 48 x 32 at 8 fps"
    assert [said in record.message for record in caplog.records if "connect" in record.message] == [True]


def test_different_scenes_are_connected_by_a_dissolve(simulator, monkeypatch):
    light, dark = (replace(clip_of(8), frames=torch.full((3, 8, *SIZE), value)) for value in (0.9, 0.1))
    sides = []
    fill = __import__("avsim.simulator.joining", fromlist=["fill_gap"]).fill_gap

    def noted(timeline, before, after, *rest):
        sides.append((before is not None, after is not None))
        return fill(timeline, before, after, *rest)

    monkeypatch.setattr("avsim.simulator.joining.fill_gap", noted)
    simulator.connect(light, dark, 0.5, **HOW)
    simulator.connect(light, light, 0.5, **HOW)
    assert sides == [(True, False), (False, True), (True, True)]


@pytest.mark.parametrize("start, end", [(0.0, 0.5), (0.4, 0.8), (0.5, 1.75), (0.0, 1.75), (1.7, 1.75)])
@pytest.mark.parametrize("kept", [None, "video", "audio"])
def test_a_retake_changes_the_span_alone(simulator, start, end, kept):
    clip = clip_of(14)
    how = {"regenerate_video": kept != "video", "regenerate_audio": kept != "audio"}
    again = simulator.retake(clip, "a bell", start, end, **how, **HOW)
    first, last = int(start * 8), -int(-end * 8 // 1)
    assert again.frames.shape == clip.frames.shape and again.wave.shape == clip.wave.shape
    for at in ((0, first), (last, 14)):
        assert_same(part(again, *at), part(clip, *at))
    pairs = zip(part(again, first, last), part(clip, first, last), strict=True)
    frames, wave = (torch.equal(*each) for each in pairs)
    assert frames == (kept == "video") and wave == (kept == "audio")


@pytest.mark.parametrize("unseen, taken", [([0], 0), ([2, 0], 1), ([2, 1, 1, 2], 1), ([1, 1, 1, 1], 0)])
def test_audio_is_generated_again_while_an_onset_at_a_seam_is_not_seen(simulator, monkeypatch, unseen, taken):
    """The first candidate with the fewest is taken; its video is the first one's."""
    candidates, counts = [], iter(unseen)
    monkeypatch.setattr(joining, "unseen_onsets", lambda clip, *_: candidates.append(clip) or next(counts))
    clip = clip_of(8)
    judged = replace(simulator, video_detector=object(), audio_detector=object())
    made = judged.retake(clip, "a", 0.25, 0.75, seed=3, **HOW)
    assert len(candidates) == len(unseen)
    assert_same((made.frames, made.wave), (candidates[taken].frames, candidates[taken].wave))
    assert all(torch.equal(each.frames, made.frames) for each in candidates)
    waves = [each.wave[:, 4000:12000] for each in candidates]
    assert all(not torch.equal(waves[0], other) for other in waves[1:])


def test_seams_are_judged_where_they_are(simulator, monkeypatch):
    """Of 3 s beside a gap of 0.5 s, the detectors receive a second on each side."""
    asked = []
    monkeypatch.setattr(joining, "unseen_onsets", lambda clip, seams, *_: asked.append((clip, seams)) or 0)
    judged = replace(simulator, video_detector=object(), audio_detector=object())
    long = clip_of(24)
    judged.loop(long, 3.5, **HOW)
    judged.extend(long, "a", 0.5, **HOW)
    judged.extend(long, "a", 0.5, backward=True, **HOW)
    judged.retake(long, "a", 1.0, 1.5, regenerate_audio=False, **HOW)  # the audio is given
    simulator.extend(long, "a", 0.5, **HOW)  # has no detectors
    assert [(clip.seconds, seams) for clip, seams in asked] == [
        (2.5, [1.0, 1.5]), (1.5, [1.0]), (1.5, [0.5])
    ]  # fmt: skip


@pytest.mark.parametrize("moving", [False, True])
def test_a_retake_of_a_region_leaves_the_pixels_outside(simulator, moving):
    clip, region = clip_of(12), Region.box(8, 4, 20, 16, SIZE)
    mask = region.mask
    if moving:
        mask = torch.stack([mask.roll(k, 1) for k in range(12)])
    again = simulator.retake(clip, "a", 0.25, 1.0, Region(mask), **HOW)
    inside = (mask if moving else mask.expand(12, -1, -1)).clone()
    inside[:2], inside[8:] = 0, 0
    changed = (again.frames != clip.frames).any(0)
    assert not (changed & (inside == 0)).any() and changed[2:8].any()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"start_time": 0.5, "end_time": 0.5}, "start must be before the end"),
        ({"start_time": 0.8, "end_time": 0.5}, "start must be before the end"),
        ({"start_time": float("nan"), "end_time": 0.5}, "start must be before the end"),
        ({"start_time": -0.5, "end_time": 0.5}, "outside the clip, which lasts 1 s"),
        ({"start_time": 0.5, "end_time": 1.5}, "outside the clip, which lasts 1 s"),
        ({"start_time": 0, "end_time": 1, "regenerate_video": False, "regenerate_audio": False}, "neither"),
        ({"start_time": 0, "end_time": 1, "region": Region.box(0, 0, 4, 4, (8, 8))}, "the clip's frames are"),
        (
            {
                "start_time": 0,
                "end_time": 1,
                "region": Region.box(0, 0, 4, 4, SIZE),
                "regenerate_video": False,
            },
            "a region is of the video",
        ),
    ],
)
def test_retakes_that_cannot_be(simulator, how, message):
    with pytest.raises(InputError, match=message):
        simulator.retake(clip_of(8), "a", **how, **HOW)


def test_what_is_joined_needs_video_audio_and_a_frame(simulator):
    clip = clip_of(8)
    for piece, missing in (
        (clip.without_audio(), "audio is missing"),
        (clip.without_video(), "video is missing"),
    ):
        for join in (
            lambda: simulator.extend(piece),  # noqa: B023
            lambda: simulator.loop(piece),  # noqa: B023
            lambda: simulator.connect(clip, piece),  # noqa: B023
            lambda: simulator.retake(piece, "a", 0, 0.5),  # noqa: B023
        ):
            with pytest.raises(InputError, match=missing):
                join()
    for seconds in (0.01, -0.5, float("nan"), float("inf")):
        with pytest.raises(InputError, match="a frame or more"):
            simulator.extend(clip, seconds=seconds)
        with pytest.raises(InputError, match="a frame or more"):
            simulator.connect(clip, clip, seconds)


def test_a_codecs_error_is_gone_at_a_seam_and_fades():
    """Frames: the decoded copy is lighter by 0.04 everywhere; the given is kept, the step is shared out."""
    given = torch.full((3, 40, 4, 4), 0.5)
    pasted = paste_frames(given + 0.04, given, 10, 30, rate=16.0)
    assert torch.equal(pasted[:, :10], given[:, :10]) and torch.equal(pasted[:, 30:], given[:, 30:])
    steps = pasted.diff(dim=1).abs().amax((0, 2, 3))
    assert steps.max() < 0.005 and pasted[0, 20, 0, 0] > 0.505


def test_what_moves_at_a_seam_gets_no_ghost():
    given = torch.zeros(3, 20, 4, 4)
    made = given.clone()
    given[:, :10, 0, 0], made[:, :10, 0, 0] = 1.0, 0.8  # a bright thing, which is gone from frame 10 on
    pasted = paste_frames(made, given, 10, 20, rate=16.0)
    assert torch.equal(pasted[:, 10:], made[:, 10:])


def test_levels_meet_at_a_seam():
    random = torch.Generator().manual_seed(0)
    given = 0.2 * torch.randn(2, 48000, generator=random)
    made = 0.14 * torch.randn(2, 48000, generator=random)  # 3 dB softer
    pasted = paste_wave(made, given, 16000, 32000, 16000)
    assert torch.equal(pasted[:, :16000], given[:, :16000])
    assert torch.equal(pasted[:, 32000:], given[:, 32000:])
    levels = [20 * float(part.square().mean().sqrt().log10()) for part in pasted.split(1600, 1)]
    assert abs(levels[9] - levels[10]) < 1 and abs(levels[19] - levels[20]) < 1
    assert abs(levels[10] - levels[15]) > 1.5  # the correction fades


def test_given_audio_continues_in_phase():
    """Two sines go on; a reflection would turn them round at the seam."""
    seconds = torch.arange(16320) / 16000
    wave = 0.3 * (2 * torch.pi * 440 * seconds).sin() + 0.1 * (2 * torch.pi * 1234 * seconds).sin()
    wave = torch.stack([wave, 0.5 * wave])
    made = continued(wave[:, :16000], 320, 16000)
    error = (made - wave[:, 16000:]).square().mean().sqrt() / wave.square().mean().sqrt()
    assert error < 0.1
    reflected = wave[:, :16000].flip(1)[:, :320]
    assert (reflected - wave[:, 16000:]).square().mean() > 100 * (made - wave[:, 16000:]).square().mean()


def test_noise_keeps_its_level_beyond_a_seam_and_silence_stays_silent():
    noise = 0.1 * torch.randn(2, 16000, generator=torch.Generator().manual_seed(0))
    made = continued(noise, 1600, 16000)
    assert made.shape == (2, 1600)
    torch.testing.assert_close(made.std(1), noise.std(1), rtol=0.15, atol=0)
    assert not continued(torch.zeros(2, 16000), 1600, 16000).any()
    for short in (1, 2, 5, 100):
        assert continued(noise[:, :short], 50, 16000).isfinite().all()


def test_an_onset_before_a_seam_is_not_heard_again_behind_it():
    seconds = torch.arange(16000) / 16000 - 0.95
    wave = torch.where(seconds < 0, 0, (2 * torch.pi * 700 * seconds).sin() * (-40 * seconds).exp())[None]
    wave = wave + 1e-3 * torch.randn(1, 16000, generator=torch.Generator().manual_seed(0))
    made = continued(wave, 1600, 16000)
    ends = [float(part.square().mean().sqrt()) for part in (wave[:, -160:], made[:, :160], made[:, 640:960])]
    assert 0.5 < ends[1] / ends[0] < 1.5 and ends[2] < 1.2 * ends[0]  # a reflection comes back to its peak


def test_what_memory_does_not_hold_is_refused(simulator):
    for make in (
        lambda: simulator.extend(clip_of(), "a", 1e6),
        lambda: simulator.loop(clip_of(), 1e6),
        lambda: simulator.connect(clip_of(), clip_of(), 1e6),
    ):
        with pytest.raises(InputError, match="more than 268,435,456 pixels in all"):
            make()
