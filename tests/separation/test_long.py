"""One second and ten minutes: windows that meet are not heard to meet, and memory stays that of one."""

import math

import pytest
import torch

from avsim.clip import Clip, Region
from avsim.errors import InputError
from avsim.separation import Separator, separate
from avsim.separation.stems import OVERLAP, WINDOW, FrameSource, stream

RATE = 8000


@pytest.fixture(scope="module")
def model() -> Separator:
    torch.manual_seed(0)
    small = Separator(short_side=16, width=8, fine=8, coarse=16, frame_blocks=1, bin_widths=[4, 8, 8])
    for parameter in small.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter) / math.sqrt(max(1, parameter.shape[-1]))
    return small.eval()


def off_tone(wave: torch.Tensor, hertz: float) -> torch.Tensor:
    """Per frame of 64 ms: the power more than 80 Hz away from a tone, against all power, in dB."""
    window = torch.hann_window(512)
    power = torch.stft(wave, 512, 128, window=window, return_complex=True, center=False).abs().square()
    away = (torch.arange(257) * RATE / 512 - hertz).abs() > 80
    return 10 * (power[away].sum(0) / power.sum(0) + 1e-12).log10()


@pytest.mark.parametrize("seconds", [40, pytest.param(600, marks=pytest.mark.slow)])
def test_windows_have_no_seam(model, seconds):
    """A tone and a still video: whatever a window changes at its ends would ring beside the tone."""
    still = torch.rand(3, 1, 16, 24)
    hertz = 440.0
    wave = 0.5 * torch.sin(2 * math.pi * hertz * torch.arange(seconds * RATE, dtype=torch.float64) / RATE)
    wave = torch.stack([wave, 0.5 * wave]).float()
    reads = []

    def read(numbers: torch.Tensor) -> torch.Tensor:
        reads.append(len(numbers))
        return still.expand(-1, len(numbers), -1, -1)

    picture = FrameSource((16, 24), seconds * 16, 16.0, read)
    region = Region.box(0, 0, 12, 16, (16, 24))
    pieces = list(stream(model, picture, wave, RATE, [region]))
    stems = torch.cat(pieces, 2)
    assert (stems.sum(0) - wave).abs().max() <= 1e-6
    assert len(reads) >= seconds // WINDOW and max(reads) <= WINDOW * 16
    assert max(piece.shape[2] for piece in pieces) <= WINDOW * RATE
    assert float(stems[0].square().mean()) > 1e-4  # there is something to hear
    for seam in range(int(WINDOW - OVERLAP), seconds - 10, int(WINDOW - OVERLAP)):
        around = stems[0, 0, (seam - 1) * RATE : (seam + 3) * RATE]
        assert off_tone(around, hertz).max() < -50


def test_one_second(model):
    draw = torch.Generator().manual_seed(0)
    frames, wave = torch.rand(3, 16, 16, 24, generator=draw), torch.rand(2, RATE, generator=draw) - 0.5
    clip = Clip(frames, wave, 16.0, RATE)
    stems = separate(model, clip, [Region.box(0, 0, 12, 16, (16, 24))])
    assert (stems.mixture - wave).abs().max() <= 1e-6


def test_a_mask_of_another_size_is_scaled_and_said(model, caplog):
    draw = torch.Generator().manual_seed(0)
    frames, wave = torch.rand(3, 8, 16, 24, generator=draw), torch.rand(1, RATE // 2, generator=draw) - 0.5
    clip = Clip(frames, wave, 16.0, RATE)
    large = separate(model, clip, [Region.box(0, 0, 120, 160, (160, 240))]).wave
    assert "its mask is 240x160, the video 24x16: scaled" in caplog.text
    small = separate(model, clip, [Region.box(0, 0, 12, 16, (16, 24))]).wave
    assert torch.allclose(large, small, atol=1e-5)
    with pytest.raises(InputError, match="their aspects must agree"):
        separate(model, clip, [Region.box(0, 0, 9, 9, (16, 26))])
