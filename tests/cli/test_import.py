"""`avsim import` on tiny random models in local folders, as the hub would have them."""

import pytest
import torch

from avsim.__main__ import main
from avsim.weights import load_model
from tests.codecs import test_neural_audio as neural
from tests.codecs import test_pretrained as cases

pytest.importorskip("diffusers", reason="the codecs are of diffusers: pip install avsim[test]")


def avsim(*arguments):
    return main([str(each) for each in arguments])


VIDEO = {
    "wan 2.1": (cases.WanVideoCodec, cases.WAN, "16 channels, 8 x 8 x 4"),
    "wan 2.2": (cases.WanVideoCodec, cases.WAN | cases.WAN_22, "16 channels, 16 x 16 x 4"),
    "ltx-2": (cases.LTX2VideoCodec, cases.LTX_VIDEO, "8 channels"),
    "cogvideox": (cases.CogVideoXVideoCodec, cases.COGVIDEOX, "16 channels, 8 x 8 x 4"),
}


@pytest.mark.parametrize("name", VIDEO)
def test_video_codecs(name, tmp_path, capsys):
    kind, config, said = VIDEO[name]
    codec = kind(config).eval()
    codec.network.save_pretrained(tmp_path / "pipeline/vae")
    for place in ("pipeline", "pipeline/vae"):
        out = tmp_path / "codecs" / place
        assert avsim("import", tmp_path / place, "--part", "video_codec", "--out", out) == 0
        assert said in capsys.readouterr().out
        loaded = load_model(out, expected=kind)
        frames = torch.rand(1, 3, 1, 64, 64)
        with torch.no_grad():
            assert torch.equal(loaded.encode(frames), codec.encode(frames))


def test_audio_codecs(tmp_path, capsys):
    oobleck, ltx = cases.OobleckCodec(cases.OOBLECK), cases.LTX2AudioCodec(cases.LTX_AUDIO, cases.VOCODER)
    oobleck.network.save_pretrained(tmp_path / "stable-audio/vae")
    ltx.network.save_pretrained(tmp_path / "ltx-2/audio_vae")
    ltx.vocoder.save_pretrained(tmp_path / "ltx-2/vocoder")
    neural.DACCodec(neural.DAC).network.save_pretrained(tmp_path / "dac")
    neural.EnCodecCodec(neural.ENCODEC).network.save_pretrained(tmp_path / "encodec")
    for name, said in {
        "stable-audio": "8 channels, every 32 samples at 16000 Hz",
        "ltx-2": "at 24000 Hz",
        "dac": "16 channels, every 10 samples at 8000 Hz",
        "encodec": "12 channels, every 8 samples at 48000 Hz",
    }.items():
        out = tmp_path / "codecs" / name
        assert avsim("import", tmp_path / name, "--part", "audio_codec", "--out", out) == 0
        assert said in capsys.readouterr().out
        assert load_model(out).encode(torch.randn(1, 2, 400)).isfinite().all()


def test_statistics_are_measured_on_files(tmp_path):
    from avsim.clip import Clip

    (tmp_path / "sounds").mkdir()
    (tmp_path / "sounds/notes.txt").write_text("no audio")
    for i in range(2):
        wave = 0.1 * torch.randn(2, 4000, generator=torch.Generator().manual_seed(i))
        Clip(None, wave, sample_rate=8000).write(tmp_path / f"sounds/{i}.wav")
    neural.DACCodec(neural.DAC).network.save_pretrained(tmp_path / "dac")
    out = tmp_path / "codec"
    given = ("--part", "audio_codec", "--statistics", tmp_path / "sounds", "--out", out)
    assert avsim("import", tmp_path / "dac", *given) == 0
    with torch.no_grad():
        z = load_model(out).encode(wave[None])[0]
    assert torch.allclose(z.std(1), torch.ones(len(z)), atol=0.2)


def test_text_encoders(tmp_path, capsys):
    import tokenizers
    import transformers

    words = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({"<pad>": 0, "<unk>": 1, "a": 2}, unk_token="<unk>")
    )
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", unk_token="<unk>"
    ).save_pretrained(tmp_path / "pipeline/tokenizer")
    config = transformers.UMT5Config(vocab_size=5, d_model=16, d_kv=8, d_ff=32, num_layers=2)
    transformers.UMT5EncoderModel(config).save_pretrained(tmp_path / "pipeline/text_encoder")
    given = ("--part", "text", "--length", 7, "--layer", 1, "--layer", -1, "--out", tmp_path / "text")
    assert avsim("import", tmp_path / "pipeline", *given) == 0
    assert "32 wide, 7 tokens" in capsys.readouterr().out
    text, here = load_model(tmp_path / "text")(["a b"])
    assert text.shape == (1, 7, 32) and here.sum() == 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            ("--part", "video_codec"),
            "no video codec that is known here (nothing found); known are AutoencoderKLWan",
        ),
        (("--part", "audio_codec"), "known are AutoencoderKLLTX2Audio, AutoencoderOobleck, dac, encodec"),
        (("--part", "text"), "no text encoder could be loaded"),
        (("--part", "video_codec", "--length", "5"), "--length is of text encoders"),
        (("--part", "text", "--statistics", "x"), "--statistics is of audio codecs"),
        ((), "--part"),
    ],
)
def test_bad_input_is_one_line(given, message, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert avsim("import", tmp_path / "empty", *given, "--out", tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_another_codecs_class_is_named(tmp_path, capsys):
    cases.OobleckCodec(cases.OOBLECK).network.save_pretrained(tmp_path / "stable-audio/vae")
    out = tmp_path / "out"
    assert avsim("import", tmp_path / "stable-audio", "--part", "video_codec", "--out", out) == 2
    assert "found AutoencoderOobleck" in capsys.readouterr().err
