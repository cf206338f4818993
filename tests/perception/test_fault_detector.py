"""The fault detector, its samples and its training."""

import math

import pytest
import torch
from torch.utils.data import DataLoader

from avsim.clip import Clip, ClipSpec
from avsim.errors import InputError
from avsim.perception.fault_detector import KINDS, FaultDetector, find_faults, pooled
from avsim.perception.fault_samples import FaultBatch, FaultyWorld, cell_change, faults_of
from avsim.perception.fault_system import (
    UNSEEN,
    VISIBLE,
    FaultSystem,
    cell_state,
    fault_losses,
    frame_state,
)
from avsim.perception.grid import Grid
from avsim.perception.video_detector import VideoDetector
from avsim.training.optimizers import Recipe, configure
from avsim.weights import load_model, save_model
from tests.fitting import quiet_trainer

SPEC = ClipSpec(seconds=0.75)


def tiny() -> FaultDetector:
    torch.manual_seed(0)
    return FaultDetector(VideoDetector(fine=16, coarse=16, blocks=1), fine=16, coarse=16, blocks=2)


@pytest.fixture(scope="module")
def batch() -> FaultBatch:
    source = FaultyWorld("easy", seed=11)
    samples = [source.sample(index, SPEC, torch.Generator().manual_seed(index)) for index in range(2)]
    return faults_of(samples, SPEC, range(2))


def test_samples_state_what_was_changed_where(batch):
    assert batch.frames.shape == (6, 3, 12, 64, 64) and batch.change.shape == (6, 12, 16, 16)
    assert batch.rows.tolist() == list(range(6)) and len(set(batch.names)) == 2
    for first in (0, 3):  # the clip as it is, then those with faults
        assert batch.kind[first] == -1 and not batch.change[first].any()
        for k in (first + 1, first + 2):
            assert batch.kind[k] >= 0 and batch.change[k].amax() > UNSEEN
            away = (batch.frames[k] - batch.frames[first]).abs().amax((0, 1))
            cells = batch.change[k].amax(0).repeat_interleave(4, 0).repeat_interleave(4, 1)
            assert not away[cells == 0].any()


def test_the_same_generator_draws_the_same_faults_and_worlds_take_turns():
    source = FaultyWorld(["easy", "full"], seed=3)
    one, other = (source.sample(1, SPEC, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(one.frames, other.frames) and torch.equal(one.kind, other.kind)
    with pytest.raises(InputError, match="two variants"):
        FaultyWorld("easy", variants=1)


def test_states_leave_out_what_is_hard_to_see():
    change = torch.tensor([0.0, UNSEEN - 1e-4, (UNSEEN + VISIBLE) / 2, VISIBLE, 1.0])
    assert cell_state(change).tolist() == [0, 0, -1, 1, 1]
    assert frame_state(change.view(1, 5, 1, 1)).tolist() == [[0, 0, -1, 1, 1]]


def test_change_is_of_the_grid_for_clips_of_other_rates_and_sizes():
    frames = torch.rand(1, 3, 12, 128, 96)
    other = frames.clone()
    other[:, :, :, :8, :8] = 1 - frames[:, :, :, :8, :8]
    change = cell_change(other, frames, 24.0, Grid())
    assert change.shape == (1, 8, 22, 16)
    assert change[..., 0, 0].min() > 0.05 and change[..., 3:, 3:].max() < 1e-6


def test_a_whole_clip_and_a_stretch_of_it_see_the_same_references(batch):
    model = tiny().eval()
    frames = batch.frames[:2]
    first, median = frames[:, :, :1], frames.median(2, keepdim=True).values
    with torch.no_grad():
        whole, given = model(frames), model(frames, first, median)
        assert torch.equal(whole.cell, given.cell) and torch.equal(whole.frame, given.frame)
        stretch = model(frames[:, :, 4:], first, median)
    assert stretch.cell.shape == (2, 8, 16, 16) and stretch.kind.shape == (2, 8, 16, 16, len(KINDS))
    assert whole.clip.shape == (2,)


def test_a_clip_is_as_bad_as_its_worst_quarter():
    logits = torch.tensor([-5.0, -5, -5, -5, -5, -5, 1, 3])
    assert pooled(logits) == 2.0
    assert pooled(torch.tensor([-1.0])) == -1.0


def test_faults_are_learned_on_a_handful_of_clips(batch):
    model = tiny()
    parts = configure(model, Recipe(learning_rate=8e-3, warmup_steps=5), 60)
    first = None
    for _ in range(60):
        losses = fault_losses(model(batch.frames), batch.change, batch.kind)
        loss = losses["cell"] + losses["frame"] + losses["clip"] + 0.2 * losses["kind"]
        first = float(loss.detach()) if first is None else first
        parts["optimizer"].zero_grad()
        loss.backward()
        parts["optimizer"].step()
        parts["lr_scheduler"]["scheduler"].step()
    assert float(loss.detach()) < 0.35 * first
    with torch.no_grad():
        found = model(batch.frames)
    state = frame_state(batch.change)
    assert found.frame[state == 1].median() > 1 and found.frame[state == 0].median() < -1


def test_the_video_detector_stays_as_it_is_and_all_else_moves(batch, tmp_path):
    system = FaultSystem(tiny(), Recipe(warmup_steps=1), length=4)
    before = {name: value.clone() for name, value in system.model.named_parameters()}
    trainer = quiet_trainer(tmp_path, 4, limit_val_batches=1, num_sanity_val_steps=0, val_check_interval=4)
    loader = DataLoader([batch] * 4, batch_size=None)
    trainer.fit(system, loader, loader)
    for name, value in system.model.named_parameters():
        assert torch.equal(value, before[name]) == name.startswith("video."), name
    errors = system.model.errors.values()
    assert all(0 <= errors[name] <= 1 for name in ("clip/auroc", "frame/auroc", "cell/auroc"))
    true = 1 / (1 + math.exp(-30))
    assert 0 < float(system.model.frame_threshold) <= true


class Halved:
    """A codec that darkens, and whose latents are the frames."""

    def to(self, device):
        return self

    def encode(self, frames):
        return frames / 2

    def decode(self, latents, spec):
        return latents


def test_what_the_codec_does_is_no_fault_and_what_hedging_does_is_one(batch, monkeypatch):
    system = FaultSystem(tiny())
    frames, change, kind = system.coded(batch, 0)
    assert frames is batch.frames and change is batch.change
    system.through = [Halved()]
    monkeypatch.setattr("avsim.perception.fault_system.HEDGED", 0.0)
    frames, change, kind = system.coded(batch, -1)
    turn = (batch.rows - 1) % 2 == 0
    assert torch.equal(frames[~turn], batch.frames[~turn])
    assert frames[turn].mean() < 0.6 * batch.frames[turn].mean()
    assert torch.equal(change, batch.change) and torch.equal(kind, batch.kind)
    monkeypatch.setattr("avsim.perception.fault_system.HEDGED", 1.0)
    _, change, kind = system.coded(batch, -1)
    assert (change[turn][:, 1:].amax((2, 3)) > UNSEEN).all() and (kind[turn] == -1).all()
    assert torch.equal(change[~turn], batch.change[~turn])


def test_found_in_clips_of_any_length_size_and_rate(tmp_path):
    model = load_model(save_model(tiny(), tmp_path / "model"), expected=FaultDetector)
    for count, size, rate in ((1, (64, 64), 16.0), (20, (48, 80), 24.0), (9, (128, 128), 8.0)):
        found = find_faults(model, Clip(torch.rand(3, count, *size), None, rate))
        assert found.frames.shape == (count,) and len(found.cells) == count
        assert 0 <= found.clean <= 1 and found.kind in KINDS and math.isfinite(found.logit)
        assert float(found.kinds.sum()) == pytest.approx(1.0, abs=1e-4)
    with pytest.raises(InputError, match="frames are None"):
        find_faults(model, Clip(None, torch.zeros(1, 100)))
