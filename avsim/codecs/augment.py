"""A clip seen otherwise: what the video codec trains on, to learn videos and not a video's shots."""

import torch
from torch import Tensor


def augment(frames: Tensor, generator: torch.Generator) -> Tensor:
    """Frames (3, T, H, W) in [0, 1], at random mirrored, turned (square ones), run backward and relit.

    Each symmetry has an even chance. Light: every colour takes a gain in 0.8 ... 1.25 and all a gamma of the
    same range, which keeps 0 and never leaves [0, 1].
    """
    backward, across, down, turned = (torch.rand(4, generator=generator) < 0.5).tolist()
    flips = [axis for axis, flip in ((1, backward), (3, across), (2, down)) if flip]
    frames = frames.flip(flips) if flips else frames
    if turned and frames.shape[2] == frames.shape[3]:
        frames = frames.transpose(2, 3)
    light = (0.8 * (1.25 / 0.8) ** torch.rand(4, generator=generator)).to(frames)
    return (frames ** light[3] * light[:3, None, None, None]).clamp(max=1)
