"""The optimizer of all training runs: Muon for hidden matrices, AdamW for the rest, one schedule."""

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from avsim.devices import fast_in_bfloat16
from avsim.errors import InputError


@dataclass(frozen=True)
class Recipe:
    """An optimizer and its schedule."""

    learning_rate: float = 1e-3  # peak rate of AdamW
    matrix_learning_rate: float | None = (
        None  # peak rate of Muon for `model.hidden_matrices()`; None: AdamW for all
    )
    weight_decay: float = 0.01  # on matrices and kernels; never on vectors
    betas: tuple[float, float] = (0.9, 0.95)
    warmup_steps: int = 150
    decay_start: float = 0.35  # share of the run after which the rate decays by a cosine
    final_ratio: float = 0.05  # final rate as a share of its peak

    def __post_init__(self) -> None:
        for name in (
            "learning_rate", "matrix_learning_rate", "weight_decay", "warmup_steps", "decay_start",
            "final_ratio",
        ):  # fmt: skip
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise InputError(f"{name} is {value}; it must be a finite number that is not negative")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise InputError(f"betas are {self.betas}; each must lie in [0, 1)")


def scale(step: int, recipe: Recipe, total_steps: int) -> float:
    """The learning rate at `step` over its peak: linear warm-up, flat, then a cosine to `final_ratio`."""
    warm = min(1.0, (step + 1) / max(1, recipe.warmup_steps))
    start = recipe.decay_start * total_steps
    done = min(1.0, max(0.0, (step - start) / max(1.0, total_steps - start)))
    return warm * (recipe.final_ratio + (1 - recipe.final_ratio) * 0.5 * (1 + math.cos(math.pi * done)))


NEWTON_SCHULZ = (
    3.4445,
    -4.7750,
    2.0315,
)  # coefficients of the odd quintic that maps singular values to about 1
MOMENTUM = 0.95


def orthogonalised(update: Tensor) -> Tensor:
    """The matrices `update` (..., m, n), each replaced by about its nearest semi-orthogonal matrix.

    Their singular values lie between 0.7 and 1.2. Five Newton-Schulz steps (Muon, Jordan 2024), in bfloat16
    if the device is fast at it.
    """
    x = update.flatten(0, -3) if update.ndim > 2 else update[None]  # (k, m, n)
    x = x.to(torch.bfloat16 if fast_in_bfloat16(update.device) else torch.float32)
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    a, b, c = NEWTON_SCHULZ
    for _ in range(5):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).to(update.dtype).view_as(update)


class MuonAdamW(torch.optim.Optimizer):
    """Muon for groups marked `muon`, AdamW for the others, as one optimizer, as Lightning expects.

    A kernel of more than two dimensions counts as the matrix from all its inputs to its outputs. Sources:
    Muon, Jordan 2024, with rates matched to AdamW's RMS as in 2502.16982; AdamW, 1711.05101.
    """

    def __init__(self, groups: list[dict[str, Any]]) -> None:
        super().__init__(groups, {"lr": 1e-3, "weight_decay": 0.0, "muon": False})
        plain = [group for group in self.param_groups if not group["muon"]]
        self.adamw = torch.optim.AdamW(plain) if plain else None
        if self.adamw is not None:
            for group, full in zip(plain, self.adamw.param_groups, strict=True):
                group.update(full)
        self._share()

    def _share(self) -> None:
        # AdamW shares this optimizer's groups and state, so that schedulers and checkpoints have one.
        if self.adamw is not None:
            self.adamw.param_groups = [group for group in self.param_groups if not group["muon"]]
            self.adamw.state = self.state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore groups and state, and share them with AdamW again."""
        super().load_state_dict(state_dict)
        self._share()

    def step(self, closure: Any = None) -> Any:  # type: ignore[override]
        """One step of all groups; the closure, if any, is evaluated once."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            if group["muon"]:
                self._step_matrices(group)
        if self.adamw is not None:
            self.adamw.step()
        return loss

    @torch.no_grad()
    def _step_matrices(self, group: dict[str, Any]) -> None:
        """Update matrices of one shape together; a rate may be a tensor, and the host never waits."""
        weights = [weight for weight in group["params"] if weight.grad is not None]
        if not weights:
            return
        for weight in weights:
            if not self.state[weight]:
                self.state[weight]["momentum"] = torch.zeros_like(weight)
        gradients = [weight.grad for weight in weights]
        momenta = [self.state[weight]["momentum"] for weight in weights]
        torch._foreach_lerp_(momenta, gradients, 1 - MOMENTUM)
        updates = torch._foreach_lerp(gradients, momenta, MOMENTUM)  # Nesterov's
        torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
        alike = defaultdict(list)
        for weight, update in zip(weights, updates, strict=True):
            alike[weight.shape].append((weight, update.flatten(1)))
        for same in alike.values():
            matrices, moves = zip(*same, strict=True)
            matched = 0.2 * max(moves[0].shape) ** 0.5  # the RMS of AdamW's updates
            turned = orthogonalised(torch.stack(moves)) * (-matched * group["lr"])
            torch._foreach_add_(matrices, [move.view_as(matrices[0]) for move in turned])


def configure(
    model: nn.Module, recipe: Recipe, total_steps: int, rates: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """Optimizer and per-step scheduler of `model`, as `configure_optimizers` returns them.

    `rates` are AdamW's peak rates by prefix of a weight's name, in place of the recipe's. If the model has
    `hidden_matrices()` and the recipe has a `matrix_learning_rate`, Muon trains those.
    """
    matrices: list[nn.Parameter] = []
    if recipe.matrix_learning_rate is not None and (named := getattr(model, "hidden_matrices", None)):
        matrices = list(named())
    taken = {id(parameter) for parameter in matrices}
    by_rate: dict[float, list[nn.Parameter]] = {recipe.learning_rate: []}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and id(parameter) not in taken:
            own = next((rate for start, rate in (rates or {}).items() if name.startswith(start)), None)
            by_rate.setdefault(recipe.learning_rate if own is None else own, []).append(parameter)
    groups: list[dict[str, Any]] = []
    for rate, rest in by_rate.items():
        plain = {"lr": rate, "betas": recipe.betas, "muon": False}
        matrices_of, vectors = [p for p in rest if p.ndim >= 2], [p for p in rest if p.ndim < 2]
        groups += [
            {"params": matrices_of, "weight_decay": recipe.weight_decay, **plain},
            {"params": vectors, "weight_decay": 0.0, **plain},
        ]
    groups += [
        {
            "params": matrices,
            "lr": recipe.matrix_learning_rate,
            "weight_decay": recipe.weight_decay,
            "muon": True,
        }
    ]
    optimizer = MuonAdamW([group for group in groups if group["params"]])
    scheduler = LambdaLR(optimizer, lambda step: scale(step, recipe, total_steps))
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
