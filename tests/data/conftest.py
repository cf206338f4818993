"""Small videos whose shots, colours and sounds are known."""

import dataclasses
import math

import pytest
import torch

from avsim import media
from avsim.clip import Clip, ClipSpec

FPS, RATE = 24.0, 16000


def shot(seconds, level, pitch=440.0, motion=True, sound=0.2, size=(48, 64)):
    """Stripes of brightness about `level` (0 to 1) that drift, and a tone of `pitch` Hz."""
    count = round(seconds * FPS)
    rows, columns = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
    time = torch.arange(count)[:, None, None] * (0.25 if motion else 0.0)
    wave = 0.06 * torch.sin(0.4 * (columns + rows) + time)  # (T, H, W)
    tint = torch.tensor([1.0, 0.6, 0.3])[:, None, None, None]
    frames = (level * tint + wave).clamp(0, 1)
    samples = round(count * RATE / FPS)
    tone = sound * torch.sin(2 * math.pi * pitch * torch.arange(samples) / RATE)
    return Clip(frames, torch.stack([tone, 0.5 * tone]), FPS, RATE)


def film(path, *shots):
    """Write shots one after the other."""
    frames = torch.cat([s.frames for s in shots], 1)
    wave = torch.cat([s.wave for s in shots], 1)
    return media.write(Clip.fitted(frames, wave, FPS, RATE), path)


@pytest.fixture(scope="session")
def spec():
    return ClipSpec(1.0, 16, 16, 8.0, 8000, 2)


@pytest.fixture(scope="session")
def one_film(tmp_path_factory):
    """Six shots of 2.5 s, each of its own brightness and pitch."""
    path = tmp_path_factory.mktemp("one") / "six shots.mp4"
    return film(path, *(shot(2.5, 0.15 + 0.14 * k, 300.0 + 100 * k) for k in (0, 3, 1, 4, 2, 5)))


@pytest.fixture(scope="session")
def shards(one_film, spec, tmp_path_factory):
    """That video prepared, split by shot."""
    from avsim.data.prepare import prepare

    out = tmp_path_factory.mktemp("shards") / "out"
    prepare([one_film], out, spec, stride=0.5, validation=0.2, test=0.2)
    return out


class Numbers:
    """A source whose clip i is filled with i, and with what was drawn for it."""

    def __init__(self, count=10, regions=False):
        self.count, self.regions = count, regions

    def __len__(self):
        return self.count

    def group(self, index):
        return str(index // 2)

    def sample(self, index, spec, generator):
        from avsim.data.sources import Sample

        drawn = float(torch.rand((), generator=generator))
        frames = torch.full((3, spec.frames, *spec.size), index / 100)
        wave = torch.full((spec.channels, spec.samples), index / 100 + drawn / 1000)
        plain = Sample(frames, wave, f"caption {index}", f"{index}:{drawn:.6f}")
        if not self.regions:
            return plain
        stems = wave[None].expand(1 + index % 3, -1, -1)
        masks = torch.ones(1 + index % 3, spec.frames, *spec.size)
        return dataclasses.replace(plain, stems=stems, masks=masks)


@pytest.fixture
def numbers():
    return Numbers
