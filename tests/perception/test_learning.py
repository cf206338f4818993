"""A handful of clips and some steps of small networks: what is there to be learned is learned."""

import pytest
import torch
from torch.utils.data import DataLoader

from avsim.clip import ClipSpec
from avsim.devices import autocast_if_faster
from avsim.perception.audio_detector import AudioDetector
from avsim.perception.losses import audio_losses, video_losses
from avsim.perception.samples import LabeledBatch, LabeledWorld, stacked
from avsim.perception.system import AudioDetectorSystem, VideoDetectorSystem
from avsim.perception.video_detector import VideoDetector
from avsim.training.optimizers import Recipe, configure
from tests.fitting import quiet_trainer

SPEC = ClipSpec(seconds=0.75)
PICTURE = {"fine": 16, "coarse": 16, "blocks": 2}
SOUND = {"bands": 32, "widths": (8, 12, 16), "width": 48, "blocks": 4}


@pytest.fixture(scope="module")
def samples() -> LabeledBatch:
    source = LabeledWorld("easy", seed=11)
    return stacked([source.sample(index, SPEC) for index in range(3)], SPEC, range(3))


def learn(model, losses, clips, labels, steps: int):
    recipe = Recipe(learning_rate=6e-3, warmup_steps=5, decay_start=0.5)
    parts = configure(model, recipe, steps)
    for _ in range(steps):
        with autocast_if_faster("cpu"):
            loss = torch.stack(list(losses(model(clips), labels).values())).sum()
        parts["optimizer"].zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        parts["optimizer"].step()
        parts["lr_scheduler"]["scheduler"].step()
    return model.eval()


def conclude(system, batch) -> dict[str, float]:
    logged: dict[str, float] = {}
    system.log = lambda name, value, **_: logged.update({name: float(value)})
    system.log_dict = lambda values, **_: logged.update(
        {name: float(value) for name, value in values.items()}
    )
    with torch.no_grad():
        system.validation_step(batch, 0)
    system.on_validation_epoch_end()
    return logged


def test_sound_is_learned(samples):
    torch.manual_seed(0)
    model = AudioDetector(**SOUND)
    learn(model, audio_losses, model.grid.resample_audio(samples.wave, 16000), samples.labels, 70)
    scores = conclude(AudioDetectorSystem(model), samples)
    assert scores["val/onset/f1"] > 0.9 and scores["val/onset/kind"] > 0.8, scores
    assert scores["val/onset/material"] > 0.8 and scores["val/onset/level"] < 4.0, scores
    assert model.errors.values()["onset/recall"] == pytest.approx(scores["val/onset/recall"])
    assert 0.1 <= float(model.onset_threshold) <= 0.9


def test_pictures_are_learned(samples):
    torch.manual_seed(0)
    model = VideoDetector(**PICTURE)
    learn(model, video_losses, samples.frames, samples.labels, 50)
    scores = conclude(VideoDetectorSystem(model), samples)
    assert scores["val/thing/f1"] > 0.9 and scores["val/event/f1"] > 0.7, scores
    assert scores["val/thing/kind"] > 0.8 and scores["val/thing/material"] > 0.7, scores
    assert scores["val/event/seconds"] < 1 / 32, scores


@pytest.mark.parametrize("kind", [VideoDetectorSystem, AudioDetectorSystem])
def test_lightning_trains_and_validates(kind, samples, tmp_path):
    torch.manual_seed(0)
    model = VideoDetector(**PICTURE) if kind is VideoDetectorSystem else AudioDetector(**SOUND)
    system = kind(model)
    assert list(system.parts()) == [system.name]
    system.recipe = Recipe(warmup_steps=1)
    before = {name: value.clone() for name, value in system.model.named_parameters()}
    trainer = quiet_trainer(tmp_path, 3, limit_val_batches=1, num_sanity_val_steps=0, val_check_interval=3)
    loader = DataLoader([samples] * 3, batch_size=None)
    trainer.fit(system, loader, loader)
    still = [name for name, value in system.model.named_parameters() if torch.equal(value, before[name])]
    assert not still, still


class Silence:
    """A codec of which nothing is left."""

    def to(self, device):
        return self

    def encode(self, values):
        return values

    def decode(self, values, spec):
        return torch.zeros_like(values)


def test_half_of_a_batch_goes_through_the_codec(samples):
    """Rows take turns from step to step; the others are left as they are."""
    system = AudioDetectorSystem(AudioDetector(**SOUND))
    assert torch.equal(system.lossy(samples.wave, samples), samples.wave)
    system.through = [Silence()]
    lossy = system.lossy(samples.wave, samples)
    assert not lossy[::2].any() and torch.equal(lossy[1::2], samples.wave[1::2])
