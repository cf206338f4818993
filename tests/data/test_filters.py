"""Each kind of useless clip is named, and a useful one is not."""

import pytest
import torch

from avsim.data.filters import BLACK, FROZEN, SILENT, fault
from tests.data.conftest import shot


def both(**how):
    clip = shot(2.0, **how)
    return clip.frames, clip.wave


def test_a_useful_clip():
    assert fault(*both(level=0.5)) is None


@pytest.mark.parametrize(
    "how, reason",
    [
        ({"level": 0.0}, BLACK),
        ({"level": 0.5, "motion": False}, FROZEN),
        ({"level": 0.5, "sound": 1e-4}, SILENT),
    ],
)
def test_reasons(how, reason):
    assert fault(*both(**how)) == reason


@pytest.mark.parametrize("share, reason", [(0.4, None), (0.6, BLACK)])
def test_half_is_the_limit_of_black(share, reason):
    frames, wave = both(level=0.5)
    frames = frames.clone()
    frames[:, : round(share * frames.shape[1])] = 0.0
    assert fault(frames, wave) == reason


@pytest.mark.parametrize("repeats, reason", [(3, None), (40, FROZEN)])
def test_a_film_of_few_frames_is_not_frozen(repeats, reason):
    frames, wave = both(level=0.5)
    held = frames[:, ::repeats].repeat_interleave(repeats, 1)[:, : frames.shape[1]]
    assert fault(held, wave) == reason


def test_one_frame_is_not_frozen():
    frames, wave = both(level=0.5)
    assert fault(frames[:, :1], wave) is None
    assert fault(torch.zeros_like(frames[:, :1]), wave) == BLACK
