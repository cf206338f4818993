"""What ships is whole, and better than chance: on clips of the world that nothing was trained on."""

import json

import pytest
import torch

import avsim
from avsim.clip import LatentSpec
from avsim.diffusion.loss import level_only, row_loss, token_loss
from avsim.diffusion.noising import Noised
from avsim.measures import psnr
from avsim.models.pair import Latents, Pair
from avsim.models.tokens import to_tokens
from avsim.weights import SMALL, TENSORS, hash_of
from avsim.world import WorldDataset

CLIPS = 16


@pytest.fixture(scope="module")
def small():
    return avsim.load("small")


@pytest.fixture(scope="module")
def unseen():
    world = WorldDataset("medium", seed=5, split="test")
    clips, truths = zip(*(world[index] for index in range(CLIPS)), strict=True)
    frames, wave = (torch.stack([getattr(clip, name) for clip in clips]) for name in ("frames", "wave"))
    return frames, wave, [truth.caption for truth in truths], clips[0].spec


def test_it_is_whole_and_small_enough():
    parts = {folder.name: json.loads((folder / "config.json").read_text()) for folder in SMALL.glob("*/")}
    needed = {
        "generator",
        "student",
        "video_codec",
        "audio_codec",
        "separator",
        "video_detector",
        "audio_detector",
        "sync_model",
    }
    assert needed <= set(parts)
    for name, config in parts.items():
        assert config["sha256"] == hash_of(SMALL / name / TENSORS), name
        assert {"commit", "command", "step"} <= set(config["notes"]), name
    assert sum(path.stat().st_size for path in SMALL.rglob("*.safetensors")) < 60e6


@torch.no_grad()
def test_the_codecs_bring_back_what_they_were_given(small, unseen):
    frames, wave, _, spec = unseen
    seen = small.video_codec.decode(small.video_codec.encode(frames), spec)
    assert psnr(frames, seen).mean() > 33
    heard = small.audio_codec.decode(small.audio_codec.encode(wave), spec)
    loud, made = (10 * each.square().mean((1, 2)).log10() for each in (wave, heard))
    assert (loud - made).abs().mean() < 2.5


@torch.no_grad()
def test_the_generator_uses_words_pictures_and_sounds(small, unseen):
    frames, wave, captions, spec = unseen
    model, latent_spec = small.generator, LatentSpec(spec)
    x = to_tokens(Latents(small.video_codec.encode(frames), small.audio_codec.encode(wave)))
    assert model.channels == (x.video.shape[2], x.audio.shape[2])
    random = torch.Generator().manual_seed(0)
    s = Pair(torch.full((CLIPS, 1), 0.95), torch.full((CLIPS, 1), 0.9))
    noised = x.each(lambda x, s: Noised(x, torch.randn(x.shape, generator=random), s), s)

    def losses(captions, given=None) -> Pair:
        x_s = noised.each(lambda n: n.x_s) if given is None else Pair(given, noised.audio.x_s)
        levels = s if given is None else Pair(torch.zeros(CLIPS, 1), s.audio)
        v = model(x_s, levels, model.context(captions, latent_spec))
        return v.each(lambda v, n: row_loss(token_loss(v, n)), noised)

    told = losses(captions)
    for mine, blind in zip(told, noised.each(lambda n: row_loss(token_loss(level_only(n), n))), strict=True):
        assert mine.mean() < 0.95 * blind.mean()  # than knowing nothing but the level
    others = losses(captions[1:] + captions[:1])
    assert (told.video < others.video).double().mean() > 0.7 and told.audio.mean() < others.audio.mean()
    own, swapped = (losses(captions, each).audio for each in (x.video, x.video.roll(1, 0)))
    assert (own < swapped).double().mean() > 0.7
