"""Compare couplings: python score.py RUNS [--count 64]: RUNS/COUPLING-SEED are runs, RUNS/table.md the table.

From captions and videos of `easy`, split "test": each run generates both jointly (the cascade `none`
the video first, then its audio) and audio for the true video; the first clips are kept for `avsim compare`.
`truth` are the clips themselves, through the codecs. A number is the mean over seeds, with `joint`'s own 95 %
interval and, for the others, that of their difference from `joint` at the same seed (Student's t over seeds).
Losses are on held-out clips after the last step.
"""

import argparse
import csv
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path

import torch
from scipy import stats

from avsim.clip import Clip, LatentSpec
from avsim.data.resuming import check_settings
from avsim.data.shards import write_json
from avsim.devices import autocast_if_faster
from avsim.diffusion import FOLEY, JOINT, VIDEO_ONLY, Guidance, Latents, generate
from avsim.errors import InputError
from avsim.evaluation.events import EventSynchrony
from avsim.evaluation.features import Detectors, Features
from avsim.evaluation.oracle import oracle_features
from avsim.files import atomic
from avsim.simulator import Simulator, load
from avsim.simulator.loading import part_folders
from avsim.simulator.samples import Sample, write_samples
from avsim.weights import TENSORS, hash_of, load_model
from avsim.world import Truth, WorldDataset

BATCH, STEPS, F1 = 16, 12, "F1 within 1 frame"
SHOWN = 8  # clips of a run that are kept
JOINTLY, FOLEYED = "synchrony, joint", "synchrony, foley"
LOGGED = {
    "val/conditional_audio_loss": "conditional audio loss",
    "val/conditioning_gain": "conditioning gain",
    "val/video": "video loss, both noised",  # `none` was not trained on it: left out
}


@torch.no_grad()
def generated(
    simulator: Simulator, cascade: bool, known: list[tuple[Clip, Truth]], first: int
) -> dict[str, list[Clip]]:
    """A batch generated jointly, and audio for its own videos."""
    captions, spec = [truth.caption for _, truth in known], spec_of(simulator, known[0][0])

    def sample(task, video=None) -> Latents:
        given, how = Latents(video, None), {"steps": STEPS, "guidance": Guidance(1.5)}
        return generate(simulator.generator, captions, spec, given, task, seed=first, **how)

    with autocast_if_faster("cpu"):
        true = simulator.video_codec.encode(torch.stack([clip.frames for clip, _ in known]))
        latents = {
            JOINTLY: sample(FOLEY, sample(VIDEO_ONLY).video) if cascade else sample(JOINT),
            FOLEYED: sample(FOLEY, true),
        }
        return {name: clips(simulator, each, spec) for name, each in latents.items()}


def spec_of(simulator: Simulator, clip: Clip) -> LatentSpec:
    """Of a clip's latents."""
    video_codec, audio_codec = simulator.video_codec, simulator.audio_codec
    return LatentSpec(clip.spec, video_codec.time_stride, video_codec.space_stride, audio_codec.hop)


def clips(simulator: Simulator, latents: Latents, spec: LatentSpec) -> list[Clip]:
    """Latents as clips."""
    frames = simulator.video_codec.decode(latents.video, spec.clip).float().clamp(0, 1)
    waves = simulator.audio_codec.decode(latents.audio, spec.clip).float().clamp(-1, 1)
    rates = spec.clip.frames_per_second, spec.clip.sample_rate
    return [Clip(*each, *rates) for each in zip(frames, waves, strict=True)]


def synchrony(made: Iterable[tuple[str, Clip, Clip, Truth]]) -> dict[str, float]:
    """Synchrony of clips that were generated from the video or caption of true ones."""
    metrics, detectors = defaultdict(EventSynchrony), Detectors.shipped()
    for way, one, clip, truth in made:
        found = Features(one, detectors, truth.caption)
        seen = oracle_features(clip, truth) if way == FOLEYED else found
        heard, happens = ([event.seconds for event in each] for each in (found.onsets, seen.view.events))
        metrics[way].update(heard, happens, clip.frames_per_second, clip.seconds)
    scores = {way: metric.scores() for way, metric in metrics.items()}
    return {way: each[F1].value for way, each in scores.items()} | {
        f"{way}, by chance": each[f"chance of {F1}"].value for way, each in scores.items()
    }


def world(count: int) -> Iterable[list[tuple[Clip, Truth]]]:
    """Held-out clips, in batches."""
    known = islice(WorldDataset("easy", seed=4, split="test"), count)
    while batch := list(islice(known, BATCH)):
        yield batch


def of_run(run: Path, count: int) -> dict[str, float]:
    """All numbers of a run."""
    simulator = replace(load("small"), generator=load_model(part_folders(run, "generator")["generator"]))
    cascade = run.name.startswith("none")
    made = (
        (way, one, clip, truth)
        for number, batch in enumerate(world(count))
        for way, ones in generated(simulator, cascade, batch, number * BATCH).items()
        for one, (clip, truth) in zip(ones, batch, strict=True)
    )
    with open(run / "csv" / "metrics.csv") as file:
        last = [row for row in csv.DictReader(file) if row.get("val/conditional_audio_loss")][-1]
    found = synchrony(sampled(made, run / "samples" / f"step={int(last['step']):08d}"))
    shown = {name: title for name, title in LOGGED.items() if not (cascade and name == "val/video")}
    return found | {title: float(last[name]) for name, title in shown.items()}


def sampled(
    made: Iterable[tuple[str, Clip, Clip, Truth]], folder: Path
) -> Iterable[tuple[str, Clip, Clip, Truth]]:
    """The same; the first are written to `folder`."""
    samples: dict[str, list[Sample]] = defaultdict(list)
    for way, one, clip, truth in made:
        if (number := len(samples[way])) < SHOWN:
            samples[way].append(Sample(one, truth.caption, number, way.rpartition(" ")[2]))
        yield way, one, clip, truth
    write_samples([*chain(*samples.values())], folder)


@torch.no_grad()
def of_truth(count: int) -> dict[str, float]:
    """The same of true clips, through the codecs: the ceiling."""
    simulator = load("small")
    video_codec, audio_codec = simulator.video_codec, simulator.audio_codec

    def coded() -> Iterable[tuple[str, Clip, Clip, Truth]]:
        for batch in world(count):
            frames, waves = (
                torch.stack([getattr(clip, name) for clip, _ in batch]) for name in ("frames", "wave")
            )
            with autocast_if_faster("cpu"):
                latents = Latents(video_codec.encode(frames), audio_codec.encode(waves))
                ones = clips(simulator, latents, spec_of(simulator, batch[0][0]))
            for one, (clip, truth) in zip(ones, batch, strict=True):
                yield from ((way, one, clip, truth) for way in (JOINTLY, FOLEYED))

    return synchrony(coded())


def kept(folder: Path, generator: Path, count: int, find) -> dict[str, float]:
    """The stored result of the same weights, or that of `find`."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"generator": hash_of(generator / TENSORS), "count": count, "steps": STEPS}
    check_settings(folder, settings, "numbers")
    file = folder / "numbers.json"
    if not file.exists():
        write_json(file, find())
    return json.loads(file.read_text())


def interval(values: list[float], sign: str = "") -> str:
    """Student's, in brackets."""
    each = torch.tensor(values, dtype=torch.float64)
    half = float(stats.t.ppf(0.975, len(values) - 1) * each.std() / len(values) ** 0.5)
    return f" ({each.mean() - half:{sign}.3f} … {each.mean() + half:{sign}.3f})"


def table(found: dict[str, dict[str, dict[str, float]]]) -> str:
    """Coupling -> seed -> numbers, as rows."""
    names = list(next(iter(found["joint"].values())))
    lines = ["| coupling | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for coupling, seeds in found.items():
        cells = []
        for name in names:
            values = {seed: each[name] for seed, each in seeds.items() if name in each}
            cell = f"{sum(values.values()) / len(values):.3f}" if values else "–"
            if len(values) > 1 and coupling == "joint":
                cell += interval(list(values.values()))
            elif len(values) > 1:
                cell += interval([value - found["joint"][seed][name] for seed, value in values.items()], "+")
            cells.append(cell)
        lines.append(f"| {coupling} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path)
    parser.add_argument("--count", type=int, default=64)
    arguments = parser.parse_args()
    found: dict[str, dict[str, dict[str, float]]] = defaultdict(dict)
    for run in sorted(file.parent for file in arguments.runs.glob("*-*/finished")):
        coupling, seed = run.name.rsplit("-", 1)
        generator = part_folders(run, "generator")["generator"]
        found[coupling][seed] = kept(
            run / "score", generator, arguments.count, lambda run=run: of_run(run, arguments.count)
        )
    if "joint" not in found:
        raise InputError(f"{arguments.runs}: no finished run of `joint`, to which the others are compared")
    ceiling = part_folders("small", "video_codec")["video_codec"]
    found["truth"]["–"] = kept(
        arguments.runs / "truth", ceiling, arguments.count, lambda: of_truth(arguments.count)
    )
    text = table(found)
    with atomic(arguments.runs / "table.md") as temporary:
        temporary.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
