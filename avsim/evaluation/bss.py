"""BSS-eval, version 3: how much of an estimate is its source, other sources, or neither.

    P_j e    the projection of the estimate e on source j and its delays of 0 to 511 samples
    P e      the projection on all sources and their delays
    SDR = |P_j e|^2 / |e - P_j e|^2,   SIR = |P_j e|^2 / |P e - P_j e|^2,   SAR = |P e|^2 / |e - P e|^2

in dB (Vincent, Gribonval and Févotte 2006; Vincent et al. 2012). As P_j e lies in the span of P e, all three
follow from the energies of e, P e and P_j e, and these from correlations alone.
"""

from itertools import permutations

import torch
from torch import Tensor

from avsim.errors import InputError

TAPS = 512  # of the filters that a source may have passed and still count as itself
SILENT = 1e-20  # mean square below which a source is silent
AT_ONCE = 16 * 2**20  # bytes of Gram matrices held at a time: few, so that memory is reused while it is warm


def bss_eval(reference: Tensor, estimate: Tensor, permutation: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """SDR, SIR and SAR in dB, as `mir_eval.separation.bss_eval_sources` has them (to 1e-3 dB below 80 dB).

    Shapes: reference and estimate (B, S, N), returns three of (B, S), float64, at the sources' places. With
    `permutation` each row's estimates are first put in the order of the highest mean SIR. A source whose
    reference or estimate is silent has no score: nan. With one source there is no interference: SIR is inf.

    Raises:
        InputError: shapes that differ or are not (B, S, N), or values that are not finite.
    """
    if reference.shape != estimate.shape or reference.ndim != 3 or 0 in reference.shape:
        raise InputError(
            f"bss_eval: reference is {tuple(reference.shape)} and estimate {tuple(estimate.shape)}; expected "
            "one shape (B, S, N), none of them 0"
        )
    if not (torch.isfinite(reference).all() and torch.isfinite(estimate).all()):
        raise InputError("bss_eval: reference and estimate must be finite; found nan or inf")
    sources = reference.shape[1]
    rows = max(1, AT_ONCE // (8 * (sources * TAPS) ** 2))
    parts = [
        _scores(r.double(), e.double(), permutation)
        for r, e in zip(reference.split(rows), estimate.split(rows), strict=True)
    ]
    sdr, sir, sar = (torch.cat(scores) for scores in zip(*parts, strict=True))
    return sdr, sir, sar


def _scores(reference: Tensor, estimate: Tensor, permutation: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Scores of a few rows, (b, S, N) float64 each -> (b, S) each."""
    sources = reference.shape[1]
    own, whole = _projected(reference, estimate)  # (b, S of references, S of estimates), (b, S)
    energy = estimate.square().sum(2)  # (b, S)
    heard = reference.square().mean(2)[:, :, None] > SILENT
    given = estimate.square().mean(2)[:, None, :] > SILENT
    whole, energy = whole[:, None], energy[:, None]
    scores = [_decibels(own, energy - own), _decibels(own, whole - own), _decibels(whole, energy - whole)]
    scores = [score.expand(own.shape).masked_fill(~(heard & given), torch.nan) for score in scores]
    if sources == 1:  # nothing to interfere; the two projections are one
        scores[1] = scores[1].masked_fill(heard & given, torch.inf)
    if not permutation:
        sdr, sir, sar = (score.diagonal(dim1=1, dim2=2) for score in scores)
        return sdr, sir, sar
    orders = torch.tensor(list(permutations(range(sources))), device=reference.device)  # (P, S)
    index = torch.arange(sources, device=reference.device)
    candidates = scores[1][:, index, orders]  # (b, P, S)
    best = orders[candidates.nan_to_num(nan=0.0).mean(2).argmax(1)]  # (b, S)
    sdr, sir, sar = (score.gather(2, best[:, :, None])[..., 0] for score in scores)
    return sdr, sir, sar


def _projected(reference: Tensor, estimate: Tensor) -> tuple[Tensor, Tensor]:
    """Energies of each estimate's projections on each source alone, (b, S, S), and on all of them, (b, S)."""
    rows, sources, samples = reference.shape
    size = _good_size(samples + TAPS - 1)
    spectra, heard = torch.fft.rfft(reference, size), torch.fft.rfft(estimate, size)
    # inner[:, i, :, k]: products of estimate k with source i, delayed by each tap
    inner = torch.fft.irfft(spectra[:, :, None].conj() * heard[:, None], size)[..., :TAPS].transpose(2, 3)
    gram = reference.new_zeros(rows, sources, TAPS, sources, TAPS)  # the lower triangle of it
    for i in range(sources):
        for j in range(i + 1):
            lags = torch.fft.irfft(spectra[:, i].conj() * spectra[:, j], size)
            gram[:, i, :, j] = _toeplitz(torch.cat([lags[:, 1 - TAPS :], lags[:, :TAPS]], 1))
    whole = gram.flatten(3).flatten(1, 2)
    whole.diagonal(dim1=1, dim2=2).masked_fill_(whole.diagonal(dim1=1, dim2=2) == 0, 1.0)  # silent sources
    first, everything = _explained(whole, inner.flatten(1, 2))
    # The first source's own projection is the first block of the same triangular solve.
    own = [first] + [_explained(gram[:, i, :, i], inner[:, i])[1] for i in range(1, sources)]
    return torch.stack(own, 1), everything


def _toeplitz(lags: Tensor) -> Tensor:
    """(b, 2 L - 1) lags -(L - 1) ... L - 1 -> (b, L, L) whose entry (s, t) is lag s - t."""
    # Product of a source delayed by s with one delayed by t: r(s - t).
    return lags.unfold(1, TAPS, 1).flip(2)


def _explained(gram: Tensor, inner: Tensor) -> tuple[Tensor, Tensor]:
    """The energy d' G^-1 d of each estimate's projection on the first `TAPS` vectors, and on all.

    Shapes: gram (b, n, n), of which the lower triangle is read; inner (b, n, k); returns (b, k) each.
    """
    factor, failed = torch.linalg.cholesky_ex(gram)
    whitened = torch.linalg.solve_triangular(factor, inner, upper=False).square()
    first, everything = whitened[:, :TAPS].sum(1), whitened.sum(1)
    for row in failed.nonzero()[:, 0].tolist():  # singular to machine precision
        full = gram[row].tril() + gram[row].tril(-1).T
        first[row] = _pseudo(full[:TAPS, :TAPS], inner[row, :TAPS])
        everything[row] = _pseudo(full, inner[row])
    return first, everything


def _pseudo(gram: Tensor, inner: Tensor) -> Tensor:
    """The energy d' G^+ d with the pseudo-inverse, (n, n) and (n, k) -> (k,)."""
    solution = torch.linalg.lstsq(gram.cpu(), inner.cpu(), driver="gelsd").solution
    return (solution.to(inner) * inner).sum(0)


def _decibels(signal: Tensor, rest: Tensor) -> Tensor:
    """10 log10 signal / rest; rest at rounding's reach of 0 or below counts as 0: inf."""
    return 10 * torch.log10(signal / rest.clamp(min=0))


def _good_size(least: int) -> int:
    """The smallest 2^a 3^b 5^c that is at least `least`: quick for any FFT."""
    sizes = (2**a * 3**b * 5**c for a in range(1, 25) for b in range(6) for c in range(4))
    return min(size for size in sizes if size >= least)
