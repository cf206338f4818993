"""A dubbed video keeps its packets, or is encoded anew frame by frame, its sound as it is made."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from avsim import media
from avsim.clip import Clip
from avsim.errors import InputError
from tests.films import film as made_by_pyav
from tests.films import greys

RATE = 16000


def film(seconds=6.0, fps=10.0, size=(32, 48)) -> Clip:
    count = round(seconds * fps)
    light = torch.linspace(0, 1, count)[None, :, None, None].expand(3, -1, *size)
    return Clip(light.contiguous(), None, fps)


def tone(seconds: float) -> torch.Tensor:
    return 0.1 * torch.sin(torch.arange(round(seconds * RATE)) / 20)[None]


def pieces(wave: torch.Tensor, count: int, taken: list[int] | None = None) -> media.Sound:
    """A wave in pieces of `count` samples; those that were taken are listed."""

    def made():
        for index, piece in enumerate(wave.split(count, 1)):
            if taken is not None:
                taken.append(index)
            yield piece

    return media.Sound(made(), wave.shape[0], wave.shape[1], RATE)


@pytest.mark.parametrize(
    ("name", "out", "copied"),
    [
        ("film.mp4", "out.mp4", True),
        ("film.mp4", "out.mkv", True),
        ("film.gif", "out.mp4", False),
        ("film.mp4", "out.webm", False),
        ("film.mkv", "out.mp4", False),  # FFV1
    ],
)
def test_a_dubbed_film_keeps_its_picture(tmp_path, name, out, copied):
    path, wave = film().write(tmp_path / name), tone(6.0)
    media.write_dubbed(path, media.Sound.of(wave, RATE), tmp_path / out)
    shown, before = media.read(tmp_path / out), media.read(path)
    assert abs(shown.wave.shape[1] / shown.sample_rate - 6.0) <= 1e-3
    assert shown.frames.shape == before.frames.shape
    assert (shown.frames - before.frames).abs().mean() < (1e-6 if copied else 0.02)
    found = media.read(tmp_path / out, sample_rate=RATE, want="wave").wave
    middle = slice(RATE, 5 * RATE)
    assert (found[:, middle] - wave[:, middle]).square().mean().sqrt() < 0.01


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".wav", ".flac"])
def test_a_sound_in_pieces_is_that_in_one(tmp_path, suffix):
    path, wave = film().write(tmp_path / "film.mp4"), tone(6.0)
    for name, sound in (("one", media.Sound.of(wave, RATE)), ("many", pieces(wave, 777))):
        media.write_dubbed(path, sound, tmp_path / f"{name}{suffix}")
    one, many = (media.read(tmp_path / f"{name}{suffix}", want="wave").wave for name in ("one", "many"))
    assert one.shape == many.shape and (one - many).abs().max() < 2e-3


def test_what_is_too_long_is_cut_and_what_is_too_short_ends_in_silence(tmp_path):
    path = film().write(tmp_path / "film.mp4")
    for count in (4.0, 8.0):
        sound = media.Sound(tone(count).split(1000, 1), 1, 6 * RATE, RATE)
        media.write_dubbed(path, sound, tmp_path / "out.wav")
        found = media.read(tmp_path / "out.wav").wave
        assert found.shape == (1, 6 * RATE)
        assert bool(found[:, 5 * RATE :].any()) == (count == 8.0)


def test_a_part_of_a_film_is_encoded_anew(tmp_path):
    path = film().write(tmp_path / "film.mp4")
    media.write_dubbed(path, media.Sound.of(tone(2.0), RATE), tmp_path / "out.mp4", seconds=2.0)
    shown, before = media.read(tmp_path / "out.mp4"), media.read(path, seconds=2.0)
    assert shown.frames.shape[1] == 20 and (shown.frames - before.frames).abs().mean() < 0.02
    whole = media.write_dubbed(path, media.Sound.of(tone(6.0), RATE), tmp_path / "all.mp4", seconds=60.0)
    assert torch.equal(media.read(whole).frames, media.read(path).frames)


def test_the_sound_is_taken_as_the_picture_is_written(tmp_path, monkeypatch):
    """No video of the video is held: a piece of the sound is made between those of the video."""
    path, order = film(seconds=20.0).write(tmp_path / "film.gif"), []
    images = media.dub.decoded_frames

    def watched(*arguments):
        for image in images(*arguments):
            order.append("image")
            yield image

    monkeypatch.setattr(media.dub, "decoded_frames", watched)
    media.write_dubbed(path, pieces(tone(20.0), RATE, order), tmp_path / "out.mp4")
    assert order.count("image") == 200 and len(order) == 220
    last = max(index for index, each in enumerate(order) if each == "image")
    assert len([each for each in order[:last] if each != "image"]) > 10


def test_a_picture_of_4_4_4_is_encoded_anew(tmp_path):
    path = made_by_pyav(tmp_path / "film.mp4", greys(10), [i / 10 for i in range(10)], pixels="yuv444p")
    media.write_dubbed(path, media.Sound.of(tone(1.0), RATE), tmp_path / "out.mp4")
    assert media.probe(tmp_path / "out.mp4").video_seconds == pytest.approx(1.0, abs=0.05)
    with media.opening.opened(tmp_path / "out.mp4") as found:
        assert found.video.codec_context.pix_fmt == "yuv420p"


@pytest.mark.parametrize(
    ("name", "out", "message"),
    [
        ("film.mp4", "out.gif", "holds videos alone"),
        ("film.mp4", "out.png", "holds videos alone"),
        ("film.mp4", "out.xyz", "unknown suffix"),
        ("sound.wav", "out.mp4", "has no video"),
        ("none.mp4", "out.mp4", "no such file"),
        ("large.png", "out.mp4", "scale it down"),
    ],
)
def test_what_cannot_be_dubbed_is_refused_before_there_is_a_sound(tmp_path, monkeypatch, name, out, message):
    film().write(tmp_path / "film.mp4")
    Clip(None, tone(1.0), sample_rate=RATE).write(tmp_path / "sound.wav")
    Clip(torch.zeros(3, 1, 64, 64), None).write(tmp_path / "large.png")
    monkeypatch.setattr("avsim.media.dub.BUDGET", 64 * 64 * 3 * 16 - 1)
    taken: list[int] = []
    with pytest.raises(InputError, match=message):
        media.write_dubbed(tmp_path / name, pieces(tone(1.0), 1000, taken), tmp_path / out)
    assert not taken and not (tmp_path / out).exists()


def test_a_sound_that_fails_leaves_nothing(tmp_path):
    def failing():
        yield tone(1.0)
        raise InputError("no more")

    path = film().write(tmp_path / "film.mp4")
    with pytest.raises(InputError, match="no more"):
        media.write_dubbed(path, media.Sound(failing(), 1, 6 * RATE, RATE), tmp_path / "out.mp4")
    assert [each.name for each in tmp_path.iterdir()] == ["film.mp4"]


MEMORY = """
import re, sys
import torch
from avsim import media
seconds = float(sys.argv[2])
def sound():
    for _ in range(round(seconds)):
        yield torch.randn(2, 16000) / 9
media.write_dubbed(sys.argv[1], media.Sound(sound(), 2, round(16000 * seconds), 16000), sys.argv[3])
status = open("/proc/self/status").read()  # the highest of this process, not of the one that forked it
print(1024 * int(re.search(r"VmHWM:\\s+(\\d+)", status)[1]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("out", ["out.mp4", "out.webm"])  # copied, and encoded anew
def test_memory_is_that_of_a_piece_however_long_the_film(tmp_path, out):
    taken = []
    for seconds in (20.0, 120.0):
        path = film(seconds, 10.0, (180, 320)).write(tmp_path / "film.mp4")
        line = [sys.executable, "-c", MEMORY, str(path), str(seconds), str(tmp_path / out)]
        taken.append(float(subprocess.check_output(line, text=True)))
    assert np.diff(taken)[0] < 12e6  # the audio alone has 12.8 MB more, the video 173 MB
