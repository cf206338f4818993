import pytest
import torch

from avsim.clip import ClipSpec, LatentSpec
from avsim.codecs.audio import AudioAutoencoder
from avsim.codecs.spectra import istft, overlap_add, stft
from avsim.errors import InputError
from avsim.weights import load_model, save_model


@pytest.fixture(scope="module")
def codec():
    torch.manual_seed(0)
    codec = AudioAutoencoder(channels=6, width=32)
    codec.latent_norm.observe(torch.tensor([[0.3] * 6, [1.2] * 6]))
    return codec.eval()


def sound(channels=2, samples=8000):
    return 0.1 * torch.randn(2, channels, samples, generator=torch.Generator().manual_seed(1))


def spec_of(samples, channels=2, sample_rate=16000):
    return ClipSpec(
        samples / sample_rate, frames_per_second=sample_rate, sample_rate=sample_rate, channels=channels
    )


@pytest.mark.parametrize(("n_fft", "hop", "length"), [(512, 125, 500), (512, 128, 512), (64, 16, 64)])
def test_istft_inverts_stft_to_the_very_edges(n_fft, hop, length):
    wave, window = torch.randn(2, 20 * hop), torch.hann_window(length)
    spectra = stft(wave, n_fft, hop, window)
    assert spectra.shape == (2, n_fft // 2 + 1, 20)
    assert torch.allclose(istft(spectra, n_fft, hop, window), wave, atol=1e-5)


def test_a_frame_is_centred_on_its_hop():
    # An impulse in the middle of hop 5 is loudest in frame 5, and as loud in 4 as in 6.
    wave = torch.zeros(1, 1600)
    wave[0, 5 * 128 + 64] = 1
    level = stft(wave, 512, 128, torch.hann_window(512)).abs().mean(1)[0]
    assert level.argmax() == 5
    assert torch.allclose(level[4], level[6], rtol=0.02)


def test_a_full_scale_sine_has_magnitude_one_half():
    wave = torch.sin(2 * torch.pi * 10 / 512 * torch.arange(5120, dtype=torch.float64)).float()
    for length in (512, 400):
        assert stft(wave, 512, 128, torch.hann_window(length))[10, 10:30].abs().mean() == pytest.approx(
            0.5, 1e-3
        )


def test_overlap_add_by_hand():
    frames = torch.tensor([[1.0, 2.0, 3.0, 4.0], [10.0, 20.0, 30.0, 40.0]])
    assert overlap_add(frames, 2).tolist() == [1, 2, 13, 24, 30, 40]


@torch.no_grad()
@pytest.mark.parametrize("samples", [1, 499, 500, 501, 8000, 33333])
@pytest.mark.parametrize("channels", [1, 2])
def test_any_length_comes_back(codec, samples, channels):
    spec = spec_of(samples, channels)
    z = codec.encode(sound(channels, samples))
    assert z.shape == (2, 6, LatentSpec(spec).audio)
    assert codec.decode(z, spec).shape == (2, channels, samples)


@torch.no_grad()
def test_mono_is_on_both_sides(codec):
    mono = sound(1)
    assert torch.equal(codec.encode(mono), codec.encode(mono.expand(-1, 2, -1)))
    z, spec = codec.encode(mono), spec_of(8000)
    both = codec.decode(z, spec).mean(1, keepdim=True)
    assert torch.allclose(codec.decode(z, spec_of(8000, 1)), both, atol=1e-7)


@torch.no_grad()
def test_the_same_latents_are_the_same_samples_alone_and_in_a_batch(codec):
    z, spec = codec.encode(sound()), spec_of(8000)
    whole, alone = codec.decode(z, spec)[1:], codec.decode(z[1:], spec)
    assert (whole - alone).square().mean() < 1e-3 * whole.square().mean()


@torch.no_grad()
def test_padding_is_silence(codec):
    wave = sound(samples=7800)
    whole = torch.nn.functional.pad(wave, (0, 200))
    assert torch.equal(codec.encode(wave), codec.encode(whole))


@torch.no_grad()
def test_silence_is_finite(codec):
    z = codec.encode(torch.zeros(1, 2, 1000))
    assert z.isfinite().all() and codec.decode(z, spec_of(1000)).isfinite().all()


@torch.no_grad()
def test_a_latent_lies_where_its_span_says(codec):
    # The receptive field is symmetric: a click in latent 20's span moves it, and latents far off not at all.
    wave = torch.zeros(1, 2, 64 * 500)
    clicked = wave.clone()
    clicked[..., 20 * 500 + 250] = 0.5
    moved = (codec.encode(clicked) - codec.encode(wave)).abs().sum((0, 1))
    assert moved.argmax() == 20
    assert moved[:10].max() == 0 and moved[31:].max() == 0


@torch.no_grad()
def test_under_bfloat16_autocast_spectra_stay_in_float32(codec):
    wave = sound()
    with torch.autocast("cpu", torch.bfloat16):
        z = codec.encode(wave)
        decoded = codec.decode(z, spec_of(8000))
    assert z.dtype == decoded.dtype == torch.float32
    assert (z - codec.encode(wave)).abs().mean() < 0.05
    with torch.autocast("cpu", torch.bfloat16):
        window = torch.hann_window(500)
        assert torch.allclose(istft(stft(wave, 512, 125, window), 512, 125, window), wave, atol=1e-5)


@torch.no_grad()
def test_statistics_travel_with_the_weights(codec, tmp_path):
    again = load_model(save_model(codec, tmp_path / "codec"))
    assert torch.equal(again.encode(sound()), codec.encode(sound()))


@torch.no_grad()
def test_what_cannot_be_decoded_is_refused(codec):
    z = torch.zeros(1, 6, 4)
    with pytest.raises(InputError, match="sample_rate is 44100 Hz; this codec works at 16000 Hz"):
        codec.decode(z, spec_of(1000, sample_rate=44100))
    with pytest.raises(InputError, match="channels is 6"):
        codec.decode(z, spec_of(1000, channels=6))
    with pytest.raises(InputError, match="decode to 2000 samples; the spec asks for 2001"):
        codec.decode(z, spec_of(2001))
    with pytest.raises(InputError, match=r"the wave is \(2, 3, 8000\)"):
        codec.encode(sound(3))
