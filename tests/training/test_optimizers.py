"""Muon and AdamW behind one face move weights as the two would alone, and resume bit for bit."""

import copy

import pytest
import torch
from torch import nn

from avsim.training.optimizers import MuonAdamW, Recipe, configure, orthogonalised, scale


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(8, 8), nn.Linear(8, 1)

    def forward(self, x):
        return self.out(torch.tanh(self.hidden(x)))

    def hidden_matrices(self):
        return [self.hidden.weight]


def train(model, parts, steps, first=0):
    for step in range(first, first + steps):
        x = torch.randn(16, 8, generator=torch.Generator().manual_seed(step))
        parts["optimizer"].zero_grad()
        (model(x) - x.sum(1, keepdim=True)).square().mean().backward()
        parts["optimizer"].step()
        parts["lr_scheduler"]["scheduler"].step()


RECIPE = Recipe(learning_rate=1e-2, matrix_learning_rate=2e-2, warmup_steps=3)


def test_equals_the_two_optimizers_run_apart():
    torch.manual_seed(0)
    ours, apart = (model := Model()), copy.deepcopy(model)
    flat = Recipe(learning_rate=1e-2, matrix_learning_rate=2e-2, warmup_steps=1, decay_start=1.0)
    train(ours, configure(ours, flat, 10), 5)
    muon = torch.optim.Muon([apart.hidden.weight], lr=2e-2, weight_decay=0.01, adjust_lr_fn="match_rms_adamw")
    rest = [
        {"params": [apart.out.weight], "weight_decay": 0.01},
        {"params": [apart.hidden.bias, apart.out.bias], "weight_decay": 0.0},
    ]
    adamw = torch.optim.AdamW(rest, lr=1e-2, betas=(0.9, 0.95))
    for step in range(5):
        x = torch.randn(16, 8, generator=torch.Generator().manual_seed(step))
        apart.zero_grad()
        (apart(x) - x.sum(1, keepdim=True)).square().mean().backward()
        muon.step()
        adamw.step()
    for a, b in zip(ours.parameters(), apart.parameters(), strict=True):
        assert torch.allclose(a, b, atol=5e-3)  # torch's Muon rounds to bfloat16 on its way


@pytest.mark.parametrize("shape", [(40, 40), (16, 60), (60, 16)])
def test_an_update_becomes_nearly_orthogonal_and_keeps_its_directions(shape):
    update = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    u, _, v = torch.linalg.svd(update, full_matrices=False)
    values = (u.T @ orthogonalised(update) @ v.T).diagonal()
    assert 0.6 < values.min() and values.max() < 1.3


def test_a_kernel_is_stepped_as_a_matrix():
    kernel = nn.Conv2d(3, 4, 3, bias=False)
    matrix = nn.Linear(27, 4, bias=False)
    matrix.weight.data.copy_(kernel.weight.flatten(1))
    for module in (kernel, matrix):
        module.weight.grad = torch.arange(108.0).view_as(module.weight).sin()
        MuonAdamW([{"params": [module.weight], "lr": 0.1, "muon": True}]).step()
    assert torch.allclose(kernel.weight.flatten(1), matrix.weight)


def test_a_resumed_run_is_the_run(tmp_path):
    torch.manual_seed(0)
    whole, resumed = (model := Model()), copy.deepcopy(model)
    train(whole, configure(whole, RECIPE, 12), 12)
    first = configure(resumed, RECIPE, 12)
    train(resumed, first, 5)
    torch.save(
        {"o": first["optimizer"].state_dict(), "s": first["lr_scheduler"]["scheduler"].state_dict()},
        tmp_path / "state",
    )
    saved = torch.load(tmp_path / "state", weights_only=True)
    second = configure(resumed, RECIPE, 12)
    second["optimizer"].load_state_dict(saved["o"])
    second["lr_scheduler"]["scheduler"].load_state_dict(saved["s"])
    train(resumed, second, 7, first=5)
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_schedule_warms_holds_and_falls():
    recipe = Recipe(warmup_steps=10, decay_start=0.5, final_ratio=0.1)
    assert scale(0, recipe, 100) == pytest.approx(0.1)
    assert scale(9, recipe, 100) == scale(50, recipe, 100) == 1.0
    assert scale(100, recipe, 100) == pytest.approx(0.1)
