"""`AVPipeline`: what it returns is what the simulator generates, in the shapes that diffusers has."""

from fractions import Fraction

import av
import numpy as np
import pytest
import torch

import avsim
from avsim import AVPipeline, Clip, Condition, InputError, Region
from tests.small.models import SPEC, export

FRAMES, SIZE, SAMPLES = 8, (32, 48), 16000


@pytest.fixture(scope="module")
def pipe(tmp_path_factory):
    return AVPipeline.from_pretrained(export(tmp_path_factory.mktemp("pipeline") / "run"))


@pytest.fixture(autouse=True)
def in_float32(monkeypatch):
    """Equal within float32's rounding: where bfloat16 is fast, rows of a batch differ by its rounding."""
    monkeypatch.setattr("avsim.devices.fast_in_bfloat16", lambda device: False)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_its_clips_are_the_simulators(pipe):
    made = pipe("a ball falls", generator=seeded(5), num_inference_steps=2, output_type="pt")
    clip = pipe.simulator.generate("a ball falls", seed=5, steps=2)
    assert made.frames.shape == (1, FRAMES, 3, *SIZE)
    assert torch.equal(made.frames[0].transpose(0, 1), clip.frames)
    assert torch.equal(made.audio[0], clip.wave) and made.sampling_rate == SPEC["sample_rate"]
    assert made.frame_rate == SPEC["frames_per_second"] and made.stems is None


def test_output_types_hold_the_same_frames(pipe):
    of = {
        kind: pipe("a ball falls", generator=seeded(1), num_inference_steps=1, output_type=kind)
        for kind in ("pil", "np", "pt")
    }
    assert of["np"].frames.shape == (1, FRAMES, *SIZE, 3)
    assert np.array_equal(of["np"].frames[0], of["pt"].frames[0].permute(0, 2, 3, 1).numpy())
    image = of["pil"].frames[0][3]
    assert image.size == SIZE[::-1] and image.mode == "RGB"
    assert np.abs(np.asarray(image) / 255 - of["np"].frames[0, 3]).max() <= 0.5 / 255 + 1e-6
    for made in of.values():
        assert torch.equal(made.audio, of["pt"].audio)


def test_a_list_of_prompts_continues_the_seed(pipe):
    both = pipe(["a", "b"], generator=seeded(3), num_inference_steps=1, output_type="pt")
    second = pipe("b", generator=seeded(4), num_inference_steps=1, output_type="pt")
    assert both.frames.shape[0] == 2
    assert torch.allclose(both.frames[1], second.frames[0], atol=1e-5)
    each = pipe(["a", "b"], generator=[seeded(9), seeded(4)], num_inference_steps=1, output_type="pt")
    assert torch.equal(each.audio[1], second.audio[0]) and not torch.equal(each.audio[0], both.audio[0])


def test_without_a_generator_the_global_seed_decides(pipe):
    made = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        made.append(pipe("a ball", num_inference_steps=1, output_type="pt").frames)
    assert torch.equal(made[0], made[1]) and not torch.equal(made[0], made[2])


def test_scales_and_negative_prompts_are_the_guidances(pipe):
    how = {"num_inference_steps": 2, "output_type": "pt"}
    plain = pipe("a ball falls", generator=seeded(0), **how).audio
    for name in ("guidance_scale", "audio_guidance_scale", "modality_scale"):
        made = pipe("a ball falls", generator=seeded(0), **{name: 6.0}, **how)
        guidance = pipe.simulator.task_guidance("joint", **{name: 6.0})
        clip = pipe.simulator.generate("a ball falls", seed=0, steps=2, guidance=guidance)
        assert torch.equal(made.audio[0], clip.wave), name
    negative = pipe("a ball falls", negative_prompt="a trumpet plays", generator=seeded(0), **how).audio
    assert not torch.equal(plain, negative)
    lists = pipe(["a ball falls"] * 2, ["a trumpet plays", "rain"], generator=seeded(0), **how).audio
    assert torch.equal(lists[0], negative[0])


def test_another_rate_and_length_and_size(pipe):
    rate = Fraction(24000, 1001)
    made = pipe("a ball", num_frames=20, frame_rate=rate, height=40, width=64, num_inference_steps=1,
                output_type="pt", generator=seeded(0))  # fmt: skip
    assert made.frames.shape == (1, 20, 3, 40, 64)
    assert made.audio.shape[2] == round(20 * 16000 / rate) and made.frame_rate == float(rate)
    own = pipe("a ball", num_frames=7, height=40, width=64, num_inference_steps=1, output_type="pt",
               generator=seeded(0))  # fmt: skip  # as long
    assert own.frames.shape[1] == 7
    shown = [int((index + 0.5) / float(rate) * 8.0) for index in range(20)]
    assert torch.equal(made.frames[0], own.frames[0, shown])


def test_the_callback_is_called_as_diffusers_calls_it(pipe):
    calls = []

    def callback(pipeline, step, timestep, callback_kwargs):
        calls.append((pipeline, step, float(timestep), {k: v.clone() for k, v in callback_kwargs.items()}))
        return callback_kwargs

    how = {"num_inference_steps": 3, "output_type": "pt"}
    names = ["latents", "audio_latents"]
    made = pipe("a ball", generator=seeded(0), callback_on_step_end=callback,
                callback_on_step_end_tensor_inputs=names, **how)  # fmt: skip
    plain = pipe("a ball", generator=seeded(0), **how)
    assert torch.equal(made.frames, plain.frames) and torch.equal(made.audio, plain.audio)
    assert [call[1] for call in calls] == [0, 1, 2] and all(call[0] is pipe for call in calls)
    times = [call[2] for call in calls]
    assert times == sorted(times, reverse=True) and times[0] == 1000 and times[-1] > 0
    assert sorted(calls[0][3]) == sorted(names)
    last = calls[-1][3]
    codec = pipe.simulator.audio_codec
    with torch.no_grad():
        wave = codec.decode(last["audio_latents"], pipe.simulator.spec)
    assert torch.allclose(wave, made.audio, atol=1e-4)


def test_what_the_callback_returns_is_used(pipe):
    def silence(pipeline, step, timestep, callback_kwargs):
        return {"latents": torch.zeros_like(callback_kwargs["latents"])}

    how = {"num_inference_steps": 2, "output_type": "pt"}
    made = pipe("a ball", generator=seeded(0), callback_on_step_end=silence, **how)
    other = pipe("a bell", generator=seeded(1), callback_on_step_end=silence, **how)
    assert torch.equal(made.frames, other.frames) and not torch.equal(made.audio, other.audio)
    with pytest.raises(InputError, match="returned None"):
        pipe("a ball", callback_on_step_end=lambda *given: None, **how)


def test_diffusers_own_helpers_take_its_output(pipe, tmp_path):
    utils = pytest.importorskip("diffusers.utils")
    if not hasattr(utils, "encode_video"):
        pytest.skip("an older diffusers")
    made = pipe("a ball", generator=seeded(0), num_inference_steps=1, output_type="np")
    video = torch.from_numpy((made.frames * 255).round().astype("uint8"))
    utils.encode_video(
        video[0],
        fps=made.frame_rate,
        audio=made.audio[0],
        audio_sample_rate=made.sampling_rate,
        output_path=str(tmp_path / "out.mp4"),
    )
    read = Clip.read(tmp_path / "out.mp4")
    assert read.frames.shape[1:] == (FRAMES, *SIZE) and read.wave.shape[1] == SAMPLES


def test_conditions_are_the_simulators(pipe):
    given = torch.rand(3, 1, *SIZE, generator=seeded(0))
    conditions = [Condition(given), Condition(given.flip(3), at_seconds=0.75)]
    how = {"num_inference_steps": 1, "output_type": "pt", "conditions": conditions}
    made = pipe(["a ball", "a bell"], generator=seeded(2), **how)
    clip = pipe.simulator.generate("a bell", seed=3, steps=1, conditions=conditions)
    assert torch.equal(made.frames[1].transpose(0, 1), clip.frames)
    assert torch.equal(made.frames[0, 0], given[:, 0]) and torch.equal(made.frames[1, 6], given[:, 0].flip(2))
    scaled = pipe("a ball", generator=seeded(2), guidance_scale=5.0, **how)
    assert not torch.equal(scaled.audio[0], made.audio[0])


def test_regions_have_stems(pipe):
    left = Region.box(0, 0, 24, 32, SIZE, name="left")
    made = pipe(
        ["a ball", "a bell"], generator=seeded(0), num_inference_steps=1, output_type="pt", regions=[left]
    )
    assert [stems.names for stems in made.stems] == [["left", "off screen"]] * 2
    for stems, wave in zip(made.stems, made.audio, strict=True):
        assert (stems.mixture - wave).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"prompt": 3}, "prompt is 3"),
        ({"prompt": []}, "prompt is"),
        ({"prompt": ["a", 2]}, "prompt is"),
        ({"negative_prompt": ["a", "b"]}, "2 of negative_prompt for 1 prompts"),
        ({"height": 0}, "height is 0"),
        ({"width": 1.5}, "width is 1.5"),
        ({"num_frames": 0}, "num_frames is 0"),
        ({"frame_rate": 0}, "frame_rate is 0"),
        ({"frame_rate": float("nan")}, "frame_rate is nan"),
        ({"num_inference_steps": 0}, "steps is 0"),
        ({"guidance_scale": -1.0}, "guidance_scale is -1"),
        ({"generator": 3}, "generator is 3"),
        ({"generator": [torch.Generator()] * 2}, "2 of generator for 1 prompts"),
        ({"conditions": torch.rand(3, 1, 8, 8)}, "conditions is"),
        ({"conditions": [Condition(torch.rand(3, 1, 8, 8), at_seconds=9.0)]}, "outside the clip"),
        ({"output_type": "latent"}, "output_type is 'latent'"),
        ({"callback_on_step_end": 3}, "expected a function"),
        ({"callback_on_step_end_tensor_inputs": ["x"]}, "has 'x'"),
    ],
)
def test_wrong_arguments_are_named(pipe, wrong, words):
    with pytest.raises(InputError, match=words):
        pipe(**{"prompt": "a ball", **wrong})


def test_no_such_model():
    with pytest.raises(InputError, match="absent"):
        avsim.AVPipeline.from_pretrained("absent")


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(30000, 1001), Fraction(25, 2)])
def test_files_keep_rational_rates(suffix, rate, tmp_path):
    frames = torch.rand(3, 30, 16, 16)
    clip = Clip.fitted(frames, torch.zeros(2, 1), float(rate), 48000)
    path = clip.write(tmp_path / f"clip{suffix}")
    with av.open(str(path)) as file:
        assert file.streams.video[0].average_rate == rate
    read = Clip.read(path)
    assert read.frames.shape[1] == 30 and read.frames_per_second == pytest.approx(float(rate), rel=1e-9)
