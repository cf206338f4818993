"""Correlation over shifts by hand, the clock of a cut, and what is read from logits."""

import math

import pytest
import torch

from avsim.clip import Clip, ClipSpec
from avsim.errors import InputError
from avsim.perception.samples import LabeledWorld, stacked
from avsim.perception.sync import SyncModel, estimate, in_sync_score, shift, soft_target
from avsim.perception.system import SyncSystem
from avsim.weights import load_model, save_model
from tests.small.models import offset_judge


@pytest.fixture(scope="module")
def judge() -> SyncModel:
    torch.manual_seed(0)
    return offset_judge()


def test_shifts(judge):
    shifts = judge.shifts()
    assert len(shifts) == 129 and shifts[64] == 0 and shifts[-1] == 1.0 == -shifts[0]


@pytest.mark.parametrize("late", [-40, 0, 1, 17])
def test_a_later_copy_is_found_where_it_is(late, judge):
    v, a = torch.zeros(1, 128, 4), torch.zeros(1, 128, 4)
    moments = torch.tensor([50, 63, 90])
    v[0, moments, 2], a[0, moments + late, 2] = 1.0, 1.0
    found = judge.correlation(v, a)[0]
    assert int(found.argmax()) == 64 + late
    middle = 3 - 2 * 3 * 3 / 128 + 128 * (3 / 128) ** 2  # of three products, about means of 3 / 128
    if late == 0:
        assert float(found[64]) == pytest.approx(middle / (128 * 4) ** 0.5, rel=1e-4)


def test_what_never_changes_says_nothing(judge):
    assert judge.correlation(torch.ones(1, 32, 4), torch.rand(1, 32, 4)).abs().max() < 1e-6


def test_reading_undoes_the_target(judge):
    true = torch.tensor([0.0, 0.317, -0.95])
    seconds, probability = estimate(soft_target(true, judge).clamp(min=1e-30).log(), judge)
    assert torch.allclose(seconds.float(), true, atol=1e-3) and (probability > 0.99).all()
    level = estimate(torch.zeros(1, 129), judge)  # nothing is known: 9 of 129 shifts, or fewer at an end
    assert 5 / 129 - 1e-9 <= float(level[1]) <= 9 / 129 + 1e-9


def test_a_cut_shifts_the_sound_against_the_picture(judge):
    """What is at one moment of a clip lies `shift` later in the sound's stretch than in the video's."""
    spec = ClipSpec(seconds=3.0)
    source = LabeledWorld("easy", seed=1)
    batch = stacked([source.sample(index, spec) for index in range(3)], spec, range(3))
    seconds = torch.arange(spec.frames) / 16
    ramp = seconds[None, None, :, None, None].expand(3, 3, -1, 64, 64)
    samples = (torch.arange(spec.samples) / 16000).expand(3, 2, -1)
    batch = type(batch)(**{**vars(batch), "frames": ramp, "wave": samples})
    frames, wave, late, telling = SyncSystem(judge).cut(batch, 0)
    assert frames.shape == (3, 3, 32, 64, 64) and wave.shape == (3, 2, 32000) and telling.dtype == torch.bool
    assert torch.allclose(frames[:, 0, 0, 0, 0] - wave[:, 0, 0], late, atol=1e-3)
    assert late.abs().max() <= 1 and len(late.unique()) == 3
    assert torch.equal(SyncSystem(judge).cut(batch, 0)[2], late)  # of the step and the row alone


def test_any_clip(judge, tmp_path):
    clip = Clip.fitted(torch.rand(3, 12, 36, 48), torch.randn(2, 44100), 8.0, 22050)
    found = shift(judge.eval(), clip)
    assert abs(found.seconds) <= 1 and 0 < found.probability <= 1.001
    again = load_model(save_model(judge, tmp_path / "sync_model"), expected=SyncModel)
    assert shift(again, clip) == found
    with pytest.raises(InputError, match="lacks"):
        shift(judge, clip.without_audio())


def test_what_speaks_for_no_shift_is_what_lies_within_two_moments_of_none():
    logits = torch.full((2, 129), -100.0)
    logits[0, 62] = logits[0, 66] = 3.0
    logits[0, 61] = logits[0, 67] = 50.0  # a row of notes: as much at another shift, which takes nothing
    logits[1, 64] = 1.0
    torch.testing.assert_close(in_sync_score(logits), torch.tensor([3.0 + math.log(2), 1.0]))
