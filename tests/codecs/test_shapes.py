"""Shapes that codecs refuse, by one dimension or size each, and how they mix channels."""

import pytest
import torch

from avsim.codecs.pretrained import _channels, _stereo
from avsim.codecs.video import VideoAutoencoder
from avsim.errors import InputError


@pytest.mark.parametrize(
    "shape", [(2, 100), (1, 2, 3, 100), (1, 3, 100), (1, 2, 0), (0, 2, 100), (1, 0, 100)]
)
def test_a_wave_of_another_shape_is_refused(shape):
    with pytest.raises(InputError, match="one or two channels"):
        _stereo(torch.zeros(shape), 2)


def test_one_channel_is_the_mean_of_two_and_two_are_one_twice():
    wave = torch.randn(1, 2, 10, generator=torch.Generator().manual_seed(0))
    assert torch.equal(_stereo(wave, 2), wave)
    torch.testing.assert_close(_stereo(wave, 1)[:, 0], (wave[:, 0] + wave[:, 1]) / 2)
    assert torch.equal(_channels(wave[:, :1], 2), wave[:, [0, 0]])
    assert torch.equal(_channels(wave[:, :1], 1), wave[:, :1])


@pytest.mark.parametrize(
    "shape", [(3, 5, 16, 16), (1, 3, 5, 16, 16, 1), (1, 1, 5, 16, 16), (1, 4, 5, 16, 16), (1, 3, 0, 16, 16)]
)
def test_frames_of_another_shape_are_refused(shape):
    codec = VideoAutoencoder(channels=4, widths=(8, 8, 8))
    with pytest.raises(InputError, match="expected .B, 3, T, H, W."):
        codec.encode(torch.zeros(shape))


def test_edges_are_repeated_up_to_whole_blocks():
    codec = VideoAutoencoder(channels=4, widths=(8, 8, 8)).eval()
    frames = torch.rand(1, 3, 6, 20, 12, generator=torch.Generator().manual_seed(0))
    whole = torch.cat([frames, frames[:, :, -1:].expand(-1, -1, 3, -1, -1)], 2)  # 1 + 2 blocks of 4
    whole = torch.cat([whole, whole[:, :, :, -1:].expand(-1, -1, -1, 4, -1)], 3)
    whole = torch.cat([whole, whole[..., -1:].expand(-1, -1, -1, -1, 4)], 4)
    with torch.no_grad():
        assert torch.equal(codec.encode(frames), codec.encode(whole))
