import math
from dataclasses import replace

import pytest
import torch

from avsim.perception.audio_detector import AudioDetector
from avsim.perception.grid import Grid
from avsim.perception.labels import Labels, labels
from avsim.perception.losses import audio_losses, heat_loss, video_losses
from avsim.perception.video_detector import VideoDetector
from avsim.world import Scene, render
from avsim.world.flat.scene import Target
from tests.perception.falling import SPEC, falling


def test_focal_loss_by_hand():
    """A peak and a cell half as hot, both said to be 0.5: (0.5^2 ln 2)(1 + 0.5^4)."""
    loss = heat_loss(torch.zeros(1, 2), torch.tensor([[1.0, 0.5]]))
    assert float(loss) == pytest.approx(0.25 * math.log(2) * (1 + 0.5**4))


def test_per_peak():
    one = heat_loss(torch.zeros(3), torch.tensor([1.0, 0.0, 0.0]))
    both = heat_loss(torch.zeros(6), torch.tensor([1.0, 0.0, 0.0] * 2))
    assert torch.allclose(one, both)


def test_what_is_not_asked_costs_nothing():
    logits = torch.tensor([3.0, -2.0], requires_grad=True)
    heat_loss(logits, torch.tensor([-1.0, 0.0])).backward()
    assert logits.grad[0] == 0 and logits.grad[1] != 0


def test_certainty_costs_nothing():
    heat = torch.tensor([1.0, 0.0, 0.3])
    assert heat_loss(torch.tensor([60.0, -60.0, -60.0]), heat) < 1e-12
    assert heat_loss(torch.tensor([-200.0]), torch.tensor([1.0])).isfinite()


def test_a_small_thing_counts_as_much_as_a_large_one():
    """What a thing is, is asked around its middle: its other cells change nothing."""
    _, truth = falling()
    found = Labels.stack([labels(truth, SPEC, Grid())])
    torch.manual_seed(0)
    predicted = VideoDetector(fine=8, coarse=8, blocks=1)(torch.rand(1, 3, 32, 64, 64))
    larger = replace(found, kind=torch.where(found.centre > 0.001, 1, found.kind).to(torch.uint8))
    larger = replace(larger, kind=torch.where(found.centre > 0.2, found.kind, larger.kind))
    assert (larger.kind > 0).sum() > 1.5 * (found.kind > 0).sum()
    one, other = video_losses(predicted, found), video_losses(predicted, larger)
    assert one["material"] == other["material"] and one["kind"] == other["kind"]
    assert one["cells"] != other["cells"]


def test_nothing_to_ask_is_no_loss():
    _, truth = render(Scene(targets=(Target("bell"),)), SPEC)
    found = Labels.stack([labels(truth, SPEC, Grid())])
    losses = audio_losses(
        AudioDetector(bands=16, widths=(4,), width=8, blocks=1)(torch.zeros(1, 1, 32000)), found
    )
    assert losses["kind"] == losses["material"] == losses["level"] == 0
    assert all(loss.isfinite() for loss in losses.values())
