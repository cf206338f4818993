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
    LTXVideoCodec,
    OobleckCodec,
    WanVideoCodec,
)
from avsim.errors import InputError
from avsim.weights import load_model, save_model
from tests.shipped import fingerprint

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
LTX_V1 = {
    "latent_channels": 8,
    "block_out_channels": [8, 8, 8, 8],
    "decoder_block_out_channels": [8, 8, 8, 8],
    "layers_per_block": [1] * 5,
    "decoder_layers_per_block": [1] * 5,
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
    (LTXVideoCodec, LTX_V1),
    (LTXVideoCodec, LTX_V1 | {"timestep_conditioning": True}),
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
    ("kind", "configs"),
    [(WanVideoCodec, (WAN,)), (LTX2VideoCodec, (LTX_VIDEO,)), (LTXVideoCodec, (LTX_V1,)), *AUDIO],
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


def set_weights(module):
    """The same weights for any version of the libraries and any machine."""
    with torch.no_grad():
        for weight in module.parameters():
            numbers = torch.arange(weight.numel(), dtype=torch.float64).reshape(weight.shape)
            size = weight[0].numel() if weight.ndim > 1 else 1
            weight.copy_((weight.ndim == 1) + (1.7 * numbers).cos() / max(1, size) ** 0.5)
        for name, buffer in module.named_buffers():
            if name.endswith(("latents_mean", "latents_std")):
                buffer.copy_(name.endswith("std") + 0.4 * torch.arange(float(len(buffer))).cos())


EXPECTED = [  # of latents and of what they decode to, a line for each of VIDEO and AUDIO
    [
        0.5565,
        1.31,
        0.3586,
        -0.05368,
        -0.03187,
        0.01331,
        0.799,
        0.8381,
        0.01135,
        -0.009629,
        -0.003335,
        -0.001308,
    ],
    [0.5564, 1.31, 0.3892, -1.494, -0.1807, -0.1568, 0.8561, 0.8766, 0.01013, -0.006893, -0.00185, -0.00482],
    [
        1.139,
        1.579,
        -1.865,
        -2.217,
        -0.3985,
        -0.006465,
        0.8391,
        0.8612,
        0.01261,
        -0.02689,
        -0.07045,
        -0.004244,
    ],
    [
        1.141,
        1.585,
        -1.815,
        -2.22,
        -0.3973,
        -0.01881,
        0.8388,
        0.8619,
        0.009713,
        -0.006752,
        -0.007449,
        -0.002861,
    ],
    [1.141, 1.585, -1.815, -2.22, -0.3973, -0.01881, 0.7408, 0.8196, 0.01037, -0.01536, 0.001344, -0.02367],
    [
        1.243,
        1.634,
        0.7077,
        -0.04497,
        -0.007817,
        -0.01308,
        0.7458,
        0.8295,
        0.01051,
        -0.0007595,
        -0.002341,
        -0.00603,
    ],
    [1.247, 1.682, -0.5046, 0.1897, -0.2869, -0.3994, 0.4609, 0.8539, -0.02008, -0.0404, -0.008963, 0.0361],
    [1.059, 1.151, 0.1115, 0.001909, -0.1978, -0.0942, 0.1045, 7.425, -0.002348, 0.07872, -0.0223, -0.1211],
]


@torch.no_grad()
@pytest.mark.parametrize(
    ("kind", "configs", "expected"),
    [
        (*each, expected)
        for each, expected in zip(
            [*((kind, (config,)) for kind, config in VIDEO), *AUDIO], EXPECTED, strict=True
        )
    ],
)
def test_latents_and_what_they_decode_to_are_as_they_were(kind, configs, expected):
    codec = kind(*configs).eval()
    set_weights(codec)
    if kind in (LTX2AudioCodec, OobleckCodec):
        spec = ClipSpec(0.5, frames_per_second=16, channels=2, sample_rate=codec.sample_rate)
        seconds = torch.arange(spec.samples) / spec.sample_rate
        given = torch.stack([0.3 * (2000 * seconds).cos(), 0.1 * (700 * seconds).sin()])[None]
    else:
        spec, (y, x) = (
            ClipSpec(9 / 16, 64, 96),
            torch.meshgrid(torch.arange(64.0), torch.arange(96.0), indexing="ij"),
        )
        given = torch.stack([0.5 + 0.5 * (0.1 * (x + y) + k).cos() for k in range(9)])[None, None]
        given = given.expand(-1, 3, -1, -1, -1) * torch.tensor([1.0, 0.7, 0.4])[:, None, None, None]
    latents = codec.encode(given)
    found = [*fingerprint(latents), *fingerprint(codec.decode(0.1 * latents, spec))]
    assert found == pytest.approx(expected, rel=0.01, abs=0.01 * max(map(abs, expected)))


def test_strides_by_what_a_config_says():
    """LTX-2's own: of three stages that scale time, four that scale space, in patches of 4 x 4."""
    one = LTX2VideoCodec(LTX_VIDEO)
    assert (one.time_stride, one.space_stride, one.channels) == (8, 32, 8)
    with pytest.raises(InputError, match="timestep_conditioning"):
        LTX2VideoCodec(LTX_VIDEO | {"timestep_conditioning": True})
    assert (WanVideoCodec(WAN).time_stride, WanVideoCodec(WAN).space_stride) == (4, 8)
    assert (LTXVideoCodec(LTX_V1).time_stride, LTXVideoCodec(LTX_V1).space_stride) == (8, 32)
    assert (CogVideoXVideoCodec(COGVIDEOX).time_stride, CogVideoXVideoCodec(COGVIDEOX).space_stride) == (4, 8)
    audio = LTX2AudioCodec(LTX_AUDIO, VOCODER)
    assert (audio.mel_hop, audio.hop, audio.bins, audio.channels) == (640, 960, 4, 32)
    with pytest.raises(InputError, match="no whole number of samples at its vocoder's 22051 Hz"):
        LTX2AudioCodec(LTX_AUDIO, VOCODER | {"output_sampling_rate": 22051})


@pytest.mark.parametrize("shape", [(2, 100), (1, 3, 100), (1, 0, 100), (1, 2, 0)])
def test_waves_of_other_shapes_are_refused(shape):
    with pytest.raises(InputError, match="one or two channels"):
        OobleckCodec(OOBLECK).encode(torch.zeros(shape))


def test_a_model_that_is_not_there_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="no AutoencoderKLWan can be loaded from here"):
        WanVideoCodec.from_pretrained(str(tmp_path))


def test_diffusers_is_asked_for_only_when_needed(monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(InputError, match=r"avsim\[pretrained\]"):
        pretrained.OobleckCodec(OOBLECK)
