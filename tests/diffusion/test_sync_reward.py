"""The reward_fn of timing: it says what the judge of offsets says, and a video is drawn by it."""

from dataclasses import replace

import pytest
import torch

import avsim
from avsim.clip import Clip
from avsim.diffusion import Guidance, Latents
from avsim.diffusion.sync_reward import DECODER_ITERATIONS, FULL_NORM, sync_reward
from avsim.perception.sync import in_sync_score
from avsim.simulator.defaults import NUM_CANDIDATES, REWARD
from avsim.weights import save_model
from tests.small.models import export, offset_judge

HOW = dict(seconds=1.0, steps=3)


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A simulator that has a judge of offsets, as a run exports it."""
    run = export(tmp_path_factory.mktemp("watched") / "run")
    torch.manual_seed(1)
    save_model(offset_judge(), run / "simulator" / "sync_model")
    return avsim.load(run)


def latents(simulator):
    spec = simulator.latent_spec(1.0, None)
    random = torch.Generator().manual_seed(2)
    video = torch.randn(2, simulator.video_codec.channels, *spec.video, generator=random)
    return spec.clip, Latents(
        video, torch.randn(2, simulator.audio_codec.channels, spec.audio, generator=random)
    )


@pytest.mark.parametrize("given", [True, False])
def test_it_says_what_the_judge_says_of_the_decoded_clip_and_where_the_picture_would_be_better(
    watched, given
):
    spec, drawn = latents(watched)
    model, video_codec, audio_codec = watched.sync_model, watched.video_codec, watched.audio_codec
    reward_fn = sync_reward(model, video_codec, audio_codec, spec, given)
    picture = drawn.video.clone().requires_grad_()
    said = reward_fn(Latents(picture, drawn.audio))
    with torch.no_grad():
        frames = video_codec.decode(drawn.video, spec)
        wave = audio_codec.decode(drawn.audio, spec, **({} if given else {"iterations": DECODER_ITERATIONS}))
        grid = model.video.grid
        logits = model(grid.resample_video(frames, 8.0), grid.resample_audio(wave, 16000))
    torch.testing.assert_close(said.detach(), in_sync_score(logits) / FULL_NORM)
    slope = torch.autograd.grad(said.sum(), picture)[0]
    for row in range(2):  # each clip by itself
        assert slope[row].abs().max() > 0
    with torch.no_grad():
        step = 1e-2 * slope / slope.square().mean().sqrt()
        better, worse = (reward_fn(Latents(drawn.video + by, drawn.audio)) for by in (step, -step))
    assert (better > said).all() and (said > worse).all()


def test_beside_a_sound_that_is_drawn_too_its_slope_is_that_of_a_sketch(watched):
    spec, drawn = latents(watched)
    models = watched.sync_model, watched.video_codec, watched.audio_codec
    slopes = []
    for reward_fn in (sync_reward(*models, spec), sync_reward(*models, spec, audio_given=True)):
        picture = drawn.video.clone().requires_grad_()
        slopes.append(torch.autograd.grad(reward_fn(Latents(picture, drawn.audio)).sum(), picture)[0])
    quick, full = (slope.flatten(1) for slope in slopes)
    alike = torch.cosine_similarity(quick, full)
    assert (0.5 < alike).all() and (alike < 1 - 1e-6).all()


class Foreign(torch.nn.Module):
    """A video codec of others: it can decode, and nothing else."""

    def __init__(self, codec):
        super().__init__()
        self.codec = codec

    def decode(self, latents, spec):
        return self.codec.decode(latents, spec)


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("own", [True, False])
def test_its_slope_is_exact_for_a_given_sound_and_for_codecs_of_others_else_that_of_the_linear_part(
    watched, own, given
):
    spec, drawn = latents(watched)
    model, codec, audio_codec = watched.sync_model, watched.video_codec, watched.audio_codec
    linear, grid = own and not given, model.video.grid
    with torch.no_grad():
        options = {} if given else {"iterations": DECODER_ITERATIONS}
        wave = grid.resample_audio(audio_codec.decode(drawn.audio, spec, **options), spec.sample_rate)

    def show(z):
        sketch = codec.linear_decode(z, spec)
        return sketch + (codec.decode(z, spec) - sketch).detach() if linear else codec.decode(z, spec)

    slopes = []
    for reward_fn in (
        sync_reward(model, codec if own else Foreign(codec), audio_codec, spec, given),
        lambda latents: in_sync_score(model(grid.resample_video(show(latents.video), 8.0), wave)) / FULL_NORM,
    ):
        picture = drawn.video.clone().requires_grad_()
        slopes.append(torch.autograd.grad(reward_fn(Latents(picture, drawn.audio)).sum(), picture)[0])
    torch.testing.assert_close(*slopes, rtol=1e-4, atol=1e-7)


def test_a_sound_that_stays_is_listened_to_once(watched):
    spec, drawn = latents(watched)
    calls = []
    listened = watched.sync_model.audio_proj.register_forward_hook(lambda *_: calls.append("heard"))
    models = watched.sync_model, watched.video_codec, watched.audio_codec
    given, drawn_too = sync_reward(*models, spec, audio_given=True), sync_reward(*models, spec)
    with torch.no_grad():
        one, again = given(drawn), given(Latents(drawn.video, drawn.audio.clone()))
        assert calls == ["heard"] and torch.equal(one, again)
        torch.testing.assert_close(drawn_too(drawn), one, atol=0.1, rtol=0)  # a little less well heard
        assert not torch.equal(drawn_too(Latents(drawn.video, 2 * drawn.audio)), one)
    listened.remove()
    assert len(calls) == 3


def test_with_a_student_every_task_that_draws_a_picture_beside_a_sound_asks_it(watched, monkeypatch):
    asked = []

    def counted(*args):
        reward_fn = sync_reward(*args)
        return lambda latents: asked.append(1) or reward_fn(latents)

    monkeypatch.setattr("avsim.simulator.models.sync_reward", counted)
    both = replace(watched, student=watched.generator)
    clip = both.generate("a", seconds=1.0)
    levels = [1.5 * u / (1 + 0.5 * u) for u in (torch.arange(8, 0, -1) / 8).tolist()]  # of the video's path
    least, dim = REWARD["sync_start"], REWARD["sync_end"]
    assert len(asked) == sum(least <= level <= dim for level in levels) > 0
    counts = {}
    for name, draw in {
        "visualize": lambda: both.visualize(Clip(None, clip.wave, sample_rate=16000), num_candidates=1),
        "all takes": lambda: both.visualize(Clip(None, clip.wave, sample_rate=16000)),
        "animate": lambda: both.animate(Clip(clip.frames[:, :1], None), seconds=1.0),
        "extend": lambda: both.extend(clip, seconds=0.25),
        "edit": lambda: both.edit(clip, "b"),
        "foley": lambda: both.foley(Clip(clip.frames, None, 8.0), "a"),
        "image": lambda: both.image("a"),
        "audio": lambda: both.audio("a", seconds=1.0),
    }.items():
        asked.clear()
        draw()
        counts[name] = len(asked)
    assert (
        counts["all takes"] == NUM_CANDIDATES["visualize"] * counts["visualize"] > 2 * counts["animate"] > 0
    )
    assert counts["extend"] > 0
    # An edit follows the difference of two velocities, without a reward.
    assert not (counts["edit"] or counts["foley"] or counts["image"] or counts["audio"])


def test_pictures_are_drawn_by_it_and_sounds_for_them_are_not(watched):
    alone = replace(watched, sync_model=None)
    assert "sync_model" in watched.parts()
    for seed in (0, 1):
        one, other = (each.generate("a ball falls", seed=seed, **HOW) for each in (watched, alone))
        assert not torch.equal(one.frames, other.frames) and torch.isfinite(one.frames).all()
    with torch.inference_mode():  # as Lightning predicts
        again = watched.generate("a ball falls", seed=1, **HOW)
    assert torch.equal(again.frames, one.frames) and torch.equal(again.wave, one.wave)
    silent = Clip(one.frames, None, 8.0)
    assert torch.equal(watched.foley(silent, "a", steps=2).wave, alone.foley(silent, "a", steps=2).wave)
    plain = Guidance(1.0)  # asks nobody
    one, other = (each.generate("a", guidance=plain, **HOW) for each in (watched, alone))
    assert torch.equal(one.frames, other.frames)
