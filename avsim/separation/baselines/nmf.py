"""Non-negative matrix factorisation (Lee and Seung 1999; for sources Virtanen 2007), helped by the truth.

A mixture's magnitudes become a sum of `components` spectra times their levels over time. Components have
no labels, so each is assigned to the source with the largest share of it in the ground truth: an upper
bound of any clustering of these components.
"""

import torch
from torch import Tensor

from avsim.errors import InputError
from avsim.separation.loss import ideal_shares

ROUNDS = 100  # of multiplicative updates


def components_of(power: Tensor, components: int, seed: int = 0) -> Tensor:
    """Magnitudes of the components of a mixture's power, (F, J) -> (K, F, J), by the divergence of Kullback
    and Leibler.

    Raises:
        InputError: scikit-learn is not installed.
    """
    try:
        from sklearn.decomposition import non_negative_factorization
    except ImportError as error:
        raise InputError("NMF needs scikit-learn: pip install 'avsim[test]'") from error
    import warnings

    magnitude = power.clamp(min=0).sqrt()
    magnitude = (magnitude / magnitude.mean().clamp(min=1e-20) + 1e-6).double().cpu()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it could go on
        spectra, levels, _ = non_negative_factorization(
            magnitude.numpy(), n_components=components, init="nndsvda", solver="mu",
            beta_loss="kullback-leibler", max_iter=ROUNDS, random_state=seed,
        )  # fmt: skip
    return torch.einsum("fk,kj->kfj", torch.from_numpy(spectra), torch.from_numpy(levels)).float()


def nmf_shares(mixture: Tensor, sources: Tensor, components: int = 16, seed: int = 0) -> Tensor:
    """Shares of a mixture's bins by components that the truth assigns.

    Shapes: mixture's power (F, J), sources' powers (R, F, J); returns (R, F, J), which add up to 1.
    """
    parts = components_of(mixture, components, seed)  # (K, F, J)
    owned = torch.einsum("kfj,rfj->kr", parts, ideal_shares(sources[None].float())[0])
    mine = torch.nn.functional.one_hot(owned.argmax(1), len(sources)).to(parts)  # (K, R)
    return torch.einsum("kfj,kr->rfj", parts, mine) / parts.sum(0).clamp(min=1e-12)
