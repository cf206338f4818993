"""The comparison on a GPU that is lent for minutes: python lease.py OUT [--minutes 2.5] [--commit HASH].

12,000 clips of `easy` are rendered and encoded once; three seeds of each coupling then train side by side
on the same clips, levels and noise (`none` has levels of its own), for equal FLOPs, as many as time allows.
OUT/COUPLING-SEED are runs for score.py; `--packed` leaves them in OUT/*.tar, to be carried home.
"""

import argparse
import csv
import os
import shutil
import sys
import tarfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from budget import CLIP, COUPLINGS, HERE, built, costs, settings
from torch.utils.data import DataLoader, Dataset

sys.path.insert(0, str(HERE.parent))
from leased import CLIPS, TICKS, Kind, Part, Pool, Trained, as_batch, on_device, rendered, scores, stopwatch

from avsim.data.batch import LatentBatch
from avsim.diffusion import Latents
from avsim.diffusion.levels import LevelMixture
from avsim.training.optimizers import Recipe
from avsim.weights import SMALL, load_model, save_model
from avsim.world import WorldDataset

SEED, SEEDS = 7, 3
TRAIN, HELD_OUT = 12_000, 256
RECIPE = Recipe(1e-3, 2e-3, warmup_steps=TICKS // 20, decay_from=0.3, final=0.02)
AVERAGE = 0.998
PACKED = 2  # runs in a file


def kind(rows: int, room: int) -> Kind:
    """Clips of 2 s, the parts of a step for the couplings and for the cascade."""
    met = LevelMixture(**settings("couplings.yaml")["levels"])
    said = settings("none.yaml")["levels"]
    shares = dict.fromkeys(("together", "apart", "clean_video", "clean_audio", "alone"), 0.0)
    given, silent = (LevelMixture(**{**said, **shares, name: 1.0}) for name in ("clean_video", "alone"))
    parts = (
        Part(met, rows, 1.0),
        Part(met, rows, 0.4, still=True),
        Part(given, int(rows * said["clean_video"]), said["clean_video"]),
        Part(silent, int(rows * said["alone"]), said["alone"]),
    )
    return Kind(CLIP, parts, room)


MEETING, CASCADE = (0, 1), (2, 3, 1)  # which of these parts
DRAWN = {MEETING: (0, 0), CASCADE: (3, 2)}  # and which of them tell of the picture, and of the sound


class Rendered(Dataset):
    """Batch k of `easy`; the first few are held out."""

    def __init__(self, kind: Kind, held_out: int, hashes: Any, shifts: Any) -> None:
        self.kind, self.held_out, self.how = kind, held_out, (hashes, shifts, SEED)
        self.worlds = [WorldDataset("easy", seed=SEED, split=split) for split in ("validation", "train")]

    def __len__(self) -> int:
        return (self.held_out + self.kind.room) // CLIPS

    def __getitem__(self, k: int) -> dict[str, Any]:
        return rendered(self.worlds[k * CLIPS >= self.held_out], k * CLIPS, self.kind, *self.how)


def write(run: Path, trained: Trained, curve: list[dict[str, float]], **notes: Any) -> None:
    """A run's folder."""
    (run / "csv").mkdir(parents=True)
    with open(run / "csv" / "metrics.csv", "w", newline="") as file:
        names = dict.fromkeys(name for row in curve for name in row)
        table = csv.DictWriter(file, list(names))
        table.writeheader()
        table.writerows(curve)
    folder = run / "simulator" / "generator"
    notes |= {"step": trained.steps, "spec": asdict(CLIP.clip)}
    save_model(trained.shown, folder, dtype=torch.bfloat16, **notes)
    (run / "finished").touch()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=2.5, help="of training")
    parser.add_argument("--rows", type=int, default=24, help="clips in a step, and first frames")
    parser.add_argument("--clips", type=int, default=TRAIN, help="to train on")
    parser.add_argument("--held-out", type=int, default=HELD_OUT, help="clips to validate on")
    parser.add_argument("--commit", default="", help="noted down")
    parser.add_argument("--packed", action="store_true", help="leave the runs in OUT/*.tar")
    said = parser.parse_args()
    if said.out.is_dir() and any(said.out.iterdir()):
        parser.error(f"{said.out} holds something already; choose a new folder")
    say = stopwatch()

    runs = [(name, seed) for seed in range(SEEDS) for name in COUPLINGS]
    models = []
    for name, seed in runs:
        torch.manual_seed(seed)
        models.append(built(COUPLINGS[name]))
    table = kind(said.rows, said.clips)
    data = Rendered(table, said.held_out, models[0].text.hashes, models[0].shifts)
    workers = max(1, (os.cpu_count() or 2) - 2)
    batches = iter(DataLoader(data, batch_size=None, num_workers=workers, prefetch_factor=8))
    cost = {name: flops for name, (flops, _) in costs(1, 1).items()}
    device = "cuda" if torch.cuda.is_available() else "cpu"
    see, hear = (load_model(SMALL / name, device) for name in ("video_codec", "audio_codec"))
    pool = Pool(table, models[0].channels, models[0].text.length - 1, device)
    trainings = [
        Trained(model.to(device), [pool], RECIPE, AVERAGE, seed, CASCADE if name == "none" else MEETING)
        for model, (name, seed) in zip(models, runs, strict=True)
    ]
    say("loaded; makes graphs on", device)
    for training in trainings:
        training.prepare()
    say("graphs are made, ms:", [training.timed() for training in trainings])

    held_out: list[LatentBatch] = []
    for batch in batches:
        frames, waves = on_device(batch, device)
        with torch.no_grad():
            latents = Latents(see.encode(frames), hear.encode(waves))
        if len(held_out) * CLIPS < said.held_out:
            held_out.append(as_batch(latents, batch["captions"], CLIP, CLIPS * len(held_out)))
        else:
            pool.add(latents, batch)
            pool.seen += CLIPS
    say(f"{pool.held} clips, {len(held_out) * CLIPS} held out")

    if device == "cuda":
        torch.cuda.synchronize()
    started, rounds, told = time.monotonic(), 0, time.monotonic()
    curves: list[list[dict[str, float]]] = [[] for _ in runs]
    while (done := (time.monotonic() - started) / (60 * said.minutes)) < 1:
        rounds += 1
        for training, (name, _) in zip(trainings, runs, strict=True):
            while training.steps < round(rounds * cost["joint"] / cost[name]):  # equal FLOPs
                training.train(0, done)
        if device == "cuda" and rounds % 5 == 0:
            torch.cuda.synchronize()
        if time.monotonic() - told > 10:
            told = time.monotonic()
            for curve, training in zip(curves, trainings, strict=True):
                means = training.means()[0]
                picture, sound = (means[part][k] for k, part in enumerate(DRAWN[tuple(training.parts)]))
                curve.append({"step": training.steps, "train/video": picture, "train/audio": sound})
            say(f"round {rounds}", [list(curve[-1].values()) for curve in curves])
    if device == "cuda":
        torch.cuda.synchronize()

    command = f"python experiments/006-couplings/lease.py --minutes {said.minutes:g} --rows {said.rows}"
    for training, curve, (name, seed) in zip(trainings, curves, runs, strict=True):
        found = {f"val/{key}": value for key, value in scores(training.shown, held_out, SEED).items()}
        say(name, seed, training.steps, {key: round(value, 4) for key, value in found.items()})
        curve.append({"step": training.steps, **found})
        write(said.out / f"{name}-{seed}", training, curve, commit=said.commit, command=command)
    for first in range(0, len(runs), PACKED) if said.packed else ():
        with tarfile.open(said.out / f"runs-{first // PACKED}.tar", "w") as file:
            for name, seed in runs[first : first + PACKED]:
                file.add(said.out / f"{name}-{seed}", f"{name}-{seed}")
                shutil.rmtree(said.out / f"{name}-{seed}")
    say("written to", said.out)


if __name__ == "__main__":
    main()
