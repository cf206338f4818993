"""Videos -> shards: no clip straddles a cut, faults are counted, a killed run goes on, a bad video passes."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from avsim import media
from avsim.clip import ClipSpec
from avsim.data import prepare as module
from avsim.data.prepare import prepare
from avsim.data.shards import ShardFolder
from avsim.data.sources import ShardSource
from avsim.errors import InputError
from avsim.seeds import generator
from tests.data.conftest import film, shot


def index(folder):
    return ShardFolder.open(folder, "clips").index


def test_no_clip_straddles_a_cut(shards, spec):
    items = index(shards)["items"]
    assert len(items) == 6 * 3  # 2.5 s hold clips at 0, 0.5, 1 (and 1.5 less the frame kept from the cut)
    for item in items:
        begin, end = item["start"], item["start"] + spec.seconds
        assert 2.5 * item["shot"] <= begin and end <= 2.5 * (item["shot"] + 1)


def test_a_clip_shows_one_shot_only(shards, spec):
    brightness = [0.15 + 0.14 * k for k in (0, 3, 1, 4, 2, 5)]
    for split in ("train", "validation", "test"):
        source = ShardSource(shards, split)
        for i in range(len(source)):
            level = source.sample(i, spec, generator(0)).frames[0].mean((1, 2))  # (T,), of red
            assert torch.allclose(level, torch.tensor(brightness[source.items[i]["shot"]]), atol=0.04)


def test_clips_hold_what_media_reads(shards, one_film, spec):
    source = ShardSource(shards, "train")
    item = source.items[-1]
    read = media.read(one_film, item["start"], 1.0, spec.size, 8.0, 8000, 2)
    sample = source.sample(len(source) - 1, spec, generator(0))
    assert (sample.frames - read.frames).abs().max() <= 0.5 / 255 + 1e-6
    assert (sample.wave - read.wave).abs().max() < 2e-3


def test_nothing_leaks(shards):
    """Clips of one shot overlap; all of a shot are in one split, and every split has some."""
    splits = {}
    for item in index(shards)["items"]:
        splits.setdefault(item["group"], set()).add(item["split"])
    assert len(splits) == 6 and all(len(names) == 1 for names in splits.values())
    assert set.union(*splits.values()) == {"train", "validation", "test"}


def test_faults_are_counted(tmp_path, spec):
    parts = shot(2.2, 0.5), shot(2.2, 0.0, 500), shot(2.2, 0.8, sound=0.0), shot(2.2, 0.3, motion=False)
    path = film(tmp_path / "faults.mp4", *parts, shot(0.8, 0.9))
    (tmp_path / "faults.txt").write_text("stripes")
    made = prepare([path], tmp_path / "out", spec, stride=1.0)
    assert made.dropped == {"black": 2, "silent": 2, "frozen": 2, "shot too short": 1}
    assert sum(made.clips.values()) == 2 and made.shots == 5
    assert {item["caption"] for item in index(tmp_path / "out")["items"]} == {"stripes"}
    assert index(tmp_path / "out")["dropped"] == made.dropped


def test_a_video_without_a_usable_clip_is_named(tmp_path, spec):
    """Two videos are left: too few for three splits by video, so that their shots are dealt out."""
    for k in range(2):
        film(tmp_path / f"{k}.mp4", shot(1.5, 0.3 + 0.1 * k, 300), shot(1.5, 0.8 - 0.1 * k, 500))
    mute = film(tmp_path / "mute.mp4", shot(2.2, 0.8, sound=0.0))
    made = prepare([tmp_path], tmp_path / "out", spec, stride=1.0)
    assert made.passed_over == {str(mute): f"{mute}: no clip is left (silent: 2)"}
    assert made.videos == 2 and made.clips.keys() == {"train", "validation", "test"}
    assert index(tmp_path / "out")["split_by"] == "shot"


def test_one_bad_film_among_others_is_passed_over(tmp_path, one_film, spec):
    good = [one_film]
    for k in range(3):
        good.append(film(tmp_path / f"video {k}.mp4", shot(1.5, 0.3 + 0.1 * k, 300 + 70 * k)))
    (tmp_path / "text.mp4").write_text("not a video")
    (tmp_path / "empty.mp4").write_bytes(b"")
    media.write(shot(1.5, 0.4).without_audio(), tmp_path / "mute.mp4")
    (tmp_path / "copy.mp4").write_bytes(one_film.read_bytes())
    (tmp_path / "cut off.mp4").write_bytes(one_film.read_bytes()[: one_film.stat().st_size // 2])
    made = prepare([*good, tmp_path], tmp_path / "out", spec, jobs=2)
    passed = {os.path.basename(path): why for path, why in made.passed_over.items()}
    assert passed.keys() == {"text.mp4", "empty.mp4", "mute.mp4", "copy.mp4"}
    assert "no audio" in passed["mute.mp4"] and "copy of" in passed["copy.mp4"]
    assert made.dropped["unreadable"] >= 5  # the half of "cut off.mp4" that is not there; the rest is used
    by_film = {}
    for item in index(tmp_path / "out")["items"]:
        by_film.setdefault(item["video"], set()).add(item["split"])
    assert len(by_film) == 5 and all(len(names) == 1 for names in by_film.values())


def test_damage_costs_the_clips_it_touches(tmp_path, one_film, spec, monkeypatch):
    """A span that can't be read at once is read clip by clip, and only the damaged clips are dropped."""
    read = media.read

    def damaged(path, start, seconds, *rest):
        if start < 6.0 < start + seconds:
            raise InputError(f"{path}: damaged at 6 s")
        return read(path, start, seconds, *rest)

    monkeypatch.setattr(module.media, "read", damaged)
    monkeypatch.setattr(
        module, "run_all", lambda function, tasks, jobs, label: [(t, function(t)) for t in tasks]
    )
    made = prepare([one_film], tmp_path / "out", spec, stride=0.5)
    assert made.dropped == {"unreadable": 1} or made.dropped == {"unreadable": 2}
    assert sum(made.clips.values()) + made.dropped["unreadable"] == 18


def test_the_same_whatever_the_number_of_processes(tmp_path, shards, one_film, spec):
    prepare([one_film], tmp_path / "out", spec, stride=0.5, validation=0.2, test=0.2, jobs=2)
    assert index(tmp_path / "out") == index(shards)
    for path in (shards / "shards").iterdir():
        assert (tmp_path / "out" / "shards" / path.name).read_bytes() == path.read_bytes()


def test_a_second_run_works_out_only_what_is_missing(tmp_path, one_film, spec, monkeypatch):
    out = tmp_path / "out"
    monkeypatch.setattr(module, "PART_SECONDS", 3.0)
    prepare([one_film], out, spec, stride=0.5)
    before = index(out)
    parts = sorted((out / "parts").rglob("clips-*.json"))
    assert len(parts) >= 5
    parts[2].unlink()
    (out / "index.json").unlink()
    seen = []
    run_all = module.run_all
    monkeypatch.setattr(
        module,
        "run_all",
        lambda function, tasks, jobs, label: (
            seen.append((label, len(tasks))) or run_all(function, tasks, jobs, label)
        ),
    )
    prepare([one_film], out, spec, stride=0.5)
    assert seen == [("videos", 1), ("shots", 0), ("clips", 1)] and index(out) == before


@pytest.mark.parametrize(
    "how",
    [
        signal.SIGKILL,
        pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, marks=pytest.mark.slow),
    ],
)
def test_killed_and_run_again(tmp_path, one_film, shards, how):
    """A run that was killed in its middle leaves no index, and the next one ends as if nothing had been."""
    out = tmp_path / "out"
    command = [sys.executable, "-m", "avsim", "prepare", str(one_film), "--out", str(out), "--seconds", "1"]
    command += ["--stride", "0.5", "--size", "16x16", "--fps", "8", "--sample-rate", "8000", "--jobs", "1"]
    command += ["--validation", "0.2", "--test", "0.2"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while (
        not list(out.glob("parts/*/cuts-*.json")) and process.poll() is None and time.monotonic() < deadline
    ):
        time.sleep(0.01)
    process.send_signal(how)
    assert process.wait(30) == {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}[how]
    assert not (out / "index.json").exists()
    assert subprocess.run(command, capture_output=True).returncode == 0
    assert index(out) == index(shards)
    assert not [path for path in (out / "shards").iterdir() if path.name.startswith(".")]


def test_refusals(tmp_path, one_film, shards, spec):
    with pytest.raises(InputError, match="no such file"):
        prepare([tmp_path / "none.mp4"], tmp_path / "out", spec)
    with pytest.raises(InputError, match="choose another folder"):
        prepare([one_film], shards, ClipSpec(1.0, 32, 32, 8.0, 8000, 2), stride=0.5)
    with pytest.raises(InputError, match="stride is 0"):
        prepare([one_film], tmp_path / "out", spec, stride=0)
    with pytest.raises(InputError, match="jobs is 0"):
        prepare([one_film], tmp_path / "out", spec, jobs=0)
    (tmp_path / "bad.mp4").write_text("not a video")
    with pytest.raises(InputError, match="no video to prepare: .*bad.mp4"):
        prepare([tmp_path / "bad.mp4"], tmp_path / "out", spec)
    with pytest.raises(InputError, match="no clip of 9 s is left of 1 videos: .*shot too short: 6"):
        prepare([one_film], tmp_path / "other", ClipSpec(9.0, 16, 16, 8.0, 8000, 2))
    assert not (tmp_path / "out" / "index.json").exists()


def test_settings_are_kept(shards, spec):
    assert ClipSpec(**index(shards)["spec"]) == spec
    assert json.loads((shards / "settings.json").read_text())["stride"] == 0.5
