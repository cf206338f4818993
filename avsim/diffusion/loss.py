"""The loss of rectified flow, and the level-only baseline."""

import torch
from torch import Tensor

from avsim.diffusion.noising import Noised, level_only_velocity

MIN_NOISE_LEVEL = 0.05  # noise level below which an error of the predicted data weighs no more than at it


def token_loss(predicted: Tensor, noised: Noised) -> Tensor:
    """Mean squared error of the velocity of each token, (B, L), 0 where the token is given (s = 0).

    An error e of the predicted clean data is an error e / s of the velocity; where s is below
    `MIN_NOISE_LEVEL`, it counts as e / MIN_NOISE_LEVEL (2511.13720, section 4.3).
    """
    error = (predicted.float() - noised.v).square().mean(-1)
    return error * (noised.level[..., 0] / MIN_NOISE_LEVEL).clamp(max=1).square()


def row_loss(per_token: Tensor) -> Tensor:
    """The loss of each clip, (B,): the sum over tokens that are not given, over the number of *all* tokens.

    The divisor is fixed, so that the mean over rows does not depend on their distribution over processes.
    """
    return per_token.sum(1) / per_token.shape[1]


def motion_weight(noised: Noised, frames: int, motion: float) -> Tensor:
    """The loss weight of each video token, (B, L): 1, and up to 1 + `motion` where latents change over time.

    Tokens run over `frames` latent frames; `frames` of 1 have weight 1. What moves later stands in frame 0 too:
    its cells weigh as much there. After frame 0 the extra weight is multiplied by 1 - s0^2, where s0 is the
    level of frame 0: motion can't be predicted from a noisy frame 0.
    """
    later = noised.x.unflatten(1, (frames, -1))[:, 1:]  # (B, t - 1, hw, D)
    if frames == 1:
        return torch.ones_like(noised.x[..., 0])
    change = (later - later.mean(1, keepdim=True)).square().mean(-1).amax(1)  # (B, hw)
    moving = change / (change + 1)
    known = (1 - noised.s[:, :1].square()) * moving
    return 1 + motion * torch.cat([moving, known.repeat(1, frames - 1)], dim=1)


def level_only(noised: Noised) -> Tensor:
    """The best linear estimate of the velocity from x_s, the level, and the variances of a clip's channels.

    Returns (B, L, D). For unit variance its loss is 1 / (s^2 + (1 - s)^2) from `MIN_NOISE_LEVEL` on.
    """
    variance = noised.x.square().mean(1, keepdim=True)  # (B, 1, D)
    return level_only_velocity(noised.x_s, noised.level, variance)
