import pytest
import torch

from avsim.clip import ClipSpec
from avsim.perception.detect import decode_things
from avsim.perception.grid import Grid
from avsim.perception.video_detector import VideoPrediction

GRID = Grid()


def test_what_fits_is_seen_as_it_is():
    frames = torch.rand(1, 3, 32, 64, 64)
    assert torch.equal(GRID.resample_video(frames, 16.0), frames)


SIZES = [((32, 32), (64, 64)), ((90, 50), (112, 64)), ((64, 112), (64, 112)), ((36, 360), (64, 256))]


@pytest.mark.parametrize(("size", "seen"), SIZES)
def test_sizes(size, seen):
    assert GRID.resample_video(torch.rand(1, 3, 2, *size), 16.0).shape == (1, 3, 2, *seen)
    assert GRID.cells(*size) == (seen[0] // 4, seen[1] // 4)


def test_rates():
    """At half the rate each frame is seen twice; at 30 fps the one that covers the middle of the grid's."""
    assert GRID.frame_indices(4, 8.0).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert (
        GRID.frame_indices(60, 30.0).tolist()[:5] == [0, 2, 4, 6, 8]
        and len(GRID.frame_indices(60, 30.0)) == 32
    )
    assert GRID.frame_indices(1, 25.0).tolist() == [0]


def test_constant_pictures_stay_constant():
    frames = torch.full((1, 3, 3, 50, 70), 0.25)
    assert torch.allclose(GRID.resample_video(frames, 12.0), torch.tensor(0.25))


@pytest.mark.parametrize(("rate", "samples"), [(16000, 32000), (22050, 44100), (48000, 96000), (8000, 16001)])
def test_sound_comes_in_whole_columns(rate, samples):
    heard = GRID.resample_audio(torch.randn(2, 1, samples), rate)
    assert heard.shape == (2, 1, 32000) and heard.dtype == torch.float32


def test_a_tone_keeps_its_pitch():
    seconds = torch.arange(48000) / 48000
    heard = GRID.resample_audio(torch.sin(2 * torch.pi * 1000 * seconds)[None, None], 48000)[0, 0]
    assert int(torch.fft.rfft(heard).abs().argmax()) == 1000  # of 16000 samples, 1 Hz apart


def test_short_clips_have_one_frame_and_one_column():
    spec = ClipSpec(seconds=0.05, frames_per_second=20.0)
    assert GRID.frames(spec.seconds) == 1 and GRID.columns(0.001) == 1


def test_a_thing_has_the_same_size_in_pixels_in_a_tall_video():
    """The detector predicts sizes in shorter sides; they are reported in heights."""
    maps = dict(kind=17, material=6, colour=12)
    for rows, size in ((16, 0.25), (24, 0.25 * 16 / 24)):
        centre = torch.full((1, 1, rows, 16), -9.0)
        centre[0, 0, 5, 7] = 9.0
        planes = {name: torch.zeros(1, 1, rows, 16, count) for name, count in maps.items()}
        sizes = torch.full((1, 1, rows, 16), -2.0)
        absent = dict.fromkeys(("event", "moment", "speed", "place"))
        predicted = VideoPrediction(centre=centre, size=sizes, **planes, **absent)
        (thing,) = decode_things(predicted, 0, 0.5)
        assert thing.size == pytest.approx(size)
        assert thing.y == pytest.approx(5.5 / rows, abs=0.01)
