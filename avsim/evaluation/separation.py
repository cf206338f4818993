"""How well stems were separated: BSS-eval version 3 and SI-SDR, and what was gained over the mixture."""

import torch
from torch import Tensor

from avsim.errors import InputError
from avsim.evaluation.bss import SILENT, bss_eval
from avsim.evaluation.metric import ClipScorer, mean
from avsim.evaluation.result import Reason
from avsim.measures import si_sdr

NAMES = ("SDR (BSS-eval 3, 512 taps), dB", "SIR (BSS-eval 3), dB", "SAR (BSS-eval 3), dB", "SI-SDR, dB")


class Separation(ClipScorer):
    """Means over mixtures of the mean over each one's sources, in dB.

    A source whose reference or estimate is silent has no such score: it is counted, and in no mean.

    Args:
        permutation: whether estimates come in no order and are put in that of the highest mean SIR first.
    """

    width = 2 * len(NAMES) + 2  # of the stems, of the mixture in their place, silent references and estimates

    def __init__(self, permutation: bool = False) -> None:
        super().__init__()
        self.permutation = permutation

    def update(self, reference: Tensor, estimate: Tensor, mixture: Tensor) -> None:
        """ClipScorer the stems of B mixtures.

        Shapes: reference and estimate (B, S, N), mixture (B, N); of sound with more channels, scorer the mean
        of them or each as a mixture of its own.

        Raises:
            InputError: shapes that disagree, values that are not finite.
        """
        if mixture.shape != reference.shape[::2]:
            raise InputError(
                f"separation: the mixture is {tuple(mixture.shape)} and the reference "
                f"{tuple(reference.shape)}; expected (B, N) and (B, S, N)"
            )
        silent = [(wave.double().square().mean(2) <= SILENT) for wave in (reference, estimate)]
        ours = self._scores(reference, estimate, silent[0] | silent[1])  # (4, B, S)
        before = self._scores(reference, mixture[:, None].expand_as(reference), silent[0] | silent[1])
        for row in range(len(reference)):
            counts = torch.stack([each[row].sum() for each in silent])
            if counts.sum() and (silent[0] | silent[1])[row].all():
                self.skip(Reason.SILENT)
            else:
                self.keep(torch.cat([mean(ours[:, row]), mean(before[:, row]), counts]))

    def _scores(self, reference: Tensor, estimate: Tensor, silent: Tensor) -> Tensor:
        sdr, sir, sar = bss_eval(reference, estimate, self.permutation)
        scores = torch.stack([sdr, sir, sar, si_sdr(reference, estimate)])
        return scores.masked_fill(silent | scores.isinf(), torch.nan)  # nothing interferes with one source

    def numbers(self, rows: Tensor) -> dict[str, Tensor]:
        """Each score, its gain over the mixture (not SAR's, which means nothing), and silent sources."""
        count = len(NAMES)
        found = {name: mean(rows[..., k]) for k, name in enumerate(NAMES)}
        for k in (0, 1, 3):
            found[f"gain in {NAMES[k]}"] = mean(rows[..., k] - rows[..., count + k])
        found["silent references"] = rows[..., 2 * count].sum(-1)
        found["silent estimates"] = rows[..., 2 * count + 1].sum(-1)
        return found
