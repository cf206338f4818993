"""Adapters on randomly initialised tiny networks of the classes in diffusers."""

import sys

import pytest
import torch

from avsim.clip import ClipSpec, LatentSpec
from avsim.codecs import pretrained
from avsim.codecs.pretrained import (
    CogVideoXVideoCodec,
    LTX2AudioCodec,
    LTX2VideoCodec,
    OobleckCodec,
    WanVideoCodec,
)
from avsim.errors import InputError
from avsim.weights import load_model, save_model

WAN = {"base_dim": 4, "z_dim": 16, "dim_mult": [1, 1, 1, 1], "num_res_blocks": 1}
WAN_22 = {
    "patch_size": 2,
    "in_channels": 12,
    "out_channels": 12,
    "scale_factor_spatial": 16,
    "is_residual": True,
}
LTX_VIDEO = {
    "latent_channels": 8,
    "block_out_channels": [8, 8, 8, 8],
    "decoder_block_out_channels": [8, 16, 32],
    "layers_per_block": [1] * 5,
    "decoder_layers_per_block": [1] * 4,
}
LTX_AUDIO = {"base_channels": 32, "latent_channels": 8, "mel_bins": 16, "num_res_blocks": 1, "resolution": 64}
VOCODER = {"kind": "LTX2Vocoder", "in_channels": 32, "hidden_channels": 32}
OOBLECK = {
    "encoder_hidden_size": 16,
    "downsampling_ratios": [2, 4, 4],
    "channel_multiples": [1, 1, 2],
    "decoder_channels": 4,
    "decoder_input_channels": 8,
    "sampling_rate": 16000,
}
COGVIDEOX = {
    "block_out_channels": [8, 8, 8, 8],
    "down_block_types": ["CogVideoXDownBlock3D"] * 4,
    "up_block_types": ["CogVideoXUpBlock3D"] * 4,
    "norm_num_groups": 4,
    "layers_per_block": 1,
}
VIDEO = [
    (WanVideoCodec, WAN),
    (WanVideoCodec, WAN | WAN_22),
    (LTX2VideoCodec, LTX_VIDEO),
    (CogVideoXVideoCodec, COGVIDEOX),
]
AUDIO = [(LTX2AudioCodec, (LTX_AUDIO, VOCODER)), (OobleckCodec, (OOBLECK,))]


def frames(count=10, height=40, width=48):
    return torch.rand(1, 3, count, height, width, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
@pytest.mark.parametrize(("kind", "config"), VIDEO)
def test_video_meets_the_protocol(kind, config):
    codec = kind(config).eval()
    spec = ClipSpec(10 / 16, 40, 48)
    z = codec.encode(frames())
    strides = LatentSpec(spec, codec.time_stride, codec.space_stride)
    assert z.shape == (1, codec.channels, *strides.video)
    decoded = codec.decode(z, spec)
    assert decoded.shape == (1, 3, 10, 40, 48)
    assert decoded.min() >= 0 and decoded.max() <= 1
    if kind is not CogVideoXVideoCodec:  # whose norms see all frames
        assert torch.allclose(codec.encode(frames()[:, :, :1]), z[:, :, :1], atol=1e-4)  # an image is frame 0


@torch.no_grad()
@pytest.mark.parametrize(("kind", "configs"), AUDIO)
@pytest.mark.parametrize("samples", [100, 8000, 8001])
def test_audio_meets_the_protocol(kind, configs, samples):
    codec = kind(*configs).eval()
    mono = 0.1 * torch.randn(2, 1, samples, generator=torch.Generator().manual_seed(0))
    z = codec.encode(mono)
    rate = codec.sample_rate
    assert rate == (24000 if kind is LTX2AudioCodec else 16000)  # the vocoder's own
    for channels in (1, 2):
        spec = ClipSpec(samples / rate, frames_per_second=rate, channels=channels, sample_rate=rate)
        assert z.shape == (2, codec.channels, LatentSpec(spec, hop=codec.hop).audio)
        assert codec.decode(z, spec).shape == (2, channels, samples)
    assert torch.equal(codec.encode(mono.expand(-1, 2, -1)), z)
    with pytest.raises(InputError, match="sample_rate is 8000"):
        codec.decode(z, ClipSpec(0.5, sample_rate=8000))


@torch.no_grad()
def test_latents_are_normalised_by_the_classes_own_statistics():
    wan = WanVideoCodec(WAN).eval()
    raw = wan.network.encode(2 * frames(1) - 1).latent_dist.mode()
    mean, std = wan.network.config.latents_mean, wan.network.config.latents_std
    assert torch.allclose(wan.encode(frames(1))[:, 3], (raw[:, 3] - mean[3]) / std[3], atol=1e-6)

    decoded = wan.decode(wan.encode(frames(1)), ClipSpec(1 / 16, 40, 48))
    torch.testing.assert_close(decoded, (wan.network.decode(raw).sample / 2 + 0.5).clamp(0, 1))

    ltx = LTX2VideoCodec(LTX_VIDEO | {"scaling_factor": 2.0}).eval()
    ltx.network.latents_mean.fill_(0.5)
    ltx.network.latents_std.fill_(4.0)
    raw = ltx.network.encode(2 * torch.rand(1, 3, 1, 32, 32) - 1).latent_dist.mode()
    mean, std = ltx.statistics()
    assert torch.allclose((raw - mean[0]) / std[0], (raw - 0.5) * 2 / 4)

    audio = LTX2AudioCodec(LTX_AUDIO, VOCODER).eval()
    wave = 0.1 * torch.randn(1, 2, 6400)
    plain = audio.encode(wave)
    audio.network.latents_mean[5], audio.network.latents_std[5] = 1.0, 2.0
    assert torch.allclose(audio.encode(wave)[:, 5], (plain[:, 5] - 1) / 2, atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize(
    ("kind", "configs"), [(WanVideoCodec, (WAN,)), (LTX2VideoCodec, (LTX_VIDEO,)), *AUDIO]
)
def test_from_pretrained_and_then_a_folder_of_avsims_own(kind, configs, tmp_path):
    codec = kind(*configs).eval()
    audio = kind is LTX2AudioCodec
    codec.network.save_pretrained(tmp_path / "hub" / ("audio_vae" if audio else "vae"))
    if audio:
        codec.vocoder.save_pretrained(tmp_path / "hub" / "vocoder")
    fetched = kind.from_pretrained(str(tmp_path / "hub"))
    assert str(tmp_path) not in str(fetched.config)  # no machine's paths in what is exported
    again = load_model(save_model(fetched, tmp_path / "codec"), expected=kind)
    given = 0.1 * torch.randn(1, 2, 2000) if kind in (LTX2AudioCodec, OobleckCodec) else frames(1)
    for other in (fetched, again):
        assert torch.equal(other.encode(given), codec.encode(given))
        assert all(not value.is_meta for value in (*other.parameters(), *other.buffers()))


def test_a_model_that_is_not_there_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="no AutoencoderKLWan can be loaded from here"):
        WanVideoCodec.from_pretrained(str(tmp_path))


def test_diffusers_is_asked_for_only_when_needed(monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(InputError, match=r"avsim\[pretrained\]"):
        pretrained.OobleckCodec(OOBLECK)
