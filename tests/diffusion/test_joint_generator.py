"""A pretrained video model with audio beside it, as generator: with audio off, its own pipeline's latents."""

import pytest
import torch

from avsim.clip import ClipSpec, LatentSpec
from avsim.diffusion.generate import generate
from avsim.diffusion.guidance import Guidance, conditioned, guide
from avsim.diffusion.sampler import ancestral
from avsim.diffusion.tasks import ANIMATE, AUDIO_ONLY, FOLEY
from avsim.errors import InputError
from avsim.models import add_audio
from avsim.models.backbones.wan import WanBackbone
from avsim.models.joint_generator import JointGenerator
from avsim.models.pair import Latents, Pair
from avsim.models.tokens import to_latents, to_tokens
from avsim.weights import load_model, save_model

pytest.importorskip("diffusers", reason="the transformers are of diffusers: pip install avsim[test]")

from tests.models import tiny  # noqa: E402


def generator_of(transformer, **options):
    torch.manual_seed(0)
    joint = add_audio(transformer, audio_channels=6, width=16)
    empty = torch.randn(1, joint.audio.text_width)
    return JointGenerator(joint, text_length=8, empty=empty, **options).eval()


def wan_pipeline(transformer):
    from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler, WanPipeline

    vae = AutoencoderKLWan(base_dim=4, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1)
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    pipeline = WanPipeline(None, None, vae, scheduler, transformer=transformer)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline, lambda text, noise, steps, scale, empty: pipeline(
        prompt_embeds=text, negative_prompt_embeds=empty, latents=noise, num_inference_steps=steps,
        guidance_scale=scale, height=32, width=48, num_frames=9, output_type="latent",
    ).frames  # fmt: skip


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_with_audio_off_it_makes_the_latents_of_wans_own_pipeline(scale):
    transformer = tiny.wan(in_channels=16, out_channels=16)
    pipeline, call = wan_pipeline(transformer)
    model = generator_of(transformer)
    spec = LatentSpec(ClipSpec(9 / 16, 32, 48))
    random = torch.Generator().manual_seed(1)
    noise = torch.randn(1, 16, *spec.video, generator=random)
    text = torch.zeros(1, 8, 20)
    text[:, :3] = torch.randn(1, 3, 20, generator=random)
    cond, uncond = (model.context(text, spec, torch.tensor([which])) for which in (False, True))
    expected = call(text, noise, 4, scale, uncond.text if scale > 1 else None)
    levels = [Pair(sigma.float().view(1, 1)) for sigma in pipeline.scheduler.sigmas]
    with torch.no_grad():
        denoise = guide(model, cond, uncond, Guidance(guidance_scale=scale)) if scale > 1 else None
        sampler = ancestral(0.0, lambda step: Pair(torch.zeros(1, 1, 1)))
        x = sampler(denoise or conditioned(model, cond), to_tokens(Pair(noise)), levels)
    found = to_latents(x, spec).video
    assert (found - noise).abs().max() > 0.1
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_with_audio_off_it_makes_the_latents_of_ltx_videos_own_pipeline():
    from diffusers import AutoencoderKLLTXVideo, FlowMatchEulerDiscreteScheduler, LTXPipeline

    transformer = tiny.ltx_video()
    vae = AutoencoderKLLTXVideo(
        latent_channels=8, block_out_channels=(8, 8, 8, 8), decoder_block_out_channels=(8, 8, 8, 8),
        layers_per_block=(1, 1, 1, 1, 1), decoder_layers_per_block=(1, 1, 1, 1, 1),
    )  # fmt: skip
    pipeline = LTXPipeline(FlowMatchEulerDiscreteScheduler(shift=2.0), vae, None, None, transformer)
    pipeline.set_progress_bar_config(disable=True)
    time_stride, space_stride = vae.temporal_compression_ratio, vae.spatial_compression_ratio
    clip = ClipSpec((1 + 2 * time_stride) / 24, 2 * space_stride, 3 * space_stride, 24.0)
    spec = LatentSpec(clip, time_stride, space_stride)
    model = generator_of(transformer)
    random = torch.Generator().manual_seed(1)
    noise = to_tokens(Pair(torch.randn(1, 8, *spec.video, generator=random))).video
    text = torch.randn(1, 3, 20, generator=random)
    context = model.context(text, spec)
    expected = pipeline(
        prompt_embeds=context.text, prompt_attention_mask=context.text_mask, latents=noise, frame_rate=24,
        height=clip.height, width=clip.width, num_frames=clip.frames, num_inference_steps=4,
        guidance_scale=1.0, output_type="latent",
    ).frames  # fmt: skip
    levels = [Pair(sigma.float().view(1, 1)) for sigma in pipeline.scheduler.sigmas]
    with torch.no_grad():
        sampler = ancestral(0.0, lambda step: Pair(torch.zeros(1, 1, 1)))
        found = sampler(conditioned(model, context), Pair(noise), levels).video
    assert (found - noise).abs().max() > 0.1
    torch.testing.assert_close(found, expected.reshape(found.shape), rtol=1e-4, atol=1e-4)


@pytest.fixture
def spec():
    return LatentSpec(ClipSpec(9 / 16, 32, 48))


@pytest.fixture
def model():
    return generator_of(tiny.wan(in_channels=16, out_channels=16))


def test_every_task_that_its_levels_can_express(model, spec):
    video, audio = torch.randn(1, 16, *spec.video), torch.randn(1, 6, spec.audio)
    text = torch.randn(1, 3, 20)
    model.embed = lambda captions: text.expand(len(captions), -1, -1)
    given = {
        "steps": 2,
        "guidance": Guidance(guidance_scale=2.0, modality_scale=2.0, audio_modality_scale=2.0),
    }
    both = generate(model, ["a"], spec, **given)
    assert both.video.shape == video.shape and both.audio.shape == audio.shape
    foley = generate(model, ["a"], spec, Latents(video, None), FOLEY, **given)
    assert torch.equal(foley.video, video) and foley.audio.isfinite().all()
    alone = generate(model, ["a"], spec, None, AUDIO_ONLY, **given)
    assert alone.video is None and alone.audio.isfinite().all()
    moved = generate(model, ["a"], spec, Latents(video, None), ANIMATE, **given)
    assert torch.equal(moved.video[:, :, 0], video[:, :, 0])
    once = generator_of(WanBackbone(tiny.wan(in_channels=16, out_channels=16), levels="clip"))
    once.embed = model.embed
    assert torch.equal(generate(once, ["a"], spec, Latents(video, None), FOLEY, **given).video, video)
    with pytest.raises(InputError, match="one noise level per clip"):
        generate(once, ["a"], spec, Latents(video, None), ANIMATE, **given)


def test_levels_within_a_frame_are_refused(model, spec):
    x = to_tokens(Pair(torch.randn(1, 16, *spec.video), torch.randn(1, 6, spec.audio)))
    context = model.context(torch.randn(1, 3, 20), spec)
    with pytest.raises(InputError, match="parts of a frame"):
        model(x, Pair(torch.rand(1, x.video.shape[1]), torch.rand(1, 1)), context)


def test_captions_without_a_text_encoder_are_refused(model, spec):
    with pytest.raises(InputError, match="no text encoder"):
        model.context(["a"], spec)


def test_avsims_own_video_model_brings_its_text_encoder(spec, tmp_path):
    from avsim.models.joint import JointDiT

    own = tiny.randomised(JointDiT(4, 5, width=32, blocks=2, heads=2))
    model = generator_of(own)
    model.text_length = own.text.length
    loaded = load_model(save_model(model, tmp_path / "generator"), expected=JointGenerator)
    x = Pair(torch.randn(2, spec.video[0] * spec.video[1] * spec.video[2], 4))
    s = Pair(torch.rand(2, 1))
    captions = ["a ball falls", ""]
    with torch.no_grad():
        expected = own(x, s, own.context(captions, spec)).video
        for each in (model, loaded):
            found = each(x, s, each.context(captions, spec)).video
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert loaded.shifts == model.shifts and torch.equal(loaded.empty, model.empty)
