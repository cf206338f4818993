"""Shapes, clocks and folders of both networks; what they decide is theirs to learn (test_learning.py)."""

import math

import pytest
import torch

from avsim.clip import Clip, ClipSpec
from avsim.errors import InputError
from avsim.perception import detect
from avsim.perception.audio_detector import AudioDetector
from avsim.perception.video_detector import VideoDetector
from avsim.perception.vocabulary import INSTRUMENTS, KINDS, MATERIALS, PLACES
from avsim.weights import load_model, save_model

SPECS = [
    ClipSpec(2.0, 32, 32, 8.0, 16000, 1),
    ClipSpec(1.0, 64, 64, 16.0, 16000, 2),
    ClipSpec(0.5, 72, 128, 30.0, 44100, 2),
    ClipSpec(1 / 16, 64, 64, 16.0, 8000, 2),
]


@pytest.fixture(scope="module")
def picture() -> VideoDetector:
    torch.manual_seed(0)
    return VideoDetector(fine=8, coarse=8, blocks=2).eval()


@pytest.fixture(scope="module")
def sound() -> AudioDetector:
    torch.manual_seed(0)
    return AudioDetector(bands=16, widths=(4, 4), width=8, blocks=2).eval()


def noise(spec: ClipSpec) -> Clip:
    frames, wave = torch.rand(3, spec.frames, *spec.size), torch.randn(spec.channels, spec.samples) / 8
    return Clip(frames, wave, spec.frames_per_second, spec.sample_rate)


@pytest.mark.parametrize("spec", SPECS)
def test_any_size_and_rate(spec, picture, sound):
    clip = noise(spec)
    seconds = spec.frames / spec.frames_per_second
    onsets, events = detect.onsets(sound, clip, 0.0), detect.events(picture, clip, 0.0)
    assert onsets and events
    for found in (onsets, events):
        times = [each.seconds for each in found]
        assert times == sorted(times) and times[0] >= 0
    assert all(each.seconds < seconds for each in onsets)
    for event in events:
        assert 0 <= event.x <= 1 and 0 <= event.y <= 1 and event.kind in KINDS[1:]
        assert math.isnan(event.speed) == (event.kind in INSTRUMENTS)
    seen = detect.things(picture, clip, 0.0)
    assert [frame[0].seconds for frame in seen] == spec.frame_seconds().tolist()
    heard = detect.audio_content(sound, clip)
    assert tuple(heard.kinds) == KINDS[1:] and tuple(heard.materials) == MATERIALS[1:]
    for places in (heard.places, detect.places(picture, clip)):
        assert tuple(places) == PLACES and sum(places.values()) == pytest.approx(1, abs=1e-2)


def test_one_look_is_as_good_as_three(picture):
    clip = noise(SPECS[1])
    view = detect.detect_video(picture, clip)
    assert list(view.events) == detect.events(picture, clip)
    assert [list(frame) for frame in view.things] == detect.things(picture, clip)
    assert view.places == detect.places(picture, clip)


def test_things_apart_never_share_a_cell(picture):
    found = detect.events(picture, noise(SPECS[0]), 0.0)
    moments = [(event.seconds, event.x, event.y) for event in found]
    assert len(set(moments)) == len(moments)


def test_what_is_missing_is_named(picture, sound):
    clip = noise(SPECS[1])
    with pytest.raises(InputError, match="its wave is None"):
        detect.onsets(sound, clip.without_audio())
    with pytest.raises(InputError, match="its frames are None"):
        detect.things(picture, clip.without_video())


def test_columns_are_centred(sound):
    """A click in the middle of column 30 is as loud in the columns beside it, at both sides."""
    wave = torch.zeros(1, 1, 16000)
    wave[..., 30 * 160 + 80] = 1.0
    heard = sound.spectrum(wave)[0].mean(0)
    assert int(heard.argmax()) == 30 and torch.allclose(heard[29], heard[31], atol=0.5)
    assert heard[28] < -90 and heard[32] < -90


def test_decibels_of_a_tone():
    """A full-scale sine has power 1/4 in its own bin, and in a band what the band's weights give it."""
    sound = AudioDetector(bands=64, widths=(4,), width=8, blocks=1)
    hertz = 128 * 16000 / 512  # bin 128
    wave = torch.sin(2 * torch.pi * hertz * torch.arange(16000) / 16000)[None, None]
    heard = 10 ** (sound.spectrum(wave)[0, :, 50] / 10)
    widths = sound.melody.sum(0)
    assert torch.allclose(widths[widths > 0], torch.ones(()), atol=1e-5)
    # Weights that add up to 1 make of a band the mean of its bins: bins * mean is their sum.
    bands = (sound.melody[128] > 0).nonzero().flatten()
    assert int(heard.argmax()) in bands.tolist()
    assert float(heard.max()) < 0.25 and float(heard.max()) > 0.25 * float(sound.melody[128].max()) * 0.9


def test_both_channels_count_alike(sound):
    wave = torch.randn(1, 2, 8000) / 8
    assert torch.allclose(sound.spectrum(wave), sound.spectrum(wave.flip(1)), atol=1e-4)
    assert torch.allclose(
        sound.spectrum(wave[:, :1].expand(-1, 2, -1)), sound.spectrum(wave[:, :1]), atol=1e-4
    )


def test_a_batch_is_its_clips(picture, sound):
    frames, wave = torch.rand(2, 3, 6, 32, 32), torch.randn(2, 1, 8000) / 8
    both, one = picture(frames), picture(frames[1:])
    assert torch.allclose(both.event[1:], one.event, atol=1e-4)
    assert torch.allclose(sound(wave).onset[1:], sound(wave[1:]).onset, atol=1e-4)


def test_time_is_looked_at_from_everywhere_alike(picture):
    """A video shown four frames later is seen four frames later, away from the ends."""
    frames = torch.rand(1, 3, 24, 32, 32)
    later = picture(torch.cat([frames[:, :, :4], frames], 2)).event[:, 12:20]
    assert torch.allclose(later, picture(frames).event[:, 8:16], atol=1e-4)


def test_folders_hold_thresholds_and_errors(picture, tmp_path):
    picture.event_threshold.fill_(0.35)
    assert all(math.isnan(value) for value in picture.errors.values().values())
    picture.errors.note({"event/precision": 0.75})
    again = load_model(save_model(picture, tmp_path / "video_detector"), expected=VideoDetector)
    assert again.errors.values()["event/precision"] == 0.75 and again.event_threshold == pytest.approx(0.35)
    assert again.grid == picture.grid
