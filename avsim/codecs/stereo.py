"""Stereo spectra as three cues of every bin: how loud it is, how much louder on the left, how much sooner.

They are what the audio codec keeps. A phase of its own it does not: at 32 latents a second a phase costs more
than all that can be heard of it, and `waveform` finds one that fits the levels (Griffin and Lim 1984, in the
fast form of Perraudin, Balazs and Søndergaard 2013).
"""

from functools import cache

import torch
from torch import Generator, Tensor

from avsim.codecs.spectra import istft, stft

FLOOR = 1e-9  # of power: 84 dB below a full-scale sine
CUES = 4  # level, balance, and the cosine and the sine of the delay
ITERATIONS = 16  # of finding a phase
MOMENTUM = 0.99  # of the fast form
MOST = 4.0  # of power that is made up for, where phases that fit badly cancel


def cues(left_right: Tensor) -> Tensor:
    """Complex spectra (B, 2, M, F) of left and right -> (B, 4, M, F).

    level   = ln sqrt((|L|^2 + |R|^2) / 2)
    balance = ln (|L| / |R|)
    delay   = L R* / |L R*|, real and imaginary; 0 where either is silent
    """
    left, right = left_right.unbind(1)
    cross = left * right.conj()
    left, right = (side.real.square() + side.imag.square() + FLOOR for side in (left, right))
    cross = cross / (left * right).sqrt()
    return torch.stack(
        [0.5 * ((left + right) / 2).log(), 0.5 * (left / right).log(), cross.real, cross.imag], 1
    )


def spectra(found: Tensor, phase: Tensor) -> Tensor:
    """Cues (B, 4, M, F), the right side's phase, of unit magnitude, (B, M, F) -> both sides (B, 2, M, F)."""
    level, balance, real, imaginary = found.float().unbind(1)
    sides = (2 * (2 * level).exp() * torch.sigmoid(sign * 2 * balance) for sign in (1, -1))
    left, right = ((power - FLOOR).clamp(min=0) for power in sides)
    delay = torch.complex(real, imaginary)
    delay = delay / delay.abs().clamp(min=1e-6)
    return torch.stack([left.sqrt() * delay * phase, right.sqrt() * phase], 1)


@torch.no_grad()
def waveform(found: Tensor, n_fft: int, hop: int, window: Tensor, iterations: int = ITERATIONS) -> Tensor:
    """Cues (B, 4, M, F) -> left and right (B, 2, F hop) whose own cues are near them.

    Phases start at random, the same ones for every clip of a length, so that noise stays noise and the same
    cues are the same samples.
    """
    level = found[:, 0].float().exp()  # (B, M, F)
    phase = phases(tuple(level.shape[1:]), level.device).expand(level.shape)
    before = torch.zeros_like(phase)
    for _ in range(iterations):
        now = stft(istft(level * phase, n_fft, hop, window), n_fft, hop, window)
        ahead = torch.sub(now, before, alpha=MOMENTUM / (1 + MOMENTUM))  # along now + MOMENTUM (now - before)
        phase, before = torch.sgn(ahead), now
    made = stft(istft(spectra(found, phase), n_fft, hop, window), n_fft, hop, window)
    return istft(made * lost(found, made)[:, None, None], n_fft, hop, window)


@cache  # a CUDA graph may read them again
def phases(shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Complex numbers of unit magnitude, always the same ones."""
    with torch.inference_mode(False):
        turns = torch.rand(shape, generator=Generator().manual_seed(0)).to(device)
        return torch.polar(torch.ones_like(turns), 2 * torch.pi * turns)


def lost(found: Tensor, made: Tensor) -> Tensor:
    """What each frame of `made` has lost, where phases fit badly and neighbours cancel.

    Cues (B, 4, M, F), spectra (B, 2, M, F) -> the gains that make them as loud as the cues say, (B, F).
    """
    expected = ((2 * found[:, 0].float()).exp() - FLOOR).clamp(min=0).sum(1)
    kept = made.abs().square().mean(1).sum(1)
    return ((expected + FLOOR) / (kept + FLOOR)).clamp(1 / MOST, MOST).sqrt()
