"""What is not a gain in dB: python checks.py FOLDER [--count N]: speed, memory, wrong audio, collapse."""

import argparse
import resource
import time
from pathlib import Path

import lightning as L
import torch
from torch.utils.data import DataLoader

from avsim.clip import Clip, ClipSpec, Region
from avsim.data.datamodule import ClipData, stack
from avsim.devices import autocast_if_faster
from avsim.evaluation.calibration import auroc
from avsim.measures import bootstrap
from avsim.seeds import generator
from avsim.separation import separate
from avsim.separation.baselines.sound_of_pixels import SoundOfPixels
from avsim.separation.baselines.system import SoundOfPixelsSystem
from avsim.separation.collapse import energy_share, swapped
from avsim.separation.loss import share_out
from avsim.separation.scenes import Scenes
from avsim.separation.separator import region_shares
from avsim.separation.system import SeparatorSystem
from avsim.weights import load_model
from avsim.world import WorldDataset

SPEC = ClipSpec(seconds=2.0, height=64, width=64, frames_per_second=16.0, sample_rate=16000, channels=2)
CONSTRAINTS = {"one": 1.0, "two": 1.0, "alike": 1.0, "three": 1.0}
BATCH = 10


@torch.no_grad()
def taken(model, split: str, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The share of the energy that regions get of their own audio, and of the previous clip's."""
    scenes = Scenes("medium", 4, split, constraints=CONSTRAINTS)
    own, other = [], []
    for first in range(0, count, BATCH):
        rows = range(first, first + BATCH)
        clips = stack([scenes.sample(i, SPEC, generator(0)) for i in rows], SPEC, torch.tensor(rows))
        for found, batch in ((own, clips), (other, swapped(clips))):
            with autocast_if_faster("cpu"):
                shares, bins = region_shares(model, batch.frames, batch.wave, batch.masks, SPEC)
            stems = share_out(bins, shares.float(), SPEC.samples, SPEC.sample_rate, model.scale)
            found.append(energy_share(stems))
    return torch.cat(own).double(), torch.cat(other).double()


def rejection(model, count: int) -> None:
    """One threshold, from the validation split, on the test split."""
    own, other = taken(model, "validation", max(BATCH, count // 3 // BATCH * BATCH))
    candidates = torch.cat([own, other]).sort().values
    right = torch.stack([(own >= t).double().mean() + (other < t).double().mean() for t in candidates])
    threshold = float(candidates[right.argmax()])
    own, other = taken(model, "test", count)
    print(f"mismatched audio: threshold {threshold:.3f} of the energy; {count} clips of the test split")
    print(f"  another clip's audio rejected: {bootstrap((other < threshold).double() * 100)} %")
    print(f"  its own audio kept:            {bootstrap((own >= threshold).double() * 100)} %")
    print(f"  AUROC {auroc(own, other):.3f}; median share own {own.median():.3f}, other {other.median():.3f}")


def collapse(model, count: int) -> None:
    """The validation metrics of a training, on the test split."""
    kind = SoundOfPixelsSystem if isinstance(model, SoundOfPixels) else SeparatorSystem
    system = kind(model, diagnosed=1 << 30) if kind is SeparatorSystem else kind(model)
    system.diagnosed = 1 << 30
    scenes = Scenes("medium", 5, "test", count=count)
    data = ClipData(SPEC, scenes, scenes, batch_size=BATCH)
    trainer = L.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False
    )
    for name, value in trainer.validate(system, datamodule=data, verbose=False)[0].items():
        print(f"  {name}: {value:.3f}")


def speed(model) -> None:
    """A clip of 4 s in 3 regions, loaded before, on two threads; the best and the median of ten."""
    torch.set_num_threads(2)
    spec = ClipSpec(4.0, 64, 64, 16.0, 16000, 2)
    clip, _ = WorldDataset("medium", 0, "test")[0]
    wave = torch.cat([clip.wave, clip.wave], 1)
    clip = Clip(torch.cat([clip.frames, clip.frames], 1), wave, spec.frames_per_second, spec.sample_rate)
    regions = [Region.box(20 * k, 0, 20, 64, (64, 64)) for k in range(3)]
    times = []
    for _ in range(11):
        start = time.perf_counter()
        separate(model, clip, regions)
        times.append(time.perf_counter() - start)
    print(f"4 s in 3 regions: best {min(times[1:]):.3f} s, median {sorted(times[1:])[5]:.3f} s")


def memory(model) -> None:
    """The peak of this process after one step of training on a batch of eight."""
    torch.set_num_threads(1)
    scenes = Scenes("medium", 5, "test", constraints={"four": 1.0})
    clips = stack([scenes.sample(i, SPEC, generator(0)) for i in range(8)], SPEC, torch.arange(8))
    system = SoundOfPixelsSystem(model) if isinstance(model, SoundOfPixels) else SeparatorSystem(model)
    trainer = L.Trainer(
        max_steps=2, accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False
    )
    trainer.fit(system, DataLoader([clips] * 2, batch_size=None))
    print(f"a training step's peak: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--only", nargs="*", default=["memory", "speed", "rejection", "collapse"])
    arguments = parser.parse_args()
    checks = {
        "memory": memory,
        "speed": speed,
        "rejection": lambda model: rejection(model, arguments.count),
        "collapse": lambda model: collapse(model, min(100, arguments.count)),
    }
    for name in arguments.only:
        torch.set_num_threads(1)
        checks[name](load_model(arguments.folder))
