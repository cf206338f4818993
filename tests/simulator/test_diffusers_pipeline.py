"""Pipelines of diffusers as generators: a silent tiny Wan, dubbed by what ships, and one with audio."""

import json
from types import SimpleNamespace

import pytest
import torch

from avsim.__main__ import main
from avsim.clip import Clip

diffusers = pytest.importorskip("diffusers", reason="the pipelines are diffusers': pip install avsim[test]")

from avsim.simulator.diffusers_pipeline import DiffusersPipeline  # noqa: E402
from tests.models import tiny  # noqa: E402


def avsim(*arguments):
    return main([str(each) for each in arguments])


@pytest.fixture(scope="module")
def wan(tmp_path_factory):
    """A whole pipeline as the hub has it."""
    import transformers
    from diffusers import (
        AutoencoderKLWan,
        FlowMatchEulerDiscreteScheduler,
        WanPipeline,
        WanTransformer3DModel,
    )

    parts = tiny.pipeline(tmp_path_factory.mktemp("parts"))
    pipeline = WanPipeline(
        transformers.AutoTokenizer.from_pretrained(parts / "tokenizer"),
        transformers.UMT5EncoderModel.from_pretrained(parts / "text_encoder"),
        AutoencoderKLWan.from_pretrained(parts / "vae"),
        FlowMatchEulerDiscreteScheduler.from_pretrained(parts / "scheduler"),
        transformer=WanTransformer3DModel.from_pretrained(parts / "transformer"),
    )
    folder = tmp_path_factory.mktemp("wan")
    pipeline.save_pretrained(folder)
    return folder


SMALL = ("--prompt", "a ball falls", "--seconds", 0.5, "--size", "32x32", "--steps", 2)


def test_a_silent_pipeline_makes_clips_that_depend_on_the_seed(wan, tmp_path):
    given = ("--pipeline", wan, *SMALL, "--count", 2, "--seed", 3)
    assert avsim("generate", *given, "--out", f"{tmp_path}/drawn/") == 0
    listing = json.loads((tmp_path / "drawn/samples.json").read_text())
    assert [each["seed"] for each in listing] == [3, 4] and listing[0]["prompt"] == "a ball falls"
    one, other = (Clip.read(tmp_path / "drawn" / each["file"]) for each in listing)
    assert one.frames.shape == (3, 9, 32, 32) and one.wave is None and one.frames_per_second == 16
    assert not torch.equal(one.frames, other.frames)
    assert avsim("generate", "--pipeline", wan, *SMALL, "--seed", 3, "--out", tmp_path / "again.mp4") == 0
    assert torch.equal(Clip.read(tmp_path / "again.mp4").frames, one.frames)


def test_its_video_is_dubbed_by_a_generator(wan, tmp_path):
    out = tmp_path / "dubbed.mp4"
    assert avsim("generate", "--pipeline", wan, "--dub", "small", *SMALL, "--out", out) == 0
    clip = Clip.read(out)
    assert clip.frames.shape == (3, 9, 32, 32) and clip.wave is not None


class Loud:
    """What LTX-2's pipeline takes and returns."""

    config = {}
    vae_temporal_compression_ratio = 8
    vocoder = SimpleNamespace(config={"output_sampling_rate": 24000})

    def to(self, device):
        return self

    def set_progress_bar_config(self, disable):
        pass

    def __call__(self, prompt=None, height=512, width=768, num_frames=121, frame_rate=24.0,
                 num_inference_steps=30, generator=None, output_type="pil"):  # fmt: skip
        frames = torch.rand(1, num_frames, 3, height, width, generator=generator)
        audio = torch.rand(1, 2, int(24000 * num_frames / frame_rate) + 50, generator=generator) - 0.5
        return SimpleNamespace(frames=frames, audio=audio)


def test_a_pipeline_with_audio_keeps_its_own_rate(monkeypatch):
    monkeypatch.setattr(diffusers.DiffusionPipeline, "from_pretrained", lambda *_, **__: Loud())
    clip = DiffusersPipeline("owner/name").generate("a bell", seconds=1.0, size=(32, 64))
    assert clip.frames.shape == (3, 25, 32, 64) and clip.frames_per_second == 24.0
    assert clip.wave.shape == (2, 25000) and clip.sample_rate == 24000


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--pipeline", "nowhere/there is none", "--prompt", "a"), "no pipeline can be loaded"),
        (("--pipeline", "x"), "generates from a --prompt"),
        (("--pipeline", "x", "--prompt", "a", "--video", "film.mp4"), "--video is of avsim's own generators"),
        (("--pipeline", "x", "--prompt", "a", "--guidance-scale", "7"), "--guidance-scale is of avsim's own"),
        (
            ("--pipeline", "x", "--prompt", "a", "--negative-prompt", "b"),
            "--negative-prompt is of avsim's own",
        ),
        (("--pipeline", "x", "--prompt", "a", "--backward"), "--backward is of avsim's own generators"),
        (("--dub", "small", "--prompt", "a"), "--dub is for the video of a --pipeline"),
    ],
)
def test_bad_input_is_one_line(given, message, tmp_path, capsys):
    assert avsim("generate", *given, "--out", tmp_path / "out.mp4") == 2
    said = capsys.readouterr().err
    assert message in said.splitlines()[-1]
