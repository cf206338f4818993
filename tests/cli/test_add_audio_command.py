"""From a silent pipeline to clips with audio, by commands alone, on tiny random models."""

import json
import shutil

import pytest
import torch

from avsim.__main__ import main
from avsim.clip import Clip
from avsim.codecs.pretrained import OobleckCodec
from avsim.data.latent_shards import LatentSource
from avsim.models.joint_folder import is_lora
from avsim.models.joint_generator import JointGenerator
from avsim.models.pair import Pair
from avsim.models.tokens import to_tokens
from avsim.weights import load_model, save_model
from tests.data import conftest as films
from tests.models import tiny

pytest.importorskip("diffusers", reason="the transformers are of diffusers: pip install avsim[test]")

CONFIGS = {"wan 2.1": "wan-1.3b", "wan 2.2": "wan-5b", "ltx-video": "ltx-video"}
RATE = 48000
OOBLECK = {
    "encoder_hidden_size": 16, "downsampling_ratios": [8, 10, 10], "channel_multiples": [1, 1, 2],
    "decoder_channels": 4, "decoder_input_channels": 8, "sampling_rate": RATE,
}  # fmt: skip
OTHER = OOBLECK | {"encoder_hidden_size": 10, "decoder_input_channels": 5}


def avsim(*arguments):
    return main([str(each) for each in arguments])


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with an audio codec and clips of 32 x 32 at 8 fps."""
    place = tmp_path_factory.mktemp("place")
    torch.manual_seed(0)
    save_model(OobleckCodec(OOBLECK), place / "codec")
    films.film(
        place / "films/one.mp4", *(films.shot(2.0, 0.15 + 0.14 * k, 300.0 + 100 * k) for k in (0, 3, 1, 4))
    )
    (place / "films/one.txt").write_text("a ball falls")
    given = ("--size", "32x32", "--seconds", 1, "--fps", 8, "--sample-rate", RATE, "--jobs", 1)
    assert avsim("prepare", place / "films", *given, "--validation", 0.3, "--out", place / "clips") == 0
    return place


KINDS = ["wan 2.1", *(pytest.param(kind, marks=pytest.mark.slow) for kind in list(CONFIGS)[1:])]


@pytest.fixture(scope="module", params=KINDS)
def made(request, place, tmp_path_factory):
    """The folder of a kind of video model: pipeline, model with audio, latents."""
    folder = tmp_path_factory.mktemp(request.param.replace(" ", "-"))
    tiny.pipeline(folder / "pipeline", request.param)
    given = ("--audio-codec", place / "codec", "--width", 16, "--text-length", 6)
    assert avsim("add-audio", folder / "pipeline", *given, "--out", folder / "model") == 0
    assert avsim("encode", place / "clips", "--model", folder / "model", "--out", folder / "latents") == 0
    return request.param, folder


def fit(made, *more):
    kind, folder = made
    run = folder / "run"
    names = ("base", f"add_audio/{CONFIGS[kind]}", "size/tiny")
    files = [each for name in names for each in ("-c", f"configs/{name}.yaml")]
    data = ("--data.folder", folder / "latents", "--data.batch_size", 2, "--trainer.accelerator", "cpu")
    code = avsim("fit", *files, "--run", run, *data, "--trainer.accumulate_grad_batches", 1, *more)
    return run, code


def test_the_model_is_the_pipelines_with_audio_beside_it(made):
    kind, folder = made
    model = load_model(folder / "model/generator", expected=JointGenerator)
    assert model.levels == ("clip" if kind == "wan 2.1" else "token")
    assert model.shifts.video == 3.0 and model.text_length == 6 and model.empty.shape == (1, 16)
    source = LatentSource(folder / "latents", "train")
    text = source.text(0)
    assert text.shape == (4, 16)  # a, two unknown words, the end: trimmed
    assert torch.allclose(text, model.embed(["a ball falls"])[0, :4], atol=2e-3)
    video, audio, _, _ = source.latents(0)
    x = to_tokens(Pair(video[None], audio[None]))
    s = Pair(torch.full((1, 1), 0.5), torch.full((1, 1), 0.5))
    with torch.no_grad():
        one = model(x, s, model.context(text[None], source.spec))
        other = model(x, s, model.context(["a ball falls"], source.spec))
        uncond = model(x, s, model.context(text[None], source.spec, torch.tensor([True])))
        empty = model(x, s, model.context([""], source.spec))
    assert one.video.shape == x.video.shape and one.audio.shape == x.audio.shape
    assert torch.allclose(one.video, other.video, atol=1e-2)
    assert torch.allclose(uncond.video, empty.video, atol=1e-5) and not torch.equal(uncond.video, one.video)


SLOW = [pytest.param(mode, marks=pytest.mark.slow) for mode in ("lora", "full")]


@pytest.mark.parametrize("mode", ["freeze", *SLOW])
def test_it_trains_resumes_exports_and_generates(made, mode, capsys):
    kind, folder = made
    shutil.rmtree(folder / "run", ignore_errors=True)
    mine = ("--model.video", mode, "--model.lora.rank", 2, "--model.video_learning_rate", 1e-2)
    run, code = fit(made, "--init", folder / "model", *mine)
    assert code == 0, capsys.readouterr().err
    assert (run / "csv/metrics.csv").is_file()
    before, after = (load_model(each / "generator") for each in (folder / "model", run / "simulator"))
    assert (after.joint.lora is not None) == (mode == "lora")
    old, new = (dict(model.joint.named_parameters()) for model in (before, after))
    base = [name for name in old if name.startswith("video.")]
    renamed = {
        name: name.replace(".weight", ".base_layer.weight") if name not in new else name for name in base
    }
    renamed = {name: other.replace(".bias", ".base_layer.bias") if other not in new else other
               for name, other in renamed.items()}  # fmt: skip
    moved = [name for name in base if not torch.equal(old[name], new[renamed[name]])]
    assert bool(moved) == (mode == "full")
    assert any(is_lora(name) for name in new) == (mode == "lora")
    assert not torch.equal(old["audio.embed.weight"], new["audio.embed.weight"])
    state = torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    held = [name for name in state if name.startswith("model.joint.video.") and not is_lora(name)]
    assert bool(held) == (mode == "full")  # frozen weights are in no checkpoint
    capsys.readouterr()
    _, code = fit(made, "--trainer.max_steps", 3, *mine)  # the run remembers what it began with
    said = capsys.readouterr()
    assert code == 0 and "going on from step 2" in said.out, said.err
    small = ("--seconds", 0.5, "--steps", 2)
    assert avsim("generate", "--checkpoint", run, "--prompt", "a", *small, "--out", folder / "drawn.mp4") == 0
    clip = Clip.read(folder / "drawn.mp4")
    assert clip.frames.shape[2:] == (32, 32)
    assert clip.wave.shape[0] == 2 and clip.sample_rate == RATE  # stereo at the codec's rate


def test_a_silent_film_is_dubbed_by_a_codec_of_its_channels_alone(made, place, capsys):
    _, folder = made
    film = place / "films/one.mp4"
    given = ("--video", film, "--seconds", 1, "--size", "32x32", "--prompt", "a", "--steps", 2)
    out = folder / "dubbed.mp4"
    assert avsim("generate", "--checkpoint", folder / "model", *given, "--out", out) == 0
    assert Clip.read(out).wave is not None
    shutil.copytree(folder / "model", folder / "mixed", dirs_exist_ok=True)
    save_model(OobleckCodec(OTHER), folder / "mixed/audio_codec")
    assert avsim("generate", "--checkpoint", folder / "mixed", *given, "--out", out) == 2
    assert "latents of 5 channels; the generator takes 8" in capsys.readouterr().err


def test_what_one_level_per_clip_cannot_do_is_refused(made, place, capsys):
    kind, folder = made
    given = (
        "--extend",
        place / "films/one.mp4",
        "--prompt",
        "a",
        "--seconds",
        1,
        "--steps",
        1,
        "--size",
        "32x32",
    )
    code = avsim("generate", "--checkpoint", folder / "model", *given, "--out", folder / "longer.mp4")
    said = capsys.readouterr().err
    if kind == "wan 2.1":
        assert code == 2 and "one noise level per clip" in said.splitlines()[-1]
        shutil.rmtree(folder / "run", ignore_errors=True)
        _, code = fit(made, "--init", folder / "model", "--model.levels.temporal_share", 0.2)
        assert code == 2 and "one noise level per clip" in capsys.readouterr().err
    else:
        assert code == 0, said


def damaged(folder, change):
    change(folder)
    return folder


@pytest.mark.parametrize(
    ("change", "more", "message"),
    [
        (lambda f: shutil.rmtree(f / "transformer"), (), "no transformer here"),
        (
            lambda f: (f / "transformer/config.json").write_text(
                json.dumps({"_class_name": "MochiTransformer3DModel"})
            ),
            (),
            "MochiTransformer3DModel is no known video transformer; known are WanTransformer3DModel",
        ),
        (
            lambda f: (f / "transformer/config.json").write_text(
                json.dumps({"_class_name": "CogVideoXTransformer3DModel"})
            ),
            (),
            "predicts v of a variance-preserving",
        ),
        (
            lambda f: (f / "model_index.json").write_text('{"transformer_2": ["a", "b"]}'),
            (),
            "two transformers",
        ),
        (lambda f: (f / "model_index.json").write_text("{"), (), "not valid json"),
        (lambda f: None, ("--width", 60000), "GiB; this machine has"),
        (lambda f: None, ("--width", 12), "width 12"),
        (lambda f: None, ("--audio-codec", "nowhere"), "no trained audio_codec here"),
        (lambda f: None, ("--text", "nowhere"), "no trained text here"),
    ],
)
def test_bad_input_is_one_line(change, more, message, place, tmp_path, capsys):
    folder = damaged(tiny.pipeline(tmp_path / "pipeline"), change)
    given = ("--audio-codec", place / "codec", "--width", 16, *more)
    capsys.readouterr()
    assert avsim("add-audio", folder, *given, "--out", tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert message in said.splitlines()[-1] and not (tmp_path / "out").exists()


def test_latents_without_embeddings_or_of_another_codec_are_refused(made, place, tmp_path, capsys):
    kind, folder = made
    save_model(OobleckCodec(OTHER), tmp_path / "other")
    pair = ("--video-codec", folder / "model", "--audio-codec")
    assert avsim("encode", place / "clips", *pair, folder / "model", "--out", tmp_path / "bare") == 0
    assert avsim("encode", place / "clips", *pair, tmp_path / "other", "--out", tmp_path / "wrong") == 0
    for latents, message in (("bare", "no text embeddings"), ("wrong", "latents have")):
        shutil.rmtree(folder / "run", ignore_errors=True)
        capsys.readouterr()
        _, code = fit(made, "--init", folder / "model", "--data.folder", tmp_path / latents)
        assert code == 2 and message in capsys.readouterr().err


def test_fit_without_a_model_says_what_is_missing(made, capsys):
    _, folder = made
    shutil.rmtree(folder / "run", ignore_errors=True)
    _, code = fit(made)
    assert code == 2 and "--init DIR" in capsys.readouterr().err


@pytest.mark.slow
def test_the_video_half_of_the_shipped_generator_gets_audio(place, tmp_path, capsys):
    given = ("--audio-codec", place / "codec", "--width", 16, "--out", tmp_path / "model")
    assert avsim("add-audio", "small", *given) == 0
    assert avsim("encode", place / "clips", "--model", tmp_path / "model", "--out", tmp_path / "latents") == 0
    files = [
        each for name in ("base", "add_audio/small", "size/tiny") for each in ("-c", f"configs/{name}.yaml")
    ]
    data = ("--data.folder", tmp_path / "latents", "--data.batch_size", 2, "--trainer.accelerator", "cpu")
    run = tmp_path / "run"
    assert avsim("fit", *files, *data, "--init", tmp_path / "model", "--run", run) == 0, (
        capsys.readouterr().err
    )
    lora = ("--init", run, "--model.video", "lora", "--run", tmp_path / "lora")  # goes on from the run
    assert avsim("fit", *files, *data, *lora) == 0, capsys.readouterr().err
    for checkpoint in (run, tmp_path / "lora"):
        assert (checkpoint / "simulator/video_codec/config.json").is_file()
        drawn = (
            "--prompt",
            "a",
            "--seconds",
            0.5,
            "--steps",
            2,
            "--out",
            tmp_path / f"{checkpoint.name}.mp4",
        )
        assert avsim("generate", "--checkpoint", checkpoint, *drawn) == 0
        assert Clip.read(tmp_path / f"{checkpoint.name}.mp4").sample_rate == RATE
