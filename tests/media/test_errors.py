"""Bad input: one clear line, nothing half-written."""

import _thread
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from avsim import media
from avsim.clip import Clip
from avsim.errors import InputError
from tests.films import film, greys, tone

CLIP = Clip(torch.zeros(3, 4, 16, 16), None)


@pytest.fixture
def long(tmp_path):
    """4 s of noise in mp4, its index in front."""
    noise = np.random.default_rng(0).integers(0, 255, (40, 64, 64, 3), np.uint8)
    return film(
        tmp_path / "long.mp4", list(noise), [i / 10 for i in range(40)], tone(4.0), nominal=10,
        options={"g": "10"}, muxer_options={"movflags": "+faststart"},
    )  # fmt: skip


def test_missing_empty_folder_and_text(tmp_path):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("not a video\n" * 50)
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile /etc/passwd\n")
    (tmp_path / "stream.mp4").write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://localhost:1/a.ts\n"
    )
    for name, says in (
        ("none.mp4", "no such file"),
        ("empty.mp4", "is empty"),
        ("text.mp4", "cannot be read"),
        ("list.mp4", "cannot be read"),
        ("stream.mp4", "cannot be read|neither video nor audio"),
        (".", "is a folder"),
    ):
        for act in (media.read, media.probe):
            with pytest.raises(InputError, match=says) as caught:
                act(tmp_path / name)
            assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"sample_rate": 0}, "sample_rate is 0"),
        ({"sample_rate": -1}, "sample_rate"),
        ({"channels": 0}, "channels"),
        ({"channels": 5}, "channels=5"),
        ({"start": -1.0}, "start"),
        ({"start": float("nan")}, "start"),
        ({"start": 4.5}, "beyond the end"),
        ({"start": 4.5, "want": "wave"}, "beyond the end"),
        ({"seconds": 0.0}, "seconds"),
        ({"frames_per_second": 0.0}, "frames_per_second"),
        ({"size": (0, 8)}, "size"),
    ],
)
def test_arguments_out_of_range(long, arguments, says):
    with pytest.raises(InputError, match=says):
        media.read(long, **arguments)


def test_what_is_needed_must_be_there(tmp_path):
    silent = film(tmp_path / "silent.mp4", greys(3), [0, 0.1, 0.2])
    sound = film(tmp_path / "sound.wav", wave=tone(0.1), audio="pcm_s16le", samples="s16")
    for path, want, says in (
        (silent, "wave", "no audio"),
        (silent, "both", "no audio"),
        (sound, "frames", "no video"),
    ):
        with pytest.raises(InputError, match=says):
            media.read(path, want=want)


def test_truncated_film_gives_the_span_that_is_there(long):
    whole = media.read(long, seconds=1.0)
    long.write_bytes(long.read_bytes()[: long.stat().st_size // 2])
    part = media.read(long, seconds=1.0)
    assert torch.equal(part.frames, whole.frames) and torch.equal(part.wave, whole.wave)
    for span in ({}, {"start": 1.0, "seconds": 2.5}, {"start": 3.5}):
        with pytest.raises(InputError, match="truncated|damaged"):
            media.read(long, **span)


def test_film_cut_before_its_index(long):
    data = long.read_bytes()
    for keep in (20, data.index(b"moov") + 40):
        long.write_bytes(data[:keep])
        with pytest.raises(InputError, match="cut short"):
            media.read(long)


def test_damage_within_the_span_is_told_and_without_it_passed_over(long):
    whole = media.read(long)
    data = bytearray(long.read_bytes())
    middle = len(data) * 6 // 10
    data[middle : middle + len(data) // 10] = np.random.default_rng(0).bytes(len(data) // 10)
    long.write_bytes(data)
    for span in ({}, {"start": 3.2, "seconds": 0.2}):  # the latter builds on a key frame in the damaged part
        with pytest.raises(InputError, match="damaged at"):
            media.read(long, **span)
    for first in (5, 36):
        part = media.read(long, start=first / 10, seconds=0.4)
        assert torch.equal(part.frames, whole.frames[:, first : first + 4])


def test_values_that_are_not_finite(tmp_path):
    wave = tone(0.1)
    wave[0, 100] = np.nan
    path = film(tmp_path / "nan.wav", wave=wave, audio="pcm_f32le", samples="flt")
    with pytest.raises(InputError, match="nan.wav.*not finite"):
        media.read(path)


def test_unknown_suffix_and_missing_modality(tmp_path):
    sound = Clip(None, torch.zeros(1, 100))
    (tmp_path / "folder.mp4").mkdir()
    for clip, name, says in (
        (CLIP, "a.xyz", "unknown suffix '.xyz'"),
        (CLIP, "a", "unknown suffix"),
        (CLIP, "a.wav", "audio alone"),
        (sound, "a.gif", "videos alone"),
        (sound, "a.png", "videos alone"),
        (CLIP, "folder.mp4", "is a folder"),
        (Clip(None, torch.zeros(3, 100)), "a.wav", "3 channels"),
        (Clip(None, torch.zeros(1, 100), sample_rate=800.5), "a.wav", "whole Hz"),
        (Clip(torch.zeros(3, 400, 16, 200), None), "wide.png", None),
    ):
        if says is None:
            clip.write(tmp_path / name)
            continue
        with pytest.raises(InputError, match=says):
            clip.write(tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.mp4", "wide.png"]


def test_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write here"):
        CLIP.write(tmp_path / "file" / "a.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_full_disk_leaves_what_was_there(tmp_path):
    """A limit on the size of files stands in for a full disk, in a process of its own."""
    code = (
        "import pathlib, resource, signal, sys, torch\n"
        "from avsim.clip import Clip\n"
        "from avsim.errors import InputError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "clip = Clip.fitted(torch.rand(3, 20, 64, 64), torch.rand(1, 20000))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))\n"
        "for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):\n"
        "    try:\n"
        "        clip.write(path)\n"
        "    except InputError as error:\n"
        "        print(error)\n"
    )
    suffixes = (".mp4", ".mov", ".webm", ".mkv", ".wav", ".flac", ".gif", ".png")
    for suffix in suffixes:
        (tmp_path / f"a{suffix}").write_text("before")
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert done.stdout.count("could not be written") == len(suffixes), done
    assert len(list(tmp_path.iterdir())) == len(suffixes)
    assert all(path.read_text() == "before" for path in tmp_path.iterdir())


def test_interrupted_writing_leaves_nothing(tmp_path):
    clip = Clip(torch.rand(3, 200, 256, 256), None)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    try:
        threading.Timer(0.03, _thread.interrupt_main).start()  # what SIGINT does
        with pytest.raises(KeyboardInterrupt):
            clip.write(tmp_path / "a.webm")
    finally:
        signal.signal(signal.SIGINT, before)
    assert not list(tmp_path.iterdir())


def test_spans_that_cannot_fit_in_memory(long):
    budget = 20 * 5 * 3 * 64 * 64
    assert media.read(long, seconds=1.0, want="frames", budget=budget).frames.shape[1] == 10
    with pytest.raises(InputError, match="21 frames of 64 x 64 take more than"):
        media.read(long, budget=budget)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux")
def test_memory_is_bounded_by_the_span(tmp_path):
    """Reading a second of a video of 40 s takes no more than reading a second of one of 4 s."""
    code = (
        "import re, sys\n"
        "from avsim import media\n"
        "for path in sys.argv[1:]:\n"
        "    media.read(path, start=2.0, seconds=1.0, want='both')\n"
        "    print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])\n"
    )
    paths = []
    for seconds in (4, 40):
        pictures, times = [np.zeros((120, 160, 3), np.uint8)] * seconds * 10, np.arange(seconds * 10) / 10
        path = tmp_path / f"{seconds}.mkv"
        film(path, pictures, times.tolist(), tone(seconds), nominal=10, options={"preset": "ultrafast"})
        paths.append(str(path))
    done = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True)
    short, long = (int(line) / 1024 for line in done.stdout.split())
    assert long - short < 30  # MiB; the video whole would take 110
