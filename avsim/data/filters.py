"""What makes a clip useless to learn from: nothing to see, nothing that moves, nothing to hear."""

import torch
from torch import Tensor

BLACK, FROZEN, SILENT = "black", "frozen", "silent"
UNREADABLE, SHORT, NO_AUDIO, NO_VIDEO = "unreadable", "shot too short", "no audio", "no video"

# The limits are the defaults of ffmpeg's blackdetect, freezedetect and silencedetect.
DARK_PIXEL, DARK_SHARE = 0.10, 0.98  # a frame is black where this share of its pixels is below that luminance
STILL = 0.001  # mean absolute change between frames, -60 dB
QUIET = 0.001  # root mean square, -60 dB re full scale


def fault(frames: Tensor, wave: Tensor) -> str | None:
    """Why a clip is dropped, or None. Shapes: frames (3, T, H, W) in [0, 1], wave (A, N).

    Black or frozen for more than half of its frames, the frozen ones in one run (a video of few frames a
    second repeats each of them, and is not frozen for that); silent as a whole.
    """
    count = frames.shape[1]
    luminance = torch.tensordot(torch.tensor([0.299, 0.587, 0.114]), frames, dims=1)  # (T, H, W)
    if ((luminance < DARK_PIXEL).float().mean((1, 2)) >= DARK_SHARE).sum() > count / 2:
        return BLACK
    if 1 + _longest_run((frames.diff(dim=1).abs().mean((0, 2, 3)) < STILL).tolist()) > max(1, count / 2):
        return FROZEN
    if wave.square().mean().sqrt() < QUIET:
        return SILENT
    return None


def _longest_run(flags: list[bool]) -> int:
    longest = run = 0
    for flag in flags:
        run = run + 1 if flag else 0
        longest = max(longest, run)
    return longest
