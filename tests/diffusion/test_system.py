import math
from dataclasses import replace
from itertools import product
from types import SimpleNamespace

import pytest
import torch
from lightning import Callback, LightningDataModule, Trainer
from torch.utils.data import DataLoader

from avsim.clip import ClipSpec, LatentSpec
from avsim.codecs.video import VideoAutoencoder
from avsim.data.batch import LatentBatch
from avsim.diffusion import JointDiT, Latents, Pair
from avsim.diffusion.distillation import SYNC_TARGET_GUIDANCE, TARGET_GUIDANCE
from avsim.diffusion.guidance import Guidance, GuidanceRows, conditioned, guide
from avsim.diffusion.levels import LevelMixture
from avsim.diffusion.loss import motion_weight
from avsim.diffusion.noising import Noised
from avsim.diffusion.student import DistillationSystem
from avsim.diffusion.system import GeneratorSystem, gathered
from avsim.diffusion.training_sample import CaptionDropout, training_samples
from avsim.errors import InputError
from avsim.measures import bootstrap
from avsim.models.couplings import JointCoupling, NoCoupling
from avsim.models.tokens import to_tokens
from avsim.seeds import generator
from avsim.training.optimizers import Recipe
from avsim.weights import hash_of, load_model, save_model
from tests.diffusion.conftest import COUPLINGS, MEETING, SPEC, tokens
from tests.diffusion.conftest import levels as levels_of
from tests.small.models import SPEC as CLIPS
from tests.small.models import export, offset_judge

SHIFTS = Pair(1.5, 1.0)


def latent_batch(rows: int = 4, seed: int = 0, keep: str = "both") -> LatentBatch:
    """Clips whose sound tells how bright the video is at its time."""
    random = torch.Generator().manual_seed(seed)
    loud = torch.randn(rows, 4, SPEC.video[0], generator=random)
    video = 0.2 * torch.randn(rows, 4, *SPEC.video, generator=random) + loud[..., None, None]
    audio = torch.nn.functional.interpolate(loud, SPEC.audio)[:, [0, 1, 2, 3, 0, 1]]
    return LatentBatch(
        SPEC,
        None if keep == "audio" else video,
        None if keep == "video" else audio,
        ["a bell"] * rows,
        [f"clip {row}" for row in range(rows)],
        0,
    )


class Batches(LightningDataModule):
    def __init__(self, count: int, rows: int = 4, keep: str = "both"):
        super().__init__()
        self.batches = [latent_batch(rows, seed, keep) for seed in range(count)]
        self.held_out = [latent_batch(rows, 1000 + seed, keep) for seed in range(4)]

    def train_dataloader(self):
        return DataLoader(self.batches, batch_size=None)

    def val_dataloader(self):
        return DataLoader(self.held_out, batch_size=None)


def fit(system: GeneratorSystem, data: Batches, **options) -> dict[str, float]:
    trainer = Trainer(
        max_steps=len(data.batches), accelerator="cpu", logger=False, enable_checkpointing=False,
        log_every_n_steps=1, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
        **options,
    )  # fmt: skip
    trainer.fit(system, data)
    return {name: value.item() for name, value in trainer.logged_metrics.items()}


def part(batch: LatentBatch, rows: slice) -> LatentBatch:
    return LatentBatch(
        batch.spec,
        batch.video[rows],
        batch.audio[rows],
        batch.captions[rows],
        batch.names[rows],
        batch.first_row + rows.start,
    )


LEVELS = LevelMixture()
COUPLED = LevelMixture(independent=0.34, unimodal=0.0)


def sampled(batch: LatentBatch, step: int, size: int = 0, seed: int = 3, levels=LEVELS, **dropout):
    chances = CaptionDropout(**{"default": 0.5, "given_video": 0.5, **dropout})
    return training_samples(batch, size or len(batch.names), levels, chances, SHIFTS, seed, step, 0.4)


def rows_of(samples) -> dict[tuple[str, int], tuple]:
    """What was sampled for each modality of each row, whatever sub-batch it is in."""
    found = {}
    for sample in samples:
        for name, noised in zip(("video", "audio"), sample.noised, strict=True):
            for i, row in enumerate(sample.rows.tolist() if noised is not None else ()):
                found[name, row] = noised.x_s[i], noised.v[i], noised.s[i], sample.uncond[i], sample.coupled
    return found


def test_samples_belong_to_rows_not_to_processes():
    batch = latent_batch(12)
    whole = rows_of(sampled(batch, 11))
    halves = [sampled(part(batch, rows), 11, 12) for rows in (slice(0, 4), slice(4, 12))]
    merged = rows_of(halves[0]) | rows_of(halves[1])
    assert merged.keys() == whole.keys() and len(whole) == 24
    for row, each in whole.items():
        assert all(
            torch.equal(torch.as_tensor(a), torch.as_tensor(b))
            for a, b in zip(each, merged[row], strict=True)
        )
    other = rows_of(sampled(batch, 12))
    assert not torch.equal(other["video", 0][1], whole["video", 0][1])


def test_a_step_is_sub_batches_that_are_coupled_or_of_one_modality():
    images = latent_batch(4, keep="video")
    images = replace(images, video=images.video[:, :, :1], spec=replace(SPEC, clip=SPEC.clip.still))
    samples = sampled(replace(latent_batch(20), images=images), 0)
    kinds = [
        (tuple(n is not None for n in sample.noised), len(sample.rows), sample.weight, sample.spec.video[0])
        for sample in samples
    ]
    frames = SPEC.video[0]
    assert kinds == [
        ((True, True), 18, 0.9, frames), ((True, False), 2, 0.1, frames), ((False, True), 2, 0.1, frames),
        ((True, False), 4, 0.4, 1),
    ]  # fmt: skip


def test_two_processes_have_the_gradient_of_one(make):
    def gradient(batch: LatentBatch) -> list[torch.Tensor]:
        system = GeneratorSystem(make(), seed=5)
        samples = sampled(batch, 0, 6, 5, LevelMixture(independent=0.04, unimodal=0.3))
        total = system.total(samples, [system.losses(sample) for sample in samples])
        return torch.autograd.grad(total, list(system.model.parameters()))

    batch = latent_batch(6)
    halves = [gradient(part(batch, rows)) for rows in (slice(0, 3), slice(3, 6))]
    for one, first, second in zip(gradient(batch), *halves, strict=True):
        torch.testing.assert_close(one, (first + second) / 2, rtol=1e-3, atol=1e-6)


def test_captions_are_dropped_as_often_as_configured_and_by_what_is_given():
    levels = LevelMixture(
        joint=0.5, independent=0, video_given=0.5, audio_given=0, unimodal=0, temporal_share=0
    )
    (sample,) = sampled(latent_batch(3000), 0, levels=levels, default=0.2, given_video=0.6)
    given = (sample.noised.video.s == 0).all(1)
    assert abs(sample.uncond[given].float().mean() - 0.6) < 0.05
    assert abs(sample.uncond[~given].float().mean() - 0.2) < 0.05


def test_a_dropped_caption_is_no_caption(make):
    model, captions = make(), ["a bell", "rain on a roof"]
    x, s = tokens(model, 2), levels_of(2)
    dropped = torch.tensor([False, True])
    with torch.no_grad():
        for text in (captions, model.text.tokenize(captions)):
            v = model(x, s, model.context(text, SPEC, dropped))
            torch.testing.assert_close(v, model(x, s, model.context(["a bell", ""], SPEC)))
            assert not torch.equal(v.video, model(x, s, model.context(text, SPEC)).video)


def test_what_moves_counts_more_in_frame_0_and_after_it_unless_that_is_noise():
    x = torch.zeros(2, 4, 3, 2)  # (B, t, hw, D)
    x[:, 2, 1] = 3.0  # place 1 changes in frame 2
    noised = Noised(x.flatten(1, 2), torch.zeros(2, 12, 2), torch.tensor([[0.0] * 4, [1.0] * 4]))
    weight = motion_weight(noised, 4, 6.0).view(2, 4, 3)
    change = (3.0 - 1.0) ** 2  # of frames 1 to 3, whose mean is 1
    assert (weight[:, :, [0, 2]] == 1).all() and (weight[1, 1:] == 1).all()
    moving = torch.full((5,), 1 + 6 * change / (1 + change))
    torch.testing.assert_close(torch.cat([weight[0, :, 1], weight[1, :1, 1]]), moving)


def test_motion_weighs_the_loss_of_videos_and_of_nothing_else(make):
    model, batch = make(), latent_batch(4)
    still = replace(batch, video=batch.video[:, :, :1], audio=None, spec=replace(SPEC, clip=SPEC.clip.still))
    samples = sampled(replace(batch, images=still), 0, levels=COUPLED)
    plain, weighted = (GeneratorSystem(model, motion_weight=motion) for motion in (0.0, 3.0))
    for sample in samples:
        with torch.no_grad():
            one, other = plain.losses(sample), weighted.losses(sample)
        if sample.coupled:
            assert torch.equal(other.audio, one.audio)
            weight = motion_weight(sample.noised.video, SPEC.video[0], 3.0)
            assert (weight > 1.1).any()
            torch.testing.assert_close(other.video, weight * one.video)
        else:
            assert torch.equal(other.video, one.video)  # an image
    one_frame = Noised(torch.randn(2, 6, 3), torch.randn(2, 6, 3), torch.zeros(2, 1))
    assert torch.equal(motion_weight(one_frame, 1, 3.0), torch.ones(2, 6))


def test_a_steps_loss_is_the_mean_over_its_clips_and_images_by_their_weight(make):
    system = GeneratorSystem(make())
    images = latent_batch(2, keep="video")
    images = replace(images, video=images.video[:, :, :1], spec=replace(SPEC, clip=SPEC.clip.still))
    samples = sampled(replace(latent_batch(20), images=images), 0)
    random = torch.Generator().manual_seed(4)
    losses = [sample.noised.each(lambda n: torch.rand(n.x.shape[:2], generator=random)) for sample in samples]
    by_row = {"video": torch.zeros(20), "audio": torch.zeros(20)}
    for sample, each in zip(samples[:-1], losses[:-1], strict=True):
        for name, loss in zip(by_row, each, strict=True):
            if loss is not None:
                by_row[name][sample.rows] = loss.mean(1)
    assert all((row > 0).all() for row in by_row.values())  # each clip in one sub-batch
    expected = by_row["video"].mean() + by_row["audio"].mean() + 0.4 * losses[-1].video.mean()
    torch.testing.assert_close(system.total(samples, losses), expected)


def test_a_step_is_of_the_rows_of_all_processes_and_of_accumulated_batches(make):
    system, batch = GeneratorSystem(make(), seed=3, caption_dropout=0.5), latent_batch(4)
    system._trainer = SimpleNamespace(
        world_size=2, accumulate_grad_batches=2, global_step=3, log_every_n_steps=50
    )
    loss = system.training_step(batch, 0)
    samples = sampled(batch, 3, 4 * 2 * 2)
    torch.testing.assert_close(loss, system.total(samples, [system.losses(sample) for sample in samples]))
    of_one = sampled(batch, 3, 4)
    assert [len(sample.rows) for sample in samples] != [len(sample.rows) for sample in of_one]


class Log(dict):
    """Takes the place of Lightning's `log`."""

    def __call__(self, name, value, **options):
        assert name not in self
        self[name] = float(value)


def test_losses_are_logged_by_bin_of_the_level_over_generated_tokens_alone(make):
    system = GeneratorSystem(make())
    system.log = log = Log()
    doubled = SimpleNamespace(reduce=lambda found, reduce_op: 2 * found)  # two processes with the same
    system._trainer = SimpleNamespace(strategy=doubled)

    def sample(level, spec=SPEC, audio=True):
        s = torch.tensor([level])
        x = torch.zeros(1, s.shape[1], 2)
        video = Noised(x, x, s)
        noised = Pair(video, Noised(x[:, :2], x[:, :2], s[:, :2]) if audio else None)
        return SimpleNamespace(spec=spec, noised=noised)

    still = replace(SPEC, clip=SPEC.clip.still)
    samples = [
        sample([0.0, 0.1, 0.19, 0.2]), sample([0.5, 0.59, 1.0, 0.99]),
        sample([0.3, 0.5, 0.0, 0.7], still, audio=False),
    ]  # fmt: skip
    losses = [
        Pair(torch.tensor([[9.0, 1.0, 2.0, 4.0]]), torch.tensor([[9.0, 3.0]])),
        Pair(torch.tensor([[5.0, 6.0, 7.0, 8.0]]), torch.tensor([[1.0, 2.0]])),
        Pair(torch.tensor([[2.0, 3.0, 9.0, 7.0]]), None),
    ]
    system.log_levels(samples, losses)
    bins = {name: value for name, value in log.items() if "_s_" in name and not math.isnan(value)}
    assert bins == pytest.approx(
        {
            "train/video_s_0.0-0.2": 1.5, "train/video_s_0.2-0.4": 4.0, "train/video_s_0.4-0.6": 5.5,
            "train/video_s_0.8-1.0": 7.5, "train/audio_s_0.0-0.2": 3.0, "train/audio_s_0.4-0.6": 1.5,
        }
    )  # fmt: skip
    assert sum("_s_" in name for name in log) == 2 * 5
    assert {name: value for name, value in log.items() if "_s_" not in name} == pytest.approx(
        {"train/video": 33 / 7, "train/audio": 2.0, "train/image": 4.0}
    )


@pytest.mark.parametrize("text", [False, True])
@torch.no_grad()
def test_validation_scores_each_row_by_itself_at_levels_spread_evenly(make, text):
    model = make()
    system, batch = GeneratorSystem(model, seed=9), replace(latent_batch(4, 5), first_row=6)
    batch = replace(batch, captions=["a bell", "rain", "", "a ball"])
    if text:  # token ids of other captions, which are those that count
        batch = replace(batch, text=model.text.tokenize(["rain"] * 4))
    found = system.score(batch, 2)
    x = to_tokens(Latents(batch.video, batch.audio))
    seen = []

    def loss(v, noised):
        each = (v - (noised.noise - noised.x)).square().mean(-1)
        seen.append(float(noised.s))
        return each.mean() * min(float(noised.s) / 0.05, 1.0) ** 2

    def best(noised):  # E[v | x_s] for data of each channel's variance
        s, variance = float(noised.s), noised.x.square().mean(1, keepdim=True)
        return (s - (1 - s) * variance) / (s**2 + (1 - s) ** 2 * variance) * noised.x_s

    for i in range(4):
        row = generator(9, "validation", 2, 6 + i)
        u = max(((6 + i + 0.5) * 0.618034) % 1, 0.02)
        levels = [shift * u / (1 + (shift - 1) * u) for shift in model.shifts]
        noise = [torch.randn(each.shape[1:], generator=row)[None] for each in x]
        video, audio = (
            Noised(each[i : i + 1], n, torch.full((1, 1), s))
            for each, n, s in zip(x, noise, levels, strict=True)
        )
        context = model.context(["rain" if text else batch.captions[i]], SPEC)
        v = model(Pair(video.x_s, audio.x_s), Pair(video.s, audio.s), context)
        expected = {
            "video": loss(v.video, video), "audio": loss(v.audio, audio),
            "video_level_only": loss(best(video), video), "audio_level_only": loss(best(audio), audio),
        }  # fmt: skip
        for name, other in (("conditional_audio_loss", i), ("shuffled_audio_loss", (i + 2) % 4)):
            clean = Pair(x.video[other : other + 1], audio.x_s)
            v = model(clean, Pair(torch.zeros(1, 1), audio.s), context)
            expected[name] = loss(v.audio, audio)
        expected["conditioning_gain"] = expected["shuffled_audio_loss"] - expected["conditional_audio_loss"]
        for name, value in expected.items():
            torch.testing.assert_close(found[name][i], value, rtol=1e-3, atol=1e-4, msg=name)
    assert len(set(seen)) == 8 and min(seen) < 0.2 and max(seen) > 0.8
    alone = system.score(replace(batch, audio=None), 2)
    assert alone.keys() == {"video", "video_level_only"}
    one_row = part(replace(batch, text=None, captions=["rain"] * 4), slice(1, 2))
    only = system.score(one_row, 2)
    assert only.keys() == {"video", "audio", "video_level_only", "audio_level_only"}  # no other clip
    torch.testing.assert_close(only["video_level_only"][0], found["video_level_only"][1])


@pytest.mark.parametrize("stage", ["val", "test"])
def test_means_of_all_rows_and_the_interval_of_the_gain_are_reported(make, stage):
    system = GeneratorSystem(make())
    system.log = log = Log()
    gains = [torch.tensor([0.1, 0.5, -0.2]), torch.tensor([0.9])]
    system.seen = [
        {"video": torch.tensor([1.0, 2.0, 3.0]), "audio": torch.ones(3), "conditioning_gain": gains[0]},
        {"video": torch.tensor([6.0]), "conditioning_gain": gains[1]},
    ]
    system.on_validation_epoch_end() if stage == "val" else system.on_test_epoch_end()
    interval = bootstrap(torch.cat(gains))
    assert interval.low < interval.mean < interval.high
    assert log == pytest.approx(
        {
            f"{stage}/video": 3.0, f"{stage}/audio": 1.0, f"{stage}/conditioning_gain": 1.3 / 4,
            f"{stage}/conditioning_gain_low": interval.low, f"{stage}/conditioning_gain_high": interval.high,
            f"{stage}/loss": 4.0,
        }
    )  # fmt: skip
    assert system.seen == []


def test_test_batches_are_scored_as_those_of_validation_are(make):
    system, batch = GeneratorSystem(make()), latent_batch(2)
    with torch.no_grad():
        system.validation_step(batch, 1), system.test_step(batch, 1), system.test_step(batch, 2)
    one, same, other = (found["video"] for found in system.seen)
    assert torch.equal(one, same) and not torch.equal(one, other)  # each batch has noise of its own


def test_rows_of_all_processes_are_gathered(tmp_path):
    rows = [{"video": torch.ones(2)}, {"audio": torch.zeros(1)}]
    assert gathered(rows) == rows and gathered(rows) is not rows
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path / 'meeting'}", rank=0, world_size=1
    )
    try:
        found = gathered(rows)
    finally:
        torch.distributed.destroy_process_group()
    assert [each.keys() for each in found] == [each.keys() for each in rows]
    assert torch.equal(found[0]["video"], rows[0]["video"])


def test_captions_become_token_ids_unless_they_are_known(make):
    model = make()
    system, batch = GeneratorSystem(model), latent_batch(2)
    ids = model.text.tokenize(batch.captions)
    images = replace(latent_batch(3, keep="video"), captions=["rain"] * 3)
    found = system.on_before_batch_transfer(replace(batch, images=images), 0)
    assert torch.equal(found.text, ids) and torch.equal(found.images.text, model.text.tokenize(["rain"] * 3))
    known = replace(batch, text=model.text.tokenize(["known"] * 2))
    assert torch.equal(system.on_before_batch_transfer(known, 0).text, known.text)
    embedded = replace(batch, text=torch.zeros(2, 3, 8))  # of another model's encoder
    assert torch.equal(system.on_before_batch_transfer(embedded, 0).text, ids)
    assert system.on_before_batch_transfer("no latents", 0) == "no latents"


def test_latents_of_another_codec_are_refused_before_the_first_step(make, tmp_path):
    save_model(VideoAutoencoder(widths=(8, 8, 8), depths=(1, 1, 1)), tmp_path / "video_codec")
    own = hash_of(tmp_path / "video_codec" / "model.safetensors")
    system = GeneratorSystem(make(), video_codec=str(tmp_path))

    def begin(**record):
        system._trainer = SimpleNamespace(datamodule=SimpleNamespace(codecs=record, channels=(4, 6)))
        system.on_fit_start()

    begin(), begin(video={"sha256": own}), begin(audio={"sha256": "of a codec that is not given"})
    with pytest.raises(InputError, match=f"latents are of a video_codec with sha256 beef.* has {own[:12]}"):
        begin(video={"sha256": "beef" * 16})


@pytest.mark.parametrize("coupling", COUPLINGS)
def test_it_fits_moves_its_weights_and_reloads_without_lightning(make, coupling, tmp_path):
    system = GeneratorSystem(
        make(coupling, awake=False),
        Recipe(matrix_learning_rate=2e-3, warmup_steps=1),
        levels=LevelMixture(0.2, 0.2, video_given=0.1, audio_given=0.1, unimodal=0.4),
    )
    start = {name: p.clone() for name, p in system.model.named_parameters()}
    logged = fit(system, Batches(6))
    still = [name for name, p in system.model.named_parameters() if torch.equal(p, start[name])]
    assert still == []
    assert {
        "train/loss",
        "train/video",
        "train/audio",
        "val/loss",
        "val/video",
        "val/audio_level_only",
    } <= set(logged)
    assert any(name.startswith("train/audio_s_") for name in logged)
    assert (
        logged["val/conditioning_gain_low"]
        <= logged["val/conditioning_gain"]
        <= logged["val/conditioning_gain_high"]
    )
    assert ("val/attention_offset" in logged) == coupling.cross_modal
    again = load_model(save_model(system.model, tmp_path / "generator"), expected=JointDiT)
    for one, other in zip(system.model.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("keep", ["video", "audio"])
def test_one_modality_alone_trains_too(make, keep):
    missing = []

    class Look(Callback):
        def on_before_optimizer_step(self, trainer, pl_module, optimizer):
            missing.extend(name for name, weight in pl_module.named_parameters() if weight.grad is None)

    logged = fit(GeneratorSystem(make()), Batches(2, keep=keep), callbacks=[Look()])
    assert missing == []  # or DDP would wait for them
    assert f"val/{keep}" in logged and "val/conditioning_gain" not in logged
    assert f"train/{'audio' if keep == 'video' else 'video'}" not in logged


def test_the_same_seed_trains_the_same_weights(make):
    first, second = (GeneratorSystem(make(), seed=2) for _ in range(2))
    fit(first, Batches(2)), fit(second, Batches(2))
    for one, other in zip(first.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_run_exports_its_codecs_but_does_not_train_or_keep_them(make, tmp_path):
    torch.manual_seed(0)
    codec = VideoAutoencoder()
    save_model(codec, tmp_path / "run" / "simulator" / "video_codec")
    system = GeneratorSystem(make(), video_codec=str(tmp_path / "run"))
    parts = system.parts()
    assert set(parts) == {"generator", "video_codec"} and parts["generator"] is system.model
    assert not any("codec" in name for name in system.state_dict())
    assert system.parts()["video_codec"] is parts["video_codec"]


def test_without_cross_modal_attention_the_gain_is_0(make):
    system = GeneratorSystem(make(NoCoupling))
    assert (system.score(latent_batch(), 0)["conditioning_gain"] == 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("coupling", MEETING)
def test_a_pair_that_can_be_learned_is_learned_and_validation_tells(make, coupling):
    recipe = Recipe(learning_rate=3e-3, matrix_learning_rate=5e-3, warmup_steps=10)
    logged = fit(GeneratorSystem(make(coupling, awake=False), recipe), Batches(200, rows=16))
    assert (
        logged["val/audio"] < logged["val/audio_level_only"]
        and logged["val/video"] < logged["val/video_level_only"]
    )
    assert logged["val/conditioning_gain_low"] > 0.2
    assert logged["val/attention_sharpest"] > 1.5 and abs(logged["val/attention_offset"]) < 0.1


@pytest.mark.slow
def test_a_trained_sound_follows_the_picture_that_it_is_given(make):
    from avsim.diffusion import FOLEY, generate

    system = GeneratorSystem(
        make(JointCoupling, awake=False),
        Recipe(learning_rate=3e-3, matrix_learning_rate=5e-3, warmup_steps=10),
    )
    fit(system, Batches(200, rows=16))
    batch = latent_batch(16, seed=77)
    out = generate(system.model.eval(), [""] * 16, SPEC, Latents(batch.video, None), FOLEY, steps=12)
    own = torch.nn.functional.cosine_similarity(out.audio.flatten(1), batch.audio.flatten(1)).mean()
    swapped = torch.nn.functional.cosine_similarity(
        out.audio.flatten(1), batch.audio.roll(1, 0).flatten(1)
    ).mean()
    assert own > 0.5 and own > swapped + 0.4


def test_a_student_learns_its_guided_teachers_velocity(make, tmp_path):
    save_model(make(), tmp_path / "run" / "simulator" / "generator")
    how = Guidance(2.0, 2.0, 2.0)
    recipe = Recipe(learning_rate=5e-3, warmup_steps=5)
    system = DistillationSystem(
        str(tmp_path / "run"), [how, how], recipe=recipe, levels=COUPLED, caption_dropout=0.0
    )
    parts = system.parts()
    assert set(parts) == {"generator", "student"} and parts["student"] is system.model
    assert not any("teacher" in name for name in system.state_dict())
    teacher, batch = parts["generator"], latent_batch(8, 77)
    before = {name: weight.clone() for name, weight in teacher.named_parameters()}
    x = to_tokens(Latents(batch.video, batch.audio)).each(lambda x: 0.5 * x + 0.5 * torch.randn_like(x))
    s = Pair(torch.full((8, 1), 0.5), torch.full((8, 1), 0.5))
    cond, uncond = teacher.context(batch.captions, SPEC), teacher.context([""] * 8, SPEC)
    with torch.no_grad():
        target = guide(teacher, cond, uncond, how, (True, True))(x, s)

    def away() -> list[float]:
        with torch.no_grad():
            v = conditioned(system.model, system.model.context(batch.captions, SPEC))(x, s)
        return v.each(lambda v, t: (v - t).square().mean().item(), target).present()

    first = away()
    fit(system, Batches(120, rows=8))
    assert all(after < 0.8 * error for after, error in zip(away(), first, strict=True))
    assert all(torch.equal(weight, before[name]) for name, weight in teacher.named_parameters())


def test_targets_belong_to_rows_and_steps_and_to_what_a_row_is_told(make, tmp_path):
    save_model(make(), tmp_path)
    how, batch = Guidance(2.0, 2.0, 2.0, sync_scale=0.2), replace(latent_batch(4), captions=list("abcd"))
    system = DistillationSystem(str(tmp_path), [how, how], seed=5)
    system.table = GuidanceRows.table(system.targets, "cpu")

    def target(batch, step=0, uncond=None):
        system._trainer = SimpleNamespace(global_step=step)
        (sample,) = sampled(batch, 0, 4, levels=COUPLED, default=0.0, given_video=0.0)
        if uncond is not None:
            sample = replace(sample, uncond=torch.tensor(uncond))
        return system.with_target(sample)

    whole = target(batch)
    parts = [target(part(batch, rows)) for rows in (slice(0, 1), slice(1, 4))]
    for name in ("video", "audio"):
        of = lambda sample: getattr(sample.noised, name)  # noqa: B023, E731
        for field in ("x_s", "v"):
            both = torch.cat([getattr(of(each), field) for each in parts])
            torch.testing.assert_close(getattr(of(whole), field), both, rtol=1e-3, atol=1e-3)
        assert torch.equal(of(whole).s, of(target(batch, 1)).s)
        assert not torch.isclose(of(whole).x_s, of(target(batch, 1)).x_s).all(2).all(1).all()
        untold = target(batch, uncond=[False, True, False, False])
        silent = target(replace(batch, captions=["a", "", "c", "d"]))
        torch.testing.assert_close(of(untold).v, of(silent).v, rtol=1e-3, atol=1e-3)
        assert (of(untold).v[1] - of(whole).v[1]).abs().mean() > 0.01


def test_the_targets_are_those_of_sync_guidance_where_there_is_a_sync_model(make, tmp_path):
    run = export(tmp_path / "run")
    save_model(offset_judge(), run / "simulator" / "sync_model")
    codecs = {"video_codec": str(run), "audio_codec": str(run)}
    assert DistillationSystem(str(run)).targets == TARGET_GUIDANCE
    assert DistillationSystem(str(run), sync_model=str(run), **codecs).targets == SYNC_TARGET_GUIDANCE
    own = [Guidance(), Guidance(3.0)]
    assert DistillationSystem(str(run), own, str(run), **codecs).targets == tuple(own)


def test_a_student_goes_on_with_its_own_teacher_alone(make, tmp_path):
    save_model(make(), tmp_path / "one")
    save_model(make(awake=False), tmp_path / "other")
    one, other = (DistillationSystem(str(tmp_path / name)) for name in ("one", "other"))
    one.on_save_checkpoint(kept := {})
    one.on_load_checkpoint(kept)
    with pytest.raises(InputError, match="another teacher"):
        other.on_load_checkpoint(kept)
    with pytest.raises(InputError, match="1 targets; expected two"):
        DistillationSystem(str(tmp_path / "one"), [Guidance()])
    with pytest.raises(InputError, match="no trained generator here"):
        DistillationSystem(str(tmp_path))


def test_what_could_not_end_well_does_not_begin(make, tmp_path):
    data = Batches(4, rows=2)
    with pytest.raises(InputError, match="nowhere: no trained video_codec here"):
        fit(GeneratorSystem(make(), video_codec=str(tmp_path / "nowhere")), data)
    data.channels = (7, 5)
    with pytest.raises(
        InputError, match=r"latents have \(7, 5\) channels .* set --model.model.video_channels 7"
    ):
        fit(GeneratorSystem(make()), data)


def test_unimodal_rows_are_trained_on_data_by_a_student_too(make, tmp_path):
    save_model(make(), tmp_path)
    alone = LevelMixture(joint=0, independent=0, video_given=0, audio_given=0, unimodal=1)
    student, own = DistillationSystem(str(tmp_path), levels=alone), GeneratorSystem(make(), levels=alone)
    logged, same = (fit(each, Batches(1)) for each in (student, own))
    assert logged["train/loss"] == pytest.approx(same["train/loss"], rel=1e-5)


def test_a_student_of_video_alone_trains_as_a_generator(make, tmp_path):
    save_model(make(), tmp_path)
    logged = fit(DistillationSystem(str(tmp_path)), Batches(2, keep="video"))
    same = fit(GeneratorSystem(make()), Batches(2, keep="video"))
    assert logged["train/loss"] == same["train/loss"]


def test_a_sync_model_guides_the_targets(make, tmp_path):
    run = export(tmp_path / "run")
    torch.manual_seed(1)
    save_model(offset_judge(), run / "simulator" / "sync_model")
    spec = LatentSpec(ClipSpec(**CLIPS))
    batch = LatentBatch(
        spec, torch.randn(4, 16, *spec.video), torch.randn(4, 16, spec.audio), ["a"] * 4, ["a"] * 4, 0
    )
    joint = LevelMixture(joint=1, independent=0, video_given=0, audio_given=0, unimodal=0)

    def target(sync_model):
        folders = {"video_codec": str(run), "audio_codec": str(run)}
        system = DistillationSystem(
            str(run), targets=SYNC_TARGET_GUIDANCE, sync_model=sync_model, levels=joint, **folders
        )
        data = Batches(1)
        data.batches = data.held_out = [batch]
        fit(system, data)
        (sample,) = sampled(batch, 0, levels=joint)
        found = system.with_target(sample)
        if sync_model is not None:
            assert frozen(system) and system.reward(sample) is system.reward(sample)
        return found

    def frozen(system):
        codecs = [system.loaded[name] for name in system.codecs]
        models = [*codecs, *system.frozen.values()]
        still = not any(weight.requires_grad for model in models for weight in model.parameters())
        return still and not any(model.training for model in models)

    (guided, plain) = (target(each) for each in (str(run), None))
    torch.testing.assert_close(guided.noised.audio.v, plain.noised.audio.v, rtol=1e-3, atol=1e-3)
    assert (guided.noised.video.v - plain.noised.video.v).abs().mean() > 0.01
    with pytest.raises(InputError, match="sync_model needs the codecs"):
        DistillationSystem(str(run), sync_model=str(run))


def test_weights_and_chances_out_of_range_are_refused(make):
    chances, weights = ("caption_dropout", "caption_dropout_given_video"), ("motion_weight", "image_weight")
    for names, values in ((chances, (-0.1, 1.5, math.nan)), (weights, (-0.1, math.inf, math.nan))):
        for name, value in product(names, values):
            with pytest.raises(InputError, match=f"{name} is {value}"):
                GeneratorSystem(make(), **{name: value})
    for chance in (0.0, 1.0):
        system = GeneratorSystem(make(), caption_dropout=chance, motion_weight=0.0, image_weight=0.0)
        assert system.dropout == CaptionDropout(chance, chance)  # given videos as all others
    system = GeneratorSystem(make(), caption_dropout=0.0, caption_dropout_given_video=1.0)
    assert system.dropout == CaptionDropout(0.0, 1.0)


def test_a_model_without_coupling_goes_on_with_cross_coupling_unchanged(tmp_path):
    from avsim.models.couplings import CrossCoupling
    from avsim.models.tokens import lengths
    from avsim.training.initial import initialise

    def system(coupling, blocks=2):
        return GeneratorSystem(JointDiT(4, 4, 32, blocks, 2, coupling=coupling))

    silent = system(NoCoupling)
    for weight in silent.model.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    save_model(silent.model, tmp_path / "generator")
    joined = system(CrossCoupling)
    initialise(joined, tmp_path)
    spec = LatentSpec(ClipSpec(0.5, 16, 16))
    x = Pair(*(torch.randn(2, count, 4) for count in lengths(spec)))
    s = Pair(torch.rand(2, 1), torch.rand(2, 1))
    with torch.no_grad():
        one, other = (each.model(x, s, each.model.context(["a", ""], spec)) for each in (silent, joined))
    assert torch.allclose(one.video, other.video) and torch.allclose(one.audio, other.audio)
    with pytest.raises(InputError, match="another architecture"):
        initialise(system(CrossCoupling, blocks=3), tmp_path)


def test_weights_go_on_with_other_latents_but_for_their_projections(tmp_path, capsys):
    from avsim.training.initial import initialise

    def system(video, audio, width=32):
        return GeneratorSystem(JointDiT(video, audio, width, 2, 2))

    trained = system(4, 4)
    for weight in trained.model.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    save_model(trained.model, tmp_path / "generator")
    fresh = system(6, 4)
    began = {name: value.clone() for name, value in fresh.model.state_dict().items()}
    initialise(fresh, tmp_path)
    kept = trained.model.state_dict()
    for name, value in fresh.model.state_dict().items():
        anew = name.startswith(("video_input.", "video_output."))  # biases too: they belong together
        assert torch.equal(value, began[name] if anew else kept[name]), name
    assert "other video latents; the projections from and to them start anew" in capsys.readouterr().out
    with pytest.raises(InputError, match="another architecture"):
        initialise(system(6, 4, 48), tmp_path)
