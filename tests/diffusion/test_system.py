import pytest
import torch
from lightning import Callback, LightningDataModule, Trainer
from torch.utils.data import DataLoader

from avsim.codecs.video import VideoAutoencoder
from avsim.data.batch import LatentBatch
from avsim.diffusion import JointDiT, Latents, Pair
from avsim.diffusion.guidance import Guidance, conditioned, guide
from avsim.diffusion.levels import LevelMixture
from avsim.diffusion.student import PupilSystem
from avsim.diffusion.system import GeneratorSystem
from avsim.diffusion.training_sample import draw
from avsim.errors import InputError
from avsim.models.couplings import Apart, Joint
from avsim.models.tokens import to_tokens
from avsim.training.optimizers import Recipe
from avsim.weights import load_model, save_model
from tests.diffusion.conftest import COUPLINGS, MEETING, SPEC

SHIFTS = Pair(1.5, 1.0)


def latent_batch(rows: int = 4, seed: int = 0, keep: str = "both") -> LatentBatch:
    """Clips whose sound tells how bright the picture is at its time."""
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
        torch.arange(rows),
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
        batch.rows[rows],
    )


def test_draws_belong_to_rows_not_to_processes():
    batch = latent_batch(6)
    arguments = (LevelMixture(), 0.5, SHIFTS, 3)
    whole = draw(batch, *arguments, 11)
    halves = [draw(part(batch, rows), *arguments, 11) for rows in (slice(0, 2), slice(2, 6))]
    for name in ("x_s", "v", "s"):
        for modality in (0, 1):
            each = torch.cat([getattr(half.noised[modality], name) for half in halves])
            assert torch.equal(each, getattr(whole.noised[modality], name))
    assert torch.equal(torch.cat([half.linked for half in halves]), whole.linked)
    assert [caption for half in halves for caption in half.captions] == whole.captions
    assert not torch.equal(draw(batch, *arguments, 12).noised.video.noise, whole.noised.video.noise)


def test_two_processes_have_the_gradient_of_one(make):
    def gradient(batch: LatentBatch) -> list[torch.Tensor]:
        system = GeneratorSystem(make(), seed=5)
        drawn = draw(batch, system.levels, system.untold, SHIFTS, 5, 0)
        sum(loss.mean() for loss in system.losses(drawn, batch)).backward()
        return [p.grad for p in system.model.parameters()]

    batch = latent_batch(6)
    halves = [gradient(part(batch, rows)) for rows in (slice(0, 3), slice(3, 6))]
    for one, first, second in zip(gradient(batch), *halves, strict=True):
        torch.testing.assert_close(one, (first + second) / 2, rtol=1e-3, atol=1e-6)


def test_dropped_conditions_are_as_many_as_asked():
    found = [draw(latent_batch(50), LevelMixture(), 0.3, SHIFTS, 0, step) for step in range(10)]
    untold = sum(caption == "" for drawn in found for caption in drawn.captions) / 500
    alone = 1 - torch.cat([drawn.linked for drawn in found]).float().mean().item()
    assert abs(untold - 0.3) < 0.06 and abs(alone - 0.1) < 0.05


@pytest.mark.parametrize("coupling", COUPLINGS)
def test_it_fits_moves_its_weights_and_reloads_without_lightning(make, coupling, tmp_path):
    system = GeneratorSystem(
        make(coupling, awake=False),
        Recipe(matrix_learning_rate=2e-3, warmup_steps=1),
        levels=LevelMixture(together=0.2, apart=0.2, clean_video=0.1, clean_audio=0.1, alone=0.4),
    )
    start = {name: p.clone() for name, p in system.model.named_parameters()}
    logged = fit(system, Batches(6))
    still = [name for name, p in system.model.named_parameters() if torch.equal(p, start[name])]
    assert still == []
    assert {"train/loss", "train/video", "train/audio", "val/loss", "val/video", "val/audio_trivial"} <= set(
        logged
    )
    assert any(name.startswith("train/audio_s_") for name in logged)
    assert logged["val/sync_gap_low"] <= logged["val/sync_gap"] <= logged["val/sync_gap_high"]
    assert ("val/gaze_offset" in logged) == coupling.meets
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
    assert f"val/{keep}" in logged and "val/sync_gap" not in logged
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


def test_without_a_meeting_the_gap_is_nothing(make):
    system = GeneratorSystem(make(Apart))
    assert (system.score(latent_batch(), 0)["sync_gap"] == 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("coupling", MEETING)
def test_a_pair_that_can_be_learned_is_learned_and_validation_tells(make, coupling):
    recipe = Recipe(learning_rate=3e-3, matrix_learning_rate=5e-3, warmup_steps=10)
    logged = fit(GeneratorSystem(make(coupling, awake=False), recipe), Batches(200, rows=16))
    assert (
        logged["val/audio"] < logged["val/audio_trivial"]
        and logged["val/video"] < logged["val/video_trivial"]
    )
    assert logged["val/sync_gap_low"] > 0.2
    assert logged["val/gaze_sharpest"] > 1.5 and abs(logged["val/gaze_offset"]) < 0.1


@pytest.mark.slow
def test_a_trained_sound_follows_the_picture_that_it_is_given(make):
    from avsim.diffusion import FOLEY, generate

    system = GeneratorSystem(
        make(Joint, awake=False), Recipe(learning_rate=3e-3, matrix_learning_rate=5e-3, warmup_steps=10)
    )
    fit(system, Batches(200, rows=16))
    batch = latent_batch(16, seed=77)
    out = generate(system.model.eval(), [""] * 16, SPEC, Latents(batch.video, None), FOLEY, steps=12)
    own = torch.nn.functional.cosine_similarity(out.audio.flatten(1), batch.audio.flatten(1)).mean()
    swapped = torch.nn.functional.cosine_similarity(
        out.audio.flatten(1), batch.audio.roll(1, 0).flatten(1)
    ).mean()
    assert own > 0.5 and own > swapped + 0.4


def test_a_pupil_learns_what_guidance_says(make, tmp_path):
    save_model(make(), tmp_path / "run" / "simulator" / "generator")
    how = Guidance(2.0, 2.0, 2.0)
    recipe = Recipe(learning_rate=5e-3, warmup_steps=5)
    system = PupilSystem(str(tmp_path / "run"), [how, how], recipe=recipe, untold=0.0)
    parts = system.parts()
    assert set(parts) == {"generator", "pupil"} and parts["pupil"] is system.model
    assert not any("teacher" in name for name in system.state_dict())
    teacher, batch = parts["generator"], latent_batch(8, 77)
    before = {name: weight.clone() for name, weight in teacher.named_parameters()}
    x = to_tokens(Latents(batch.video, batch.audio)).each(lambda x: 0.5 * x + 0.5 * torch.randn_like(x))
    s = Pair(torch.full((8, 1), 0.5), torch.full((8, 1), 0.5))
    told, untold = teacher.context(batch.captions, SPEC), teacher.context([""] * 8, SPEC)
    with torch.no_grad():
        target = guide(teacher, told, untold, how, (True, True))(x, s)

    def away() -> list[float]:
        with torch.no_grad():
            said = conditioned(system.model, system.model.context(batch.captions, SPEC))(x, s)
        return said.each(lambda v, t: (v - t).square().mean().item(), target).there()

    first = away()
    fit(system, Batches(60, rows=8))
    assert all(after < 0.8 * error for after, error in zip(away(), first, strict=True))
    assert all(torch.equal(weight, before[name]) for name, weight in teacher.named_parameters())


def test_a_pupil_goes_on_with_its_own_teacher_alone(make, tmp_path):
    save_model(make(), tmp_path / "one")
    save_model(make(awake=False), tmp_path / "other")
    one, other = (PupilSystem(str(tmp_path / name)) for name in ("one", "other"))
    one.on_save_checkpoint(kept := {})
    one.on_load_checkpoint(kept)
    with pytest.raises(InputError, match="another teacher"):
        other.on_load_checkpoint(kept)
    with pytest.raises(InputError, match="1 lessons; expected two"):
        PupilSystem(str(tmp_path / "one"), [Guidance()])
    with pytest.raises(InputError, match="no trained generator here"):
        PupilSystem(str(tmp_path))


def test_what_could_not_end_well_does_not_begin(make, tmp_path):
    data = Batches(4, rows=2)
    with pytest.raises(InputError, match="nowhere: no trained video_codec here"):
        fit(GeneratorSystem(make(), video_codec=str(tmp_path / "nowhere")), data)
    data.channels = (7, 5)
    with pytest.raises(
        InputError, match=r"latents have \(7, 5\) channels .* say --model.model.video_channels 7"
    ):
        fit(GeneratorSystem(make()), data)


def test_what_is_not_linked_is_learned_as_ever(make, tmp_path):
    save_model(make(), tmp_path)
    alone = LevelMixture(together=0, apart=0, clean_video=0, clean_audio=0, alone=1)
    pupil, own = PupilSystem(str(tmp_path), levels=alone), GeneratorSystem(make(), levels=alone)
    logged, same = (fit(each, Batches(1)) for each in (pupil, own))
    assert logged["train/loss"] == pytest.approx(same["train/loss"], rel=1e-5)


def test_a_pupil_of_pictures_alone_is_a_generator(make, tmp_path):
    save_model(make(), tmp_path)
    logged = fit(PupilSystem(str(tmp_path)), Batches(2, keep="video"))
    same = fit(GeneratorSystem(make()), Batches(2, keep="video"))
    assert logged["train/loss"] == same["train/loss"]
