"""How every part of avsim is optimised: Muon for hidden matrices, AdamW for the rest, one schedule."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR


@dataclass(frozen=True)
class Recipe:
    """An optimizer and its schedule."""

    learning_rate: float = 1e-3  # AdamW's peak
    matrix_learning_rate: float | None = (
        None  # Muon's peak for `model.hidden_matrices()`; None: AdamW for all
    )
    weight_decay: float = 0.01  # on matrices and kernels; never on vectors
    betas: tuple[float, float] = (0.9, 0.95)
    warmup_steps: int = 150
    decay_from: float = 0.35  # share of the run after which a cosine takes the rate down
    final: float = 0.05  # the rate at the end, as a share of its peak


def scale(step: int, recipe: Recipe, total_steps: int) -> float:
    """The rate at `step` as a share of its peak: linear warm-up, flat, cosine to `final`."""
    warm = min(1.0, (step + 1) / max(1, recipe.warmup_steps))
    start = recipe.decay_from * total_steps
    done = min(1.0, max(0.0, (step - start) / max(1.0, total_steps - start)))
    return warm * (recipe.final + (1 - recipe.final) * 0.5 * (1 + math.cos(math.pi * done)))


class MuonAdamW(torch.optim.Optimizer):
    """Muon for groups marked `muon`, AdamW for the others, behind one optimizer's face: Lightning steps one.

    Sources: Muon, Jordan 2024 (rates matched to AdamW's RMS as in 2502.16982); AdamW, 1711.05101.
    """

    def __init__(self, groups: list[dict[str, Any]]) -> None:
        super().__init__(groups, {"lr": 1e-3, "muon": False})
        # Members share this optimizer's groups and state, so that schedulers and checkpoints see one.
        self.members: list[torch.optim.Optimizer] = []
        for muon in (True, False):
            mine = [group for group in self.param_groups if group["muon"] is muon]
            if not mine:
                continue
            kind: Any = torch.optim.Muon if muon else torch.optim.AdamW
            options = {"adjust_lr_fn": "match_rms_adamw"} if muon else {}
            member = kind(mine, **options)
            for group, full in zip(mine, member.param_groups, strict=True):
                group.update(full)
            self.members.append(member)
        self._share()

    def _share(self) -> None:
        for member in self.members:
            muon = isinstance(member, torch.optim.Muon)
            member.param_groups = [group for group in self.param_groups if group["muon"] is muon]
            member.state = self.state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore groups and state, and share them with the members again."""
        super().load_state_dict(state_dict)
        self._share()

    def step(self, closure: Any = None) -> Any:  # type: ignore[override]
        """One step of both members; the closure, if any, is evaluated once."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for member in self.members:
            member.step()
        return loss


def configure(model: nn.Module, recipe: Recipe, total_steps: int) -> dict[str, Any]:
    """What `configure_optimizers` returns for `model`: optimizer and a scheduler that moves every step.

    A model that offers `hidden_matrices()` has those trained by Muon where the recipe gives them a rate.
    """
    matrices: list[nn.Parameter] = []
    if recipe.matrix_learning_rate is not None and (named := getattr(model, "hidden_matrices", None)):
        matrices = list(named())
    taken = {id(parameter) for parameter in matrices}
    rest = [p for p in model.parameters() if p.requires_grad and id(p) not in taken]
    plain = {"lr": recipe.learning_rate, "betas": recipe.betas, "muon": False}
    groups: list[dict[str, Any]] = [
        {"params": [p for p in rest if p.ndim >= 2], "weight_decay": recipe.weight_decay, **plain},
        {"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0, **plain},
        {
            "params": matrices,
            "lr": recipe.matrix_learning_rate,
            "weight_decay": recipe.weight_decay,
            "muon": True,
        },
    ]
    optimizer = MuonAdamW([group for group in groups if group["params"]])
    scheduler = LambdaLR(optimizer, lambda step: scale(step, recipe, total_steps))
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
