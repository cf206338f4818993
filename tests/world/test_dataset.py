"""Clip i depends on config, seed, split and i alone; any size and rate; quick."""

import ctypes
import gc
import hashlib
import json
import os
import subprocess
import sys
import time
from dataclasses import replace

import cv2
import psutil
import pytest
import torch
from torch.utils.data import DataLoader

from avsim import ClipSpec
from avsim.world import DIFFICULTIES, WorldConfig, WorldDataset

DIGESTS = """
import json
from tests.world.test_dataset import digest
print(json.dumps([digest("full", 0, "train", index) for index in range(4)]))
"""


def digest(config, seed, split, index):
    clip, truth = WorldDataset(config, seed, split)[index]
    parts = [clip.frames, clip.wave, truth.masks, truth.amodal, truth.camera, *truth.stems.values()]
    blob = b"".join(part.numpy().tobytes() for part in parts)
    return hashlib.sha256(blob + repr((truth.contacts, truth.captions)).encode()).hexdigest()


class Digests(torch.utils.data.Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return digest("full", 0, "train", index)


def test_a_clip_depends_on_config_seed_split_and_index_alone():
    reference = digest("easy", 0, "train", 7)
    WorldDataset("easy", 3)[1]
    assert digest("easy", 0, "train", 7) == reference
    others = {
        digest("easy", 1, "train", 7),
        digest("easy", 0, "test", 7),
        digest("easy", 0, "held out", 7),
        digest("easy", 0, "train", 8),
        digest(WorldConfig(scenes=("drop",)), 0, "train", 7),
    }
    assert len(others | {reference}) == 6


def test_it_is_the_same_in_workers_and_in_another_process():
    here = [digest("full", 0, "train", index) for index in range(4)]
    workers = DataLoader(Digests(), batch_size=None, num_workers=2)
    assert list(workers) == here
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "PYTHONHASHSEED": "7"}
    there = subprocess.run(
        [sys.executable, "-c", DIGESTS], capture_output=True, text=True, env=environment, check=True
    )
    assert json.loads(there.stdout) == here


@pytest.mark.parametrize(
    "changes",
    [
        {"height": 32, "width": 32, "frames_per_second": 8.0, "sample_rate": 8000, "channels": 1},
        {"height": 90, "width": 160, "frames_per_second": 25.0, "sample_rate": 22050},
        {"height": 128, "width": 72, "frames_per_second": 30.0, "sample_rate": 48000},
        {"height": 512, "width": 512, "seconds": 0.5},
        {"seconds": 0.0625},
    ],
)
@pytest.mark.parametrize("level", DIFFICULTIES)
def test_any_size_and_rate(level, changes):
    spec = ClipSpec(**changes)
    world = WorldDataset(replace(DIFFICULTIES[level], spec=spec), seed=2)
    for index in range(3):
        clip, truth = world[index]
        assert clip.spec == replace(spec, seconds=clip.seconds)
        assert clip.frames.shape == (3, spec.frames, *spec.size)
        assert truth.masks.shape[1:] == (spec.frames, *spec.size)


def test_the_same_scene_at_another_rate_has_the_same_things_and_times():
    fine = ClipSpec(height=128, width=128, frames_per_second=30, sample_rate=48000)
    for index in range(5):
        one = WorldDataset("easy")[index][1]
        other = WorldDataset(WorldConfig(spec=fine))[index][1]
        assert one.things == other.things and one.scene == other.scene
        assert [c.seconds for c in one.contacts] == [c.seconds for c in other.contacts]


def test_the_same_stroke_at_another_rate_is_the_same_sound():
    """What both rates can hold: below 3.5 kHz."""
    waves = []
    for rate in (16000, 48000):
        config = WorldConfig(
            scenes=("strike",),
            places=("national park",),  # no echoes, whose samples round differently
            ambience=-float("inf"),
            spec=ClipSpec(sample_rate=rate),
        )
        wave = WorldDataset(config, seed=1)[2][0].wave.double()
        spectrum = torch.fft.rfft(wave)[:, 100:7000] / rate  # bins of half a hertz
        waves.append(spectrum.abs())
    assert (waves[0] - waves[1]).norm() < 0.05 * waves[1].norm()


def test_ambience_can_be_louder_or_none():
    silent, usual, loud = (
        WorldDataset(WorldConfig(places=("restaurant",), ambience=level))[0][1].stems["ambience"]
        for level in (-float("inf"), 0.0, 6.0)
    )
    assert not silent.any() and usual.any()
    assert loud.square().mean() / usual.square().mean() == pytest.approx(10**0.6, rel=1e-3)
    assert usual.mean(1).abs().max() < 1e-3


def test_indices_end():
    world = WorldDataset()
    for index in (-1, len(world)):
        with pytest.raises(IndexError):
            world[index]


@pytest.mark.slow
@pytest.mark.parametrize(("level", "least"), [("easy", 25.0), ("medium", 15.0), ("full", 15.0)])
def test_clips_a_second_on_one_core(level, least):
    threads, cv2_threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        world = WorldDataset(level)
        for index in range(40):  # fills caches
            world[index]
        start = time.process_time()
        for index in range(40, 140):
            world[index]
        assert 100 / (time.process_time() - start) >= least
    finally:
        torch.set_num_threads(threads)
        cv2.setNumThreads(cv2_threads)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_memory_is_flat_over_10_000_clips():
    """What is in use: pages that the allocator keeps free are given back before each look."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", lambda _: None)  # glibc's
    world = WorldDataset(replace(DIFFICULTIES["full"], spec=ClipSpec(seconds=0.5, height=32, width=32)))
    used = []
    for index in range(10_000):
        world[index]
        if index % 1000 == 999:
            gc.collect()
            trim(0)
            used.append(psutil.Process().memory_info().rss)
    assert used[-1] < used[2] + 64e6
