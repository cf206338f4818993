from dataclasses import replace

import pytest
import torch
from torch.utils.data import DataLoader

from avsim.clip import ClipSpec
from avsim.codecs.adversarial import PatchDiscriminator, adversarial_parts, gradient_ratio
from avsim.codecs.audio import AudioAutoencoder
from avsim.codecs.latent_norm import moments_of
from avsim.codecs.system import AudioCodecSystem, VideoCodecSystem
from avsim.codecs.video import VideoAutoencoder, padded
from avsim.data.batch import ClipBatch
from avsim.errors import InputError
from avsim.perception.perceptual import DetectorFeatures
from avsim.training.optimizers import Recipe
from tests.fitting import quiet_trainer

SPEC = ClipSpec(0.5, 16, 16)


def batch(clips=4, spec=SPEC):
    generator = torch.Generator().manual_seed(0)
    frames = torch.rand(clips, 3, spec.frames, *spec.size, generator=generator)
    wave = 0.1 * torch.randn(clips, spec.channels, spec.samples, generator=generator)
    return ClipBatch(spec, frames, wave, [""] * clips, ["noise"] * clips, torch.arange(clips))


def video_system(stride=8, **options):
    torch.manual_seed(0)
    model = VideoAutoencoder(channels=4, widths=(8, 12, 16), depths=(1, 1, 1), space_stride=stride)
    return VideoCodecSystem(model, Recipe(warmup_steps=1), crop_frames=5, **options)


def audio_system(**options):
    torch.manual_seed(0)
    model = AudioAutoencoder(channels=4, width=16)
    return AudioCodecSystem(model, Recipe(warmup_steps=1), crop_seconds=0.25, **options)


def fitted(system, clips, steps, folder):
    trainer = quiet_trainer(folder, steps)
    loader = DataLoader([clips] * steps, batch_size=None)
    trainer.fit(system, loader, DataLoader([clips], batch_size=None))
    return trainer


@pytest.mark.parametrize("make", [video_system, audio_system])
def test_fitting_moves_every_weight_and_gathers_statistics(make, tmp_path):
    system = make()
    before = {name: value.clone() for name, value in system.model.state_dict().items()}
    trainer = fitted(system, batch(), 3, tmp_path)
    still = [name for name, value in system.model.state_dict().items() if torch.equal(value, before[name])]
    assert not still
    assert system.model.latent_norm.batches == 3
    scores = {"val/psnr", "val/psnr_moving"} if make is video_system else {"val/loudness", "val/lsd"}
    assert scores | {"val/latent_rms", "train/loss"} <= set(trainer.callback_metrics)
    assert set(system.parts()) == {"video_codec" if make is video_system else "audio_codec"}


def test_coarser_latents_are_trained_in_the_same_way(tmp_path):
    system = video_system(stride=16)
    fitted(system, batch(spec=replace(SPEC, height=24, width=40)), 2, tmp_path)  # padded to 32 x 48
    assert system.model.latent_norm.batches == 2


@pytest.mark.parametrize("make", [video_system, audio_system])
def test_latents_leave_with_unit_variance(make, tmp_path):
    system = make()
    fitted(system, batch(), 1, tmp_path)
    # One step: the statistics are those of that batch under the weights before it; take them now instead.
    clips = batch()
    given = clips.frames if make is video_system else clips.wave
    with torch.no_grad():
        for latent_norm, z in system.model._latent_norms(system.model.encode(given)):
            raw = latent_norm.denormalise(z)
            latent_norm.batches.zero_()
            latent_norm.observe(moments_of(raw))
        for latent_norm, z in system.model._latent_norms(system.model.encode(given)):
            z = z.transpose(0, 1).flatten(1)
            deviation = z.std(1, correction=0)
            assert torch.allclose(deviation, latent_norm.std / latent_norm.scale, atol=1e-3)
            assert abs(deviation.square().mean() - 1) < 1e-3
            assert torch.allclose(z.mean(1), torch.zeros(4), atol=1e-3)


@pytest.mark.parametrize("make", [video_system, audio_system])
def test_draws_belong_to_rows_not_to_processes(make):
    # What process 1 of 2 draws for rows 2 and 3 is what one process draws for them among 4.
    system = make()
    rows = torch.arange(4)
    assert torch.equal(system.latent_noise(rows, (3, 2))[2:], system.latent_noise(rows[2:], (3, 2)))
    assert system.starts(rows, 1000)[2:] == system.starts(rows[2:], 1000)
    assert len(set(system.starts(rows, 1000))) > 1
    assert make(seed=1).starts(rows, 1000) != system.starts(rows, 1000)


def test_an_adversarial_loss_weighs_as_much_as_is_asked_however_steep_it_is():
    estimate = torch.tensor([1.0, 2.0], requires_grad=True)
    others, steep = (estimate * torch.tensor([3.0, 4.0])).sum(), -(1000 * estimate).sum()
    ratio = gradient_ratio(others, steep, estimate)
    assert ratio == pytest.approx(5 / (1000 * 2**0.5))
    assert gradient_ratio(others, 0.0 * steep, estimate) == 1e4  # of no gradient: bounded


def test_a_discriminator_far_ahead_does_not_spoil_the_codec(tmp_path):
    """A sharp discriminator, a thousand times as steep, changes no training by more than it may."""
    scores = []
    for steepness in (1.0, 1000.0):
        system = video_system(adversarial_weight=0.5)
        with torch.no_grad():
            for weight in system.discriminator.out.parameters():
                weight.mul_(steepness)
        scores.append(float(fitted(system, batch(), 12, tmp_path).callback_metrics["val/psnr"]))
    plain = float(fitted(video_system(), batch(), 12, tmp_path).callback_metrics["val/psnr"])
    assert all(abs(score - plain) < 0.5 for score in scores), (scores, plain)


def test_two_trainings_are_the_same_bit_for_bit(tmp_path):
    first, second = video_system(), video_system()
    fitted(first, batch(), 2, tmp_path)
    fitted(second, batch(), 2, tmp_path)
    for name, value in first.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name])


def test_a_clip_shorter_than_the_crop_is_padded(tmp_path):
    fitted(video_system(), batch(spec=replace(SPEC, seconds=3 / 16)), 1, tmp_path)
    fitted(audio_system(), batch(spec=replace(SPEC, seconds=1 / 16, channels=1)), 1, tmp_path)


def test_silent_clips_do_not_spoil_the_scores(tmp_path):
    clips = batch()
    wave = clips.wave.clone()
    wave[1:] = 0
    trainer = fitted(audio_system(), replace(clips, wave=wave), 1, tmp_path)
    assert all(trainer.callback_metrics[f"val/{name}"].isfinite() for name in ("lsd", "loudness", "sides"))


def test_what_cannot_be_trained_on_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"crop_frames is 6; expected 1 \+ 4 k"):
        VideoCodecSystem(VideoAutoencoder(), crop_frames=6)
    with pytest.raises(InputError, match="needs frames.*noise"):
        fitted(video_system(), replace(batch(), frames=None), 1, tmp_path)
    with pytest.raises(InputError, match="needs sound.*noise"):
        fitted(audio_system(), replace(batch(), wave=None), 1, tmp_path)
    with pytest.raises(InputError, match="sample_rate is 8000; the codec's is 16000"):
        fitted(audio_system(), batch(spec=replace(SPEC, sample_rate=8000)), 1, tmp_path)


@pytest.mark.slow
def test_codecs_learn_eight_clips(tmp_path):
    """Moving discs come back well above a constant video, and tones are told from each other."""
    spec = ClipSpec(9 / 16, 32, 32, channels=1)
    seconds, down, across = torch.arange(9) / 16, torch.arange(32.0)[:, None], torch.arange(32.0)
    frames, wave = torch.zeros(8, 3, 9, 32, 32), torch.zeros(8, 1, spec.samples)
    for i in range(8):
        distance = ((down - 8 - 20 * seconds[:, None, None]).square() + (across - 8 - 2 * i).square()).sqrt()
        frames[i] = (6.5 - distance).clamp(0, 1)
        wave[i] = 0.3 * torch.sin(2 * torch.pi * 200 * (i + 1) * torch.arange(spec.samples) / 16000)
    clips = ClipBatch(spec, frames, wave, [""] * 8, ["disc"] * 8, torch.arange(8))
    recipe = Recipe(learning_rate=1e-3, warmup_steps=10)
    torch.manual_seed(0)
    video = VideoCodecSystem(VideoAutoencoder(widths=(32, 48, 64), depths=(1, 1, 1)), recipe)
    psnr = fitted(video, clips, 150, tmp_path).callback_metrics["val/psnr"]
    assert psnr > -10 * frames.var().log10() + 5
    recipe = Recipe(learning_rate=3e-3, warmup_steps=10)
    audio = AudioCodecSystem(AudioAutoencoder(width=64), recipe, crop_seconds=0.5)
    fitted(audio, clips, 600, tmp_path)  # after 300 it is at 0.73
    with torch.no_grad():
        true = audio.model.cues(wave)[:, 0]
        told = audio.model.eval()(audio.model.cues(wave))[0][:, 0]
    mean = true.mean((0, 2), keepdim=True)  # what can be said of all of them at once
    assert (told - true).square().mean() < 0.6 * (mean - true).square().mean()


@pytest.mark.parametrize("make", [video_system, audio_system])
def test_a_decoder_alone_learns_and_latents_stay(make, tmp_path):
    system = make(decoder_only=True)
    before = {name: value.clone() for name, value in system.model.state_dict().items()}
    fitted(system, batch(), 2, tmp_path)
    now = system.model.state_dict()
    changed = {name for name, value in now.items() if not torch.equal(value, before[name])}
    assert changed and all(name.startswith("decoder.") for name in changed)


def test_a_noise_level_mixes_latents_as_flow_matching_does():
    model = video_system().model.eval()
    frames = batch().frames
    noise = torch.randn(4, 4, 3, 2, 2, generator=torch.Generator().manual_seed(2))
    frames = padded(frames[:, :, :5], 4, 8)
    noise = noise[:, :, :2]
    with torch.no_grad():
        still, z = model(frames)
        clean, _ = model(frames, noise, torch.zeros(4))
        assert torch.allclose(clean, still, atol=1e-5)
        mixed, _ = model(frames, noise, torch.tensor([0.0, 0.2, 0.2, 1.0]))
        x = torch.cat([norm.normalise(part) for norm, part in model._latent_norms(z)], 2)
        assert torch.allclose(
            mixed[1], model._frames(model._denormalised(0.8 * x + 0.2 * noise))[1], atol=1e-5
        )
        assert torch.allclose(mixed[3], model._frames(model._denormalised(noise))[3], atol=1e-5)


def test_perceptual_and_adversarial_terms_train_the_codec_and_the_discriminator(tmp_path):
    options = {
        "perceptual": DetectorFeatures(),
        "adversarial_weight": 0.1,
        "kl_weight": 1e-3,
        "noise_level": 0.2,
    }
    system = video_system(**options)
    before = {name: value.clone() for name, value in system.discriminator.state_dict().items()}
    detector = {name: value.clone() for name, value in system.perceptual.state_dict().items()}
    clips = batch(2, ClipSpec(0.5, 64, 64))
    trainer = fitted(system, clips, 2, tmp_path)
    names = {"distortion", "kl", "perceptual", "adversarial", "discriminator"}
    assert {f"train/{name}" for name in names} <= set(trainer.callback_metrics)
    after = system.discriminator.state_dict()
    still = {name for name, value in before.items() if torch.equal(value, after[name])}
    assert still <= {"out.bias"}  # both hinges push it equally, in opposite directions
    assert all(torch.equal(value, system.perceptual.state_dict()[name]) for name, value in detector.items())
    assert set(system.parts()) == {"video_codec"}


def test_the_two_adversarial_losses_share_no_gradient():
    torch.manual_seed(0)
    discriminator = PatchDiscriminator(4)
    frames, estimate = torch.rand(2, 1, 3, 5, 16, 16)
    estimate.requires_grad_()
    parts = adversarial_parts(discriminator, frames, estimate)
    weights = [weight for name, weight in discriminator.named_parameters() if name != "out.bias"]  # has none
    (of_estimate,) = torch.autograd.grad(parts["adversarial"], [estimate], retain_graph=True)
    assert of_estimate.abs().max() > 0
    none = torch.autograd.grad(parts["adversarial"], weights, retain_graph=True, allow_unused=True)
    assert all(gradient is None for gradient in none)
    of_weights = torch.autograd.grad(parts["discriminator"], weights, retain_graph=True)
    assert all(gradient.abs().max() > 0 for gradient in of_weights)
    assert torch.autograd.grad(parts["discriminator"], [estimate], allow_unused=True) == (None,)


def test_a_discriminator_learns_to_distinguish_noise_from_ramps():
    torch.manual_seed(0)
    discriminator = PatchDiscriminator(8)
    optimizer = torch.optim.Adam(discriminator.parameters(), 2e-3)
    real = torch.linspace(0, 1, 32).expand(2, 3, 3, 32, 32)
    for _ in range(40):
        loss = adversarial_parts(discriminator, real, torch.rand(2, 3, 3, 32, 32))["discriminator"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.5
