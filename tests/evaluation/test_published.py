"""Published embeddings, as tiny random networks of the same classes: no hub can be reached in a test."""

import sys
import types

import pytest
import torch
import torchaudio

from avsim.clip import Clip
from avsim.errors import InputError
from avsim.evaluation.published import embedding
from avsim.evaluation.result import NotJudged

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def clips():
    random = torch.Generator().manual_seed(0)
    return [
        Clip(
            torch.rand(3, 8, 24, 32, generator=random), torch.rand(2, 8000, generator=random) - 0.5, 16, 16000
        )
        for _ in range(2)
    ]


def test_videomae(tmp_path, clips):
    torch.manual_seed(0)
    config = transformers.VideoMAEConfig(
        image_size=32, patch_size=16, num_frames=4, hidden_size=16, num_hidden_layers=1,
        num_attention_heads=2, intermediate_size=16,
    )  # fmt: skip
    transformers.VideoMAEModel(config).save_pretrained(tmp_path / "v")
    embed = embedding(f"videomae:{tmp_path / 'v'}")
    one, other = (embed(clip) for clip in clips)
    assert one.shape == (16,) and torch.equal(one, embed(clips[0])) and not torch.allclose(one, other)
    frames = torch.nn.functional.interpolate(
        clips[0].frames[:, [0, 2, 5, 7]].transpose(0, 1), (32, 32), mode="bilinear", antialias=True
    )
    imagenet = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[..., None, None]
    given = {"pixel_values": ((frames - imagenet[0]) / imagenet[1])[None]}
    with torch.no_grad():
        expected = transformers.VideoMAEModel.from_pretrained(tmp_path / "v").eval()(**given)
    torch.testing.assert_close(one, expected.last_hidden_state[0].mean(0).double(), rtol=1e-4, atol=1e-5)
    with pytest.raises(NotJudged, match="no video"):
        embed(Clip(None, clips[0].wave, sample_rate=16000))


def test_clap(tmp_path, clips):
    torch.manual_seed(0)
    audio = dict(
        patch_embeds_hidden_size=16, hidden_size=32, depths=[1, 1], num_attention_heads=[2, 2], spec_size=64,
        num_mel_bins=16, projection_dim=8, enable_fusion=False,
    )  # fmt: skip
    text = dict(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, projection_dim=8
    )
    config = transformers.ClapConfig(text_config=text, audio_config=audio, projection_dim=8)
    transformers.ClapModel(config).save_pretrained(tmp_path / "c")
    extractor = transformers.ClapFeatureExtractor(
        feature_size=16, max_length_s=1, truncation="rand_trunc", fft_window_size=1024
    )
    extractor.save_pretrained(tmp_path / "c")
    embed = embedding(f"clap:{tmp_path / 'c'}")
    one, other = (embed(clip) for clip in clips)
    assert one.shape == (8,) and one.isfinite().all() and not torch.allclose(one, other)
    resampled = torchaudio.functional.resample(clips[0].wave.mean(0), 16000, 48000)
    given = extractor(resampled.numpy(), sampling_rate=48000, return_tensors="pt")
    with torch.no_grad():
        found = transformers.ClapModel.from_pretrained(tmp_path / "c").eval().get_audio_features(**given)
    expected = getattr(found, "pooler_output", found)[0].double()
    torch.testing.assert_close(one, expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(NotJudged, match="no audio"):
        embed(Clip(clips[0].frames, None, 16))


def test_a_function_of_ones_own(monkeypatch, clips):
    module = types.ModuleType("made_for_test")
    module.mean = lambda clip: clip.frames.mean((1, 2, 3))
    module.nothing = 3
    monkeypatch.setitem(sys.modules, "made_for_test", module)
    with pytest.raises(InputError, match="--allow-module made_for_test"):
        embedding("made_for_test:mean")
    monkeypatch.setattr("avsim.weights._ALLOWED", ["made_for_test"])
    assert torch.equal(embedding("made_for_test:mean")(clips[0]), clips[0].frames.mean((1, 2, 3)))
    for spec, says in [
        ("made_for_test:nothing", "is a int"),
        ("made_for_test:absent", "absent"),
        ("no_such_package:f", "no_such_package"),
        ("passt", "expected clap:NAME"),
        ("videomae:/nowhere/at/all", "no VideoMAEModel can be loaded"),
    ]:
        with pytest.raises(InputError, match=says):
            embedding(spec)
