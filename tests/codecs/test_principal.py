"""The video codec starts as the best linear codec: an orthogonal projection on principal components."""

import torch

from avsim.clip import ClipSpec
from avsim.codecs.principal import block_moments, start_at_principal_components
from avsim.codecs.video import VideoAutoencoder
from avsim.measures import psnr


def clips(count: int, rank: int) -> torch.Tensor:
    """Frames whose blocks of four frames lie in `rank` dimensions about a mean, alike in every frame."""
    draw = torch.Generator().manual_seed(0)
    axes = torch.randn(rank, 3, 1, 8, 8, generator=draw)
    weights = 0.01 * torch.randn(count, rank, 1, 8, 8, 8, generator=draw)
    frames = torch.einsum("brnthw,rcnij->bctnhiwj", weights, axes)  # a still picture for each of 8 spans
    frames = frames.repeat_interleave(4, 2).flatten(3, 5).flatten(4, 5)
    return (0.5 + frames)[:, :, :, :64, :64]


def test_what_is_linear_and_small_comes_back_at_once():
    torch.manual_seed(0)
    model, frames = VideoAutoencoder(channels=6), clips(4, rank=6)
    frames = torch.cat([frames[:, :, :1], frames], 2)  # frame 0 has a latent of its own
    spec = ClipSpec(33 / 16)
    before = psnr(frames, model.decode(model.encode(frames), spec)).mean()
    start_at_principal_components(model, block_moments(frames[:, :, 1:]))
    model.whitening.observe(torch.stack([torch.zeros(6), torch.ones(6)]))
    for name in ("encoder.read", "decoder.unpatchify"):  # the networks beside the linear map say nothing
        torch.nn.init.zeros_(model.get_submodule(name).weight)
    after = psnr(frames, model.decode(model.encode(frames), spec)).mean()
    assert after > 35 > 25 > before and model.started


def test_raw_latents_start_with_the_same_spread():
    model, frames = VideoAutoencoder(channels=6), clips(4, rank=6)
    start_at_principal_components(model, block_moments(frames))
    torch.nn.init.zeros_(model.encoder.read.weight)
    z = model.encoder(torch.cat([frames[:, :, :1], frames], 2))[:, :, 1:]
    assert torch.allclose(z.std((0, 2, 3, 4)), torch.full((6,), 0.5), atol=0.05)
