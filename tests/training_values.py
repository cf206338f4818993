"""What trainings and samplers compute at first: a change that moves a loss, a gradient or a draw is seen.

`python -m tests.training_values` writes `training_values.json` anew, for a change that is meant to move them.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import lightning as L
import torch
from torch import nn
from torch.utils.data import DataLoader

from avsim.clip import ClipSpec, LatentSpec
from avsim.codecs.audio import AudioAutoencoder
from avsim.codecs.system import AudioCodecSystem, VideoCodecSystem
from avsim.codecs.video import VideoAutoencoder
from avsim.data.batch import ClipBatch, LatentBatch
from avsim.data.datamodule import stack
from avsim.diffusion import Latents, generate
from avsim.diffusion.datamodule import CHUNK, ReplayData, ReplayLength
from avsim.diffusion.distillation import SYNC_TARGET_GUIDANCE, TARGET_GUIDANCE
from avsim.diffusion.flow_edit import flow_edit
from avsim.diffusion.guidance import DEFAULT_GUIDANCE, GUIDANCE_GIVEN_AUDIO, Guidance
from avsim.diffusion.levels import LevelMixture
from avsim.diffusion.multidiffusion import MultiDiffusion
from avsim.diffusion.rerank import clean_audio_loss
from avsim.diffusion.student import DistillationSystem
from avsim.diffusion.system import GeneratorSystem
from avsim.diffusion.tasks import (
    ANIMATE,
    AUDIO_ONLY,
    AUDIO_TO_VIDEO,
    FOLEY,
    JOINT,
    VIDEO_ONLY,
    Task,
    until,
)
from avsim.models.joint import JointDiT
from avsim.models.pair import Pair
from avsim.models.text import WordEncoder
from avsim.models.tokens import to_tokens
from avsim.seeds import generator
from avsim.separation import Separator, SeparatorSystem
from avsim.separation.baselines.sound_of_pixels import SoundOfPixels
from avsim.separation.baselines.system import SoundOfPixelsSystem
from avsim.separation.scenes import CONSTRAINTS, Scenes, save_scenes
from avsim.training.optimizers import Recipe
from avsim.weights import save_model
from avsim.world.flat.config import KINDS
from tests.fitting import quiet_trainer
from tests.shipped import fingerprint
from tests.small.models import SPEC as CLIPS
from tests.small.models import export

NUMBERS = Path(__file__).with_suffix(".json")
SPEC = ClipSpec(1.0, 32, 32, 16.0, 16000, 2)
LATENTS = LatentSpec(ClipSpec(seconds=0.75, height=32, width=48))
RECIPE = Recipe(learning_rate=1e-3, warmup_steps=2)
SMALL = {"short_side": 32, "width": 8, "fine": 8, "coarse": 24, "frame_blocks": 2, "bin_widths": [8, 16]}
Values = dict[str, dict[str, list[float]]]


def waken(model: nn.Module, std: float = 0.1) -> None:
    """Random weights also where training starts at zero."""
    random = generator(1, "waken")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=random) * std)


class Watch(L.Callback):
    """Keeps each step's gradients and logged values."""

    def __init__(self) -> None:
        self.values: dict[str, list[float]] = {}

    def on_before_optimizer_step(self, trainer: L.Trainer, module: L.LightningModule, optimizer: Any) -> None:
        """Fingerprints of the gradients of each part of the model."""
        gradients: dict[str, list[torch.Tensor]] = {}
        for name, weight in module.named_parameters():
            if weight.grad is not None:
                gradients.setdefault(".".join(name.split(".")[:2]), []).append(weight.grad.flatten())
        for name, parts in gradients.items():
            self.values[f"step {trainer.global_step} gradient {name}"] = fingerprint(torch.cat(parts))


def fitted(system: L.LightningModule, batches: list[Any]) -> dict[str, list[float]]:
    """The first two steps' gradients and the logged values, with those of a validation."""
    watch = Watch()
    with tempfile.TemporaryDirectory() as folder:
        trainer = quiet_trainer(
            Path(folder), 2, callbacks=[watch], num_sanity_val_steps=0, log_every_n_steps=1
        )
        loader = DataLoader(batches, batch_size=None)
        trainer.fit(system, loader, loader)
    logged = {name: [float(value)] for name, value in trainer.callback_metrics.items()}
    return {**watch.values, **logged}


@cache
def clips(rows: range, spec: ClipSpec = SPEC) -> ClipBatch:
    """Scenes of the world, with stems and masks."""
    scenes = Scenes(constraints={"two": 0.6, "off screen": 0.4}, seed=3)
    samples = [scenes.sample(row, spec, generator(0)) for row in rows]
    return stack(samples, spec, torch.tensor(list(rows)))


def scenes() -> Values:
    """Two scenes of each constraint: what is seen, heard, and said of them."""
    values = {}
    spec = replace(SPEC, sample_rate=8000)
    for name in CONSTRAINTS:
        source = Scenes(constraints={name: 1.0}, seed=5)
        for row in range(2):
            sample = source.sample(row, spec, generator(0))
            assert sample.frames is not None and sample.wave is not None
            assert sample.stems is not None and sample.masks is not None
            values[f"{name} {row}"] = {
                "frames": fingerprint(sample.frames), "wave": fingerprint(sample.wave),
                "stems": fingerprint(sample.stems), "masks": fingerprint(sample.masks),
                "caption": [float(len(sample.caption)), float(sum(map(ord, sample.caption)))],
            }  # fmt: skip
        for family in KINDS:
            source = Scenes(constraints={name: 1.0}, families={family: 1.0}, seed=6)
            made = [source.scene(row, replace(spec, seconds=2.0)) for row in range(6)]
            values[f"{name}, {family}"] = {
                "bodies": [float(len(each.bodies)) for each in made],
                "players": [float(len(each.players)) for each in made],
                "strokes": [float(len(each.stick.hits)) for each in made],
                "places": [sum(body.x + body.release for body in each.bodies) for each in made],
                "times": [sum(hit.seconds * (1 + hit.target) for hit in each.stick.hits) for each in made],
            }
    with tempfile.TemporaryDirectory() as folder:
        index = json.loads(save_scenes(folder, [Scenes(seed=5, count=3)], spec).read_text())
    values["saved"] = {"regions": [float(item["regions"]) for item in index["items"]]}
    return values


def video_codec() -> Values:
    """A plain codec with every term of the loss, and residual ones as they ship and of a wider stride."""
    batches = [clips(range(4 * k, 4 * k + 4)) for k in range(2)]

    def system(channels: int, model: Mapping[str, Any], **options: Any) -> dict[str, list[float]]:
        torch.manual_seed(0)
        network = VideoAutoencoder(channels, widths=(8, 12, 16), depths=(1, 1, 1), **model)
        return fitted(VideoCodecSystem(network, RECIPE, seed=2, **options), batches)

    return {
        "plain": system(
            4, {"residual": False, "time_stride": 2}, crop_frames=5, noise_level=0.2, kl_weight=0.1,
            perceptual=nn.AvgPool3d(2), adversarial_weight=0.1, adversarial_start=1,
        ),
        "residual": system(6, {}, crop_frames=9),
        "wide": system(6, {"space_stride": 16}, crop_frames=9, motion=2.0, noise=0.2),
        "decoder": system(6, {}, crop_frames=5, decoder_only=True),
    }  # fmt: skip


def audio_codec() -> Values:
    """A stereo codec on crops."""
    torch.manual_seed(0)
    batches = [clips(range(4 * k, 4 * k + 4)) for k in range(2)]
    model = AudioAutoencoder(channels=4, width=16, depths=(1, 2))
    system = AudioCodecSystem(model, RECIPE, seed=2, crop_seconds=0.5, weights={"level": 2.0})
    return {"stereo": fitted(system, batches)}


def separator() -> Values:
    """A separator with all its augmentation and tests for collapse, and The Sound of Pixels."""
    torch.manual_seed(0)
    model = Separator(**SMALL)
    waken(model, 0.05)
    batches = [clips(range(4 * k, 4 * k + 4), replace(SPEC, sample_rate=8000)) for k in range(2)]
    torch.manual_seed(0)
    pixels = SoundOfPixels(short_side=32, features=4, widths=[4, 4, 8, 8], width=4, widest=8)
    waken(pixels, 0.05)
    return {
        "separator": fitted(SeparatorSystem(model, RECIPE, seed=2, spectrum=0.7, every=3), batches),
        "sound of pixels": fitted(SoundOfPixelsSystem(pixels, RECIPE, seed=2), batches),
    }


def latents(seed: int) -> LatentBatch:
    """Random latents of clips, with images beside them."""
    random = generator(seed, "latents")
    video = torch.randn(8, 4, *LATENTS.video, generator=random)
    audio = torch.randn(8, 6, LATENTS.audio, generator=random)
    words = ["a bell rings", "a ball falls", "", "a drum"] * 2
    names = [f"{row}" for row in range(8)]
    still = replace(LATENTS, clip=LATENTS.clip.still)
    images = LatentBatch(still, video[:4, :, :1], None, words[:4], names[:4], 4 * seed)
    return LatentBatch(LATENTS, video, audio, words, names, 8 * seed, images=images)


def network() -> JointDiT:
    """A small generator with random weights everywhere."""
    torch.manual_seed(0)
    text = WordEncoder(width=32, layers=1, rows=64, length=8)
    model = JointDiT(
        video_channels=4, audio_channels=6, width=32, blocks=2, heads=2, mlp_ratio=2.0, text=text
    )
    waken(model)
    return model


LEVELS = LevelMixture(joint=0.3, independent=0.2, video_given=0.15, audio_given=0.15, unimodal=0.2)


def joint() -> Values:
    """A generator and its guided student on latents and images, with every kind of row."""
    batches = [latents(seed) for seed in range(2)]
    own = {
        "seed": 4, "levels": LEVELS, "caption_dropout": 0.3, "caption_dropout_given_video": 0.6,
        "motion_weight": 2.0, "recipe": RECIPE,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        save_model(network(), Path(folder))
        student = DistillationSystem(folder, **own)
        return {
            "generator": fitted(GeneratorSystem(network(), **own), batches),
            "student": fitted(student, batches),
        }


def levels() -> Values:
    """Noise levels of three steps of 16 rows, of mixtures for each of the options."""
    values: Values = {}
    mixtures = {
        "default": LevelMixture(), "all kinds": replace(LEVELS, given_noise=0.3, pure_noise=0.2),
        "in time": replace(LEVELS, temporal_share=1.0, logit_std=1.5),
    }  # fmt: skip
    for name, mixture in mixtures.items():
        for step in range(3):
            rows = torch.arange(16 * step, 16 * step + 16)
            found = mixture.sample(LATENTS, Pair(3.0, 2.0), rows, 7, step, coupled=step < 2)
            alone = mixture.unimodal_rows(0, 16, 16, step)
            values[f"{name} {step}"] = {
                "video": fingerprint(found.video), "audio": fingerprint(found.audio),
                "alone": [float(each) for each in alone],
            }  # fmt: skip
    return values


GUIDANCE = Guidance(
    guidance_scale=2.5, modality_scale=2.0, audio_modality_scale=3.0, modality_start=0.3, sync_scale=0.3,
    guidance_start=0.2, sync_samples=2, audio_text_scale=1.5, sync_start=0.25, sync_end=0.9,
    audio_guidance_scale=1.7, negative_prompt="a drum",
)  # fmt: skip
TASKS = (
    JOINT, FOLEY, AUDIO_TO_VIDEO, ANIMATE, VIDEO_ONLY, AUDIO_ONLY, Task("extend", until(0.3), until(0.3)),
    Task("edit", start=0.6),
)  # fmt: skip


def sampling() -> Values:
    """What a random generator draws for each task with every kind of guidance, and what edits and reranks."""
    model, clean = network().eval(), latents(3)
    given, captions = Latents(clean.video[:2], clean.audio[:2]), ["a bell", ""]
    how: dict[str, Any] = {"steps": 3, "guidance": GUIDANCE, "seed": 5, "first_row": 2}
    found = {task.name: generate(model, captions, LATENTS, given, task, **how) for task in TASKS}
    plain = {"steps": 2, "seed": 5, "guidance": Guidance(2.0, sync_scale=0.2)}
    found["first frame first"] = generate(model, captions, LATENTS, **plain, first_frame_lead=1)
    wide = replace(LATENTS, clip=replace(LATENTS.clip, width=80))
    found["windows"] = generate(MultiDiffusion(model, (32, 48)), captions, wide, **plain)
    one = given.each(lambda each: each[:1])
    found["edited"] = flow_edit(
        model, "a bell", "a drum", LATENTS, one, Task("edit", start=0.7), steps=3, guidance=GUIDANCE,
        source_guidance=Guidance(1.5), seed=6,
    )  # fmt: skip
    values = {
        name: {
            modality: fingerprint(part)
            for modality, part in (("video", each.video), ("audio", each.audio))
            if part is not None
        }
        for name, each in found.items()
    }
    with torch.no_grad():
        losses = clean_audio_loss(model, model.context(captions, LATENTS), to_tokens(given), 3)
    values["rerank"] = {"losses": losses.tolist()}
    return values


def defaults() -> Values:
    """The guidance that ships: of sampling, and of the targets that the shipped student learned."""
    named = {
        "default": DEFAULT_GUIDANCE, "audio given": GUIDANCE_GIVEN_AUDIO, "targets": TARGET_GUIDANCE[0],
        "targets, audio given": TARGET_GUIDANCE[1], "sync targets": SYNC_TARGET_GUIDANCE[0],
        "sync targets, audio given": SYNC_TARGET_GUIDANCE[1],
    }  # fmt: skip
    return {
        name: {key: [float(x)] for key, x in asdict(how).items() if isinstance(x, int | float)}
        for name, how in named.items()
    }


def replay() -> Values:
    """Batches that are sampled from clips rendered meanwhile, of two lengths, with images."""
    in_float32 = mock.patch("avsim.devices.fast_in_bfloat16", return_value=False)
    with tempfile.TemporaryDirectory() as folder, in_float32:
        run = str(export(Path(folder) / "run"))
        lengths = (ReplayLength(1.0, 4, CHUNK, 0.6, 0.4), ReplayLength(0.5, 4, 2 * CHUNK, 0.4, 0.6))
        data = ReplayData(
            run, run, "easy", ClipSpec(**CLIPS), lengths, {"strike": 0.5}, images=0.5, clips_per_step=CHUNK,
            minimum=CHUNK, held_out=CHUNK, workers=0, seed=4,
        )  # fmt: skip
        data.begin(0)
        values = {}
        for step in range(4):
            data.fill(step)
            batch = data.batch(step)
            assert batch.video is not None and batch.audio is not None and batch.images is not None
            assert batch.images.video is not None
            values[f"step {step}"] = {
                "video": fingerprint(batch.video), "audio": fingerprint(batch.audio),
                "images": fingerprint(batch.images.video),
                "clips": [float(name.split("/")[-1]) for name in (*batch.names, *batch.images.names)],
                "rows": [float(batch.first_row), float(batch.images.first_row), float(data.chunks)],
            }  # fmt: skip
        data.teardown("fit")
    return values


PARTS: dict[str, Callable[[], Values]] = {
    each.__name__: each
    for each in (
        scenes,
        video_codec,
        audio_codec,
        separator,
        joint,
        levels,
        sampling,
        defaults,
        replay,
    )  # fmt: skip
}


def main() -> None:
    """Write the numbers."""
    torch.set_num_threads(1)
    found = {
        part: {
            name: {what: [float(f"{x:.6g}") for x in numbers] for what, numbers in each.items()}
            for name, each in compute().items()
        }
        for part, compute in PARTS.items()
    }
    NUMBERS.write_text(json.dumps(found, indent=0) + "\n")


if __name__ == "__main__":
    main()
