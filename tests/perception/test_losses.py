import math

import pytest
import torch

from avsim.perception.losses import heat_loss


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
