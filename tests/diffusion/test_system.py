from dataclasses import replace

import pytest
import torch
from lightning import Callback, LightningDataModule, Trainer
from torch.utils.data import DataLoader

from avsim.clip import ClipSpec, LatentSpec
from avsim.codecs.video import VideoAutoencoder
from avsim.data.batch import LatentBatch
from avsim.diffusion import JointDiT, Latents, Pair
from avsim.diffusion.distillation import SYNC_TARGET_GUIDANCE
from avsim.diffusion.guidance import Guidance, conditioned, guide
from avsim.diffusion.levels import LevelMixture
from avsim.diffusion.loss import motion_weight
from avsim.diffusion.noising import Noised
from avsim.diffusion.student import DistillationSystem
from avsim.diffusion.system import GeneratorSystem
from avsim.diffusion.training_sample import CaptionDropout, training_samples
from avsim.errors import InputError
from avsim.models.couplings import JointCoupling, NoCoupling
from avsim.models.tokens import to_tokens
from avsim.training.optimizers import Recipe
from avsim.weights import load_model, save_model
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


def test_what_moves_counts_more_unless_its_first_frame_is_noise():
    x = torch.zeros(2, 4, 3, 2)  # (B, t, hw, D)
    x[:, 2, 1] = 3.0  # place 1 changes in frame 2
    noised = Noised(x.flatten(1, 2), torch.zeros(2, 12, 2), torch.tensor([[0.0] * 4, [1.0] * 4]))
    weight = motion_weight(noised, 4, 6.0).view(2, 4, 3)
    change = (3.0 - 1.0) ** 2  # of frames 1 to 3, whose mean is 1
    assert (weight[1] == 1).all() and (weight[0, 0] == 1).all() and (weight[0, :, [0, 2]] == 1).all()
    torch.testing.assert_close(weight[0, 1:, 1], torch.full((3,), 1 + 6 * change / (1 + change)))


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
        return system.with_target(sample)

    (guided, plain) = (target(each) for each in (str(run), None))
    torch.testing.assert_close(guided.noised.audio.v, plain.noised.audio.v, rtol=1e-3, atol=1e-3)
    assert (guided.noised.video.v - plain.noised.video.v).abs().mean() > 0.01
    with pytest.raises(InputError, match="sync_model needs the codecs"):
        DistillationSystem(str(run), sync_model=str(run))


def test_weights_and_chances_out_of_range_are_refused(make):
    for name, value in {
        "caption_dropout": 1.5,
        "caption_dropout_given_video": -0.1,
        "motion_weight": -1.0,
        "image_weight": -1.0,
    }.items():
        with pytest.raises(InputError, match=f"{name} is {value}"):
            GeneratorSystem(make(), **{name: value})


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
