"""The nodes of ComfyUI, run by a stub of it: what they return is what the simulator does."""

from fractions import Fraction

import pytest
import torch

import avsim
from avsim import Clip, InputError, Region
from tests.extras.comfy import Comfy, Interrupted, VideoComponents, VideoFromComponents, execute
from tests.small.models import export

SIZE, RATE = (32, 48), 8


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return str(export(tmp_path_factory.mktemp("comfyui") / "run"))


@pytest.fixture(scope="module")
def simulator(run):
    return avsim.load(run)


@pytest.fixture(autouse=True)
def comfy(monkeypatch):
    running = Comfy()
    running.install(monkeypatch)
    return running


@pytest.fixture
def nodes(comfy):
    from avsim.extras.comfyui import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

    assert set(NODE_CLASS_MAPPINGS) == set(NODE_DISPLAY_NAME_MAPPINGS)
    return NODE_CLASS_MAPPINGS


@pytest.fixture
def video():
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(8, *SIZE, 3, generator=generator)
    audio = {"waveform": 0.1 * torch.randn(1, 2, 16000, generator=generator), "sample_rate": 16000}
    return VideoFromComponents(VideoComponents(images, Fraction(RATE), audio))


def frames(images):
    return images.permute(3, 0, 1, 2)


def test_generate(nodes, run, simulator, comfy):
    how = {"checkpoint": run, "prompt": "a ball falls", "seconds": 1.0, "width": 48, "height": 32, "steps": 3}
    made, images, audio = execute(nodes["AvsimGenerate"], seed=7, **how)
    clip = simulator.generate("a ball falls", 1.0, seed=7, steps=3)
    assert torch.equal(frames(images), clip.frames) and torch.equal(audio["waveform"][0], clip.wave)
    components = made.get_components()
    assert torch.equal(components.images, images) and components.frame_rate == RATE
    assert comfy.progress == [(1, 3), (2, 3), (3, 3)]
    scaled = execute(nodes["AvsimGenerate"], seed=7, guidance_scale=5.0, negative_prompt="rain", **how)
    guidance = simulator.task_guidance("joint", guidance_scale=5.0, negative_prompt="rain")
    clip = simulator.generate("a ball falls", 1.0, seed=7, steps=3, guidance=guidance)
    assert torch.equal(frames(scaled[1]), clip.frames)


def test_an_image_is_animated(nodes, run, simulator, video):
    image = video.get_components().images[:1]
    how = {"checkpoint": run, "seconds": 1.0, "width": 48, "height": 32, "steps": 1, "seed": 2}
    _, images, _ = execute(nodes["AvsimGenerate"], prompt="a ball", image=image, **how)
    clip = simulator.animate(Clip(frames(image), None), "a ball", 1.0, seed=2, steps=1)
    assert torch.equal(frames(images), clip.frames)


def test_prompts_are_rewritten_for_models_of_the_worlds(nodes, run, monkeypatch):
    import avsim.extras.comfyui.nodes as module

    asked = []
    monkeypatch.setattr(module, "rewrite", lambda prompt, checkpoint: asked.append(prompt) or "a ball falls")
    how = {"checkpoint": run, "prompt": "drop it", "seconds": 1.0, "width": 48, "height": 32, "steps": 1}
    one, other = (execute(nodes["AvsimGenerate"], rewrite_prompt=which, **how)[2] for which in (True, False))
    assert asked == ["drop it"] and not torch.equal(one["waveform"], other["waveform"])


def test_foley(nodes, run, simulator, video):
    made, audio = execute(nodes["AvsimFoley"], video=video, checkpoint=run, prompt="a bell", steps=2, seed=3)
    components = video.get_components()
    clip = simulator.foley(Clip(frames(components.images), None, RATE), "a bell", seed=3, steps=2)
    assert torch.equal(made.get_components().images, components.images)
    assert torch.equal(audio["waveform"][0], clip.wave)
    assert not torch.equal(audio["waveform"], components.audio["waveform"])


@pytest.mark.parametrize("backward", [False, True])
def test_extend(backward, nodes, run, video):
    how = {"checkpoint": run, "prompt": "a bell", "seconds": 0.5, "steps": 1, "seed": 1, "backward": backward}
    _, images, audio = execute(nodes["AvsimExtend"], video=video, **how)
    components = video.get_components()
    assert images.shape[0] == 12 and audio["waveform"].shape[2] == 24000
    kept = images[4:] if backward else images[:8]
    assert torch.equal(kept, components.images)


def test_separate(nodes, run, simulator, video):
    mask = torch.zeros(1, 64, 96)  # twice the size
    mask[:, :, :48] = 1
    one, rest = execute(nodes["AvsimSeparate"], video=video, mask=mask, checkpoint=run)
    components = video.get_components()
    wave = components.audio["waveform"]
    assert (one["waveform"] + rest["waveform"] - wave).abs().max() < 1e-5
    clip = Clip(frames(components.images), wave[0], RATE, 16000)
    stems = simulator.separate(clip, [Region.box(0, 0, 24, 32, SIZE)])
    assert torch.allclose(one["waveform"][0], stems.wave[0], atol=1e-6)
    moving, _ = execute(nodes["AvsimSeparate"], video=video, mask=mask.expand(8, -1, -1), checkpoint=run)
    assert torch.allclose(moving["waveform"], one["waveform"], atol=1e-5)


def test_it_can_be_interrupted(nodes, run, comfy):
    comfy.interrupted = True
    with pytest.raises(Interrupted):
        execute(nodes["AvsimGenerate"], checkpoint=run, prompt="a ball", seconds=1.0, width=48, height=32)


def test_rational_rates_pass_through(nodes, run, video):
    components = video.get_components()
    components.frame_rate = Fraction(24000, 1001)
    made, _ = execute(nodes["AvsimFoley"], video=video, checkpoint=run, prompt="a bell", steps=1)
    assert made.get_components().frame_rate == Fraction(24000, 1001)


def test_what_can_not_be_used_is_named(nodes, run, video):
    with pytest.raises(InputError, match="absent"):
        execute(nodes["AvsimGenerate"], checkpoint="absent")
    with pytest.raises(ValueError, match="required_input_missing"):
        execute(nodes["AvsimFoley"], checkpoint=run)
    with pytest.raises(InputError, match=r"expected \(1, H, W\) or \(8, H, W\)"):
        execute(nodes["AvsimSeparate"], video=video, mask=torch.ones(3, *SIZE), checkpoint=run)
    with pytest.raises(InputError, match="empty"):
        execute(nodes["AvsimSeparate"], video=video, mask=torch.zeros(1, *SIZE), checkpoint=run)
    video.get_components().audio = None
    with pytest.raises(InputError, match="audio"):
        execute(nodes["AvsimExtend"], video=video, checkpoint=run, steps=1)
    with pytest.raises(InputError, match="audio"):
        execute(nodes["AvsimSeparate"], video=video, mask=torch.ones(1, *SIZE), checkpoint=run)
