"""Training of audio beside a video transformer: what is trained, at which rate, with which codecs."""

from types import SimpleNamespace

import pytest
import torch

from avsim.codecs import AudioAutoencoder, VideoAutoencoder
from avsim.data.batch import LatentBatch
from avsim.diffusion.add_audio import AddAudioSystem
from avsim.diffusion.levels import LevelMixture
from avsim.errors import InputError
from avsim.models import add_audio
from avsim.models.joint import JointDiT
from avsim.models.joint_generator import JointGenerator
from avsim.models.lora import LoRA, is_lora
from avsim.training.optimizers import Recipe
from avsim.weights import save_model
from tests.diffusion.conftest import SPEC, waken

EVEN = LevelMixture(temporal_share=0.0)


def generator() -> JointGenerator:
    torch.manual_seed(0)
    own = JointDiT(4, 5, width=32, blocks=2, heads=2)
    waken(own)
    joint = add_audio(own, audio_channels=6, width=16)
    return JointGenerator(joint, text_length=8, empty=torch.zeros(1, joint.audio.text_width))


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """What `avsim add-audio` writes: a generator and its codecs."""
    folder = tmp_path_factory.mktemp("base") / "model"
    save_model(generator(), folder / "generator")
    save_model(VideoAutoencoder(widths=(8, 8, 8), depths=(1, 1, 1)), folder / "video_codec")
    save_model(AudioAutoencoder(width=16), folder / "audio_codec")
    return folder


def kinds(system: AddAudioSystem) -> dict[str, set[bool]]:
    """Whether the weights of each part of the model are trained."""
    joint, found = system.model.joint, {}
    for name, weight in joint.named_parameters():
        kind = "lora" if is_lora(name) else name.partition(".")[0]
        found.setdefault(kind, set()).add(weight.requires_grad)
    return found


def test_nothing_of_the_video_transformer_is_trained_unless_asked_for(base):
    system = AddAudioSystem(str(base))
    assert kinds(system) == {"video": {False}, "audio": {True}, "fusion": {True}}
    joint = system.model.joint
    assert joint.video_frozen and joint.audio.training and not joint.video.training
    assert not joint.gradient_checkpointing and system.base == str(base)


def test_all_of_the_video_transformer_is_trained_if_asked_for(base):
    system = AddAudioSystem(str(base), video="full")
    assert kinds(system) == {"video": {True}, "audio": {True}, "fusion": {True}}
    joint = system.model.joint
    assert not joint.video_frozen and joint.video.training and joint.lora is None
    assert any(name.startswith("model.joint.video.") for name in system.state_dict())


def test_adapters_of_the_wanted_rank_are_trained_and_go_on_from_a_run(base, tmp_path):
    pytest.importorskip("peft", reason="adapters are peft's: pip install avsim[pretrained]")
    system = AddAudioSystem(str(base), video="lora", lora=LoRA(rank=2))
    assert kinds(system) == {"video": {False}, "lora": {True}, "audio": {True}, "fusion": {True}}
    assert system.model.joint.lora.rank == 2
    adapters = {name: w for name, w in system.model.named_parameters() if is_lora(name)}
    assert all(2 in weight.shape for weight in adapters.values())
    with torch.no_grad():
        for weight in adapters.values():
            weight.fill_(0.25)
    save_model(system.model, tmp_path / "run" / "simulator" / "generator")
    again = AddAudioSystem(str(tmp_path / "run"), video="lora", lora=LoRA(rank=4))
    assert again.model.joint.lora.rank == 2  # those that are there are trained on
    assert all((w == 0.25).all() for name, w in again.model.named_parameters() if is_lora(name))
    with pytest.raises(InputError, match="has LoRA adapters; train these"):
        AddAudioSystem(str(tmp_path / "run"), video="full")


def test_the_codecs_are_those_of_the_model_unless_others_are_given(base, tmp_path):
    own = {part: str(base / part) for part in ("video_codec", "audio_codec")}
    assert AddAudioSystem(str(base)).codecs == own
    assert AddAudioSystem(str(base), audio_codec="other").codecs == own | {"audio_codec": "other"}
    run = tmp_path / "run"
    save_model(generator(), run / "simulator" / "generator")
    save_model(VideoAutoencoder(widths=(8, 8, 8), depths=(1, 1, 1)), run / "simulator" / "video_codec")
    expected = {"video_codec": str(run / "simulator/video_codec"), "audio_codec": None}
    assert AddAudioSystem(str(run)).codecs == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"audio": 1e-3, "fusion": 1e-3, "video": 1e-3}),
        ({"fusion_learning_rate": 2e-3}, {"audio": 1e-3, "fusion": 2e-3, "video": 1e-3}),
        ({"video_learning_rate": 3e-5}, {"audio": 1e-3, "fusion": 1e-3, "video": 3e-5}),
        (
            {"fusion_learning_rate": 0.0, "video_learning_rate": 3e-5},
            {"audio": 1e-3, "fusion": 0.0, "video": 3e-5},
        ),
    ],
)
def test_each_part_has_its_learning_rate(base, given, expected):
    recipe = Recipe(learning_rate=1e-3, warmup_steps=0)
    system = AddAudioSystem(str(base), video="full", recipe=recipe, **given)
    system._trainer = SimpleNamespace(estimated_stepping_batches=100)
    configured = system.configure_optimizers()
    rates = {}
    for group in configured["optimizer"].param_groups:
        rates |= {id(weight): group["lr"] for weight in group["params"]}
    for name, weight in system.model.joint.named_parameters():
        assert rates[id(weight)] == pytest.approx(expected[name.partition(".")[0]])
    assert configured["lr_scheduler"]["interval"] == "step"


def test_blocks_are_recomputed_to_save_memory_if_asked_for(base):
    assert AddAudioSystem(str(base), gradient_checkpointing=True).model.joint.gradient_checkpointing


def batch(text) -> LatentBatch:
    video, audio = torch.zeros(2, 4, *SPEC.video), torch.zeros(2, 6, SPEC.audio)
    return LatentBatch(SPEC, video, audio, ["a"] * 2, ["one", "two"], 0, text)


def test_only_batches_with_embeddings_of_the_models_width_are_taken(base):
    system = AddAudioSystem(str(base))
    width = system.model.joint.audio.text_width
    taken = batch(torch.zeros(2, 3, width))
    assert system.on_before_batch_transfer(taken, 0) is taken
    for text in (None, torch.zeros(2, 3, width, dtype=torch.long)):
        with pytest.raises(InputError, match="no text embeddings; encode the clips with avsim encode"):
            system.on_before_batch_transfer(batch(text), 0)
    with pytest.raises(InputError, match=f"embeddings are {width + 1} wide; the video .* takes {width}"):
        system.on_before_batch_transfer(batch(torch.zeros(2, 3, width + 1)), 0)
    assert system.on_before_batch_transfer("no latents", 0) == "no latents"


def test_levels_that_vary_within_a_clip_are_refused_by_a_model_of_one_level_per_clip(base, monkeypatch):
    monkeypatch.setattr(JointGenerator, "levels", "clip")
    with pytest.raises(InputError, match="one noise level per clip; set --model.init_args.levels.temporal"):
        AddAudioSystem(str(base))
    assert AddAudioSystem(str(base), levels=EVEN).levels == EVEN


def test_without_a_model_nothing_is_trained(tmp_path):
    with pytest.raises(InputError, match="give the folder that avsim add-audio wrote, --init DIR"):
        AddAudioSystem()
    with pytest.raises(InputError, match="no trained generator here"):
        AddAudioSystem(str(tmp_path))
