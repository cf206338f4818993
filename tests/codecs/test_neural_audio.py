"""DAC and EnCodec on randomly initialised tiny networks of the classes in transformers."""

import pytest
import torch

from avsim.clip import ClipSpec, LatentSpec
from avsim.codecs.neural_audio import DACCodec, EnCodecCodec
from avsim.errors import InputError
from avsim.weights import load_model, save_model

pytest.importorskip("transformers", reason="the codecs are of transformers: pip install avsim[test]")

DAC = {
    "encoder_hidden_size": 4, "downsampling_ratios": [2, 5], "decoder_hidden_size": 16, "n_codebooks": 2,
    "codebook_size": 16, "codebook_dim": 2, "hidden_size": 16, "sampling_rate": 8000,
}  # fmt: skip
ENCODEC = {
    "sampling_rate": 48000, "audio_channels": 2, "num_filters": 4, "hidden_size": 12,
    "upsampling_ratios": [4, 2], "codebook_size": 16, "num_lstm_layers": 1, "target_bandwidths": [6.0],
}  # fmt: skip
CODECS = [(DACCodec, DAC, 8000, 10), (EnCodecCodec, ENCODEC, 48000, 8)]


def wave(samples, channels=2, seed=0):
    return 0.1 * torch.randn(2, channels, samples, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
@pytest.mark.parametrize(("kind", "config", "rate", "hop"), CODECS)
@pytest.mark.parametrize("samples", [30, 800, 1001])
def test_they_meet_the_protocol_at_their_own_rate(kind, config, rate, hop, samples):
    codec = kind(config).eval()
    assert (codec.sample_rate, codec.hop) == (rate, hop)
    z = codec.encode(wave(samples))
    for channels in (1, 2):
        spec = ClipSpec(samples / rate, frames_per_second=rate, channels=channels, sample_rate=rate)
        assert z.shape == (2, codec.channels, LatentSpec(spec, hop=hop).audio)
        assert codec.decode(z, spec).shape == (2, channels, samples)
    with pytest.raises(InputError, match="sample_rate is 100"):
        codec.decode(z, ClipSpec(0.5, sample_rate=100))


@torch.no_grad()
@pytest.mark.parametrize(("kind", "config", "rate", "hop"), CODECS)
def test_observed_latents_have_unit_variance_and_decode_to_the_same(kind, config, rate, hop):
    codec = kind(config).eval()
    spec = ClipSpec(4000 / rate, frames_per_second=rate, sample_rate=rate)
    before = codec.decode(codec.encode(wave(4000)), spec)
    codec.observe(wave(4000))
    z = codec.encode(wave(4000)).transpose(0, 1).flatten(1)
    assert torch.allclose(z.mean(1), torch.zeros(codec.channels), atol=1e-3)
    assert torch.allclose(z.std(1), torch.ones(codec.channels), atol=2e-2)
    assert torch.allclose(codec.decode(codec.encode(wave(4000)), spec), before, atol=1e-4)
    with pytest.raises(InputError, match="no waves"):
        codec.observe([])


@torch.no_grad()
@pytest.mark.parametrize(("kind", "config", "rate", "hop"), CODECS)
def test_from_pretrained_and_then_a_folder_of_avsims_own(kind, config, rate, hop, tmp_path):
    codec = kind(config).eval()
    codec.network.save_pretrained(tmp_path / "hub")
    fetched = kind.from_pretrained(str(tmp_path / "hub"))
    again = load_model(save_model(fetched, tmp_path / "codec"), expected=kind)
    for other in (fetched, again):
        assert torch.equal(other.encode(wave(500)), codec.encode(wave(500)))
    with pytest.raises(InputError, match="expected|can be loaded"):
        (DACCodec if kind is EnCodecCodec else EnCodecCodec).from_pretrained(str(tmp_path / "hub"))
