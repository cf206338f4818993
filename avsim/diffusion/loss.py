"""The loss of rectified flow, and the loss of a predictor that knows nothing but the level."""

from torch import Tensor

from avsim.diffusion.noising import Noised, blind_velocity

CLEAREST = 0.05  # level below which an error of the data counts as it does at this level


def token_loss(predicted: Tensor, noised: Noised) -> Tensor:
    """Mean squared error of the velocity of each token, (B, L), 0 where the token is given (s = 0).

    An error e of the data is an error e / s of the velocity; nearer to the data than `CLEAREST`, e / CLEAREST
    (2511.13720, section 4.3).
    """
    error = (predicted.float() - noised.v).square().mean(-1)
    return error * (noised.level[..., 0] / CLEAREST).clamp(max=1).square()


def row_loss(per_token: Tensor) -> Tensor:
    """The loss of each clip, (B,): the sum over tokens that are not given, over the number of *all* tokens.

    The number is fixed, so the mean over rows is the same however the rows are spread over processes.
    """
    return per_token.sum(1) / per_token.shape[1]


def trivial(noised: Noised) -> Tensor:
    """The velocity that the level alone predicts of data of unit variance, (B, L, D).

    Its loss there is 1 / (s^2 + (1 - s)^2), from the level `CLEAREST` on.
    """
    return blind_velocity(noised.x_s, noised.level)
