"""Foley of runs that added audio to a silent video model: python score.py RUN ... [--count 64] --out FOLDER.

Clips of `easy`, split "test", seed 4. Each model generates audio for the true video and caption, and for
the video of the next clip ("another video": the floor of what the caption alone gives). Onsets found in the
audio are matched with the true events in the video (F1 within one frame, pooled over clips, 95 % bootstrap
interval over clips). The shipped jointly trained generator, true audio, and true audio through the codec
are the references.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import torch

from avsim.clip import Clip
from avsim.data.shards import write_json
from avsim.diffusion import Guidance
from avsim.evaluation.events import EventSynchrony
from avsim.evaluation.features import Detectors, Features
from avsim.evaluation.oracle import oracle_features
from avsim.simulator import Simulator, load
from avsim.world import Truth, WorldDataset

F1 = "F1 within 1 frame"
STEPS, GUIDANCE = 12, Guidance(1.5)
Known = tuple[Clip, Truth]


def scored(known: list[Known], audio_for: Callable[[Clip, Truth, int], Clip]) -> dict[str, object]:
    """F1 of audio against the true events, with its interval and chance."""
    metric, detectors = EventSynchrony(), Detectors.shipped()
    for number, (clip, truth) in enumerate(known):
        events = oracle_features(clip, truth).view.events
        onsets = Features(audio_for(clip, truth, number), detectors, truth.caption).onsets
        times = ([each.seconds for each in found] for found in (onsets, events))
        metric.update(*times, clip.frames_per_second, clip.seconds)
    scores = metric.scores()
    score, chance = scores[F1], scores[f"chance of {F1}"]
    return {
        "f1": score.value, "low": score.low, "high": score.high, "chance": chance.value,
        "judged": f"{len(metric.rows)} of {len(known)}",
    }  # fmt: skip


def foley(simulator: Simulator) -> Callable[[Clip, Truth, int], Clip]:
    """Audio for a clip's own video and caption."""
    return lambda clip, truth, seed: simulator.foley(
        clip.without_audio(), truth.caption, seed, steps=STEPS, guidance=GUIDANCE
    )


def mismatched(simulator: Simulator, known: list[Known]) -> Callable[[Clip, Truth, int], Clip]:
    """Audio for the video and caption of the next clip, under this one's video."""
    own = foley(simulator)

    def other(clip: Clip, truth: Truth, seed: int) -> Clip:
        made = own(*known[(seed + 1) % len(known)], seed)
        return Clip(clip.frames, made.wave, clip.frames_per_second, made.sample_rate)

    return other


def through_codec(simulator: Simulator) -> Callable[[Clip, Truth, int], Clip]:
    """True audio, encoded and decoded."""

    @torch.no_grad()
    def coded(clip: Clip, truth: Truth, seed: int) -> Clip:
        codec = simulator.audio_codec
        wave = codec.decode(codec.encode(clip.wave[None]), clip.spec)[0].float().clamp(-1, 1)
        return Clip(clip.frames, wave, clip.frames_per_second, clip.sample_rate)

    return coded


def gain(run: Path) -> dict[str, float]:
    """The conditioning gain of a run's last validation, with its interval; nothing for a model's folder."""
    if not (run / "csv" / "metrics.csv").is_file():
        return {}
    with open(run / "csv" / "metrics.csv") as file:
        last = [row for row in csv.DictReader(file) if row.get("val/conditioning_gain")][-1]
    names = (
        "conditioning_gain",
        "conditioning_gain_low",
        "conditioning_gain_high",
        "audio",
        "audio_level_only",
    )
    return {name: float(last[f"val/{name}"]) for name in names} | {"step": float(last["step"])}


def main() -> None:
    """Score the runs and the references; write scores.json and a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    known = list(islice(WorldDataset("easy", seed=4, split="test"), arguments.count))
    small = load("small")
    rows: dict[str, dict[str, object]] = {
        "true audio": scored(known, lambda clip, truth, seed: clip),
        "true audio through the codec": scored(known, through_codec(small)),
        "trained jointly (`small`)": scored(known, foley(small)),
    }
    for run in arguments.runs:
        simulator = load(run)
        rows[run.name] = scored(known, foley(simulator)) | gain(run)
        rows[f"{run.name}, another video"] = scored(known, mismatched(simulator, known))
    arguments.out.mkdir(parents=True, exist_ok=True)
    write_json(arguments.out / "scores.json", rows)
    lines = ["| audio | F1 within 1 frame | chance | judged |", "|---|---|---|---|"]
    for name, row in rows.items():
        lines.append(
            f"| {name} | {row['f1']:.3f} ({row['low']:.3f} … {row['high']:.3f}) | {row['chance']:.3f} "
            f"| {row['judged']} |"
        )
    print("\n".join(lines))


if __name__ == "__main__":
    main()
