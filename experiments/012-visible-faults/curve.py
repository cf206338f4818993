"""Sensitivity of the fault detector: python curve.py OUT [--clips 12] [--detector small]

AUROC of true clips against clips with each fault, by strength, as they are and through the codec; held-out
clips of `medium`, split "test". OUT/curve.md has the table, and the share of true frames that count as
faulty.
"""

import argparse
import math
from pathlib import Path

import torch
from rich.progress import track

from avsim.clip import Clip, ClipSpec
from avsim.evaluation.calibration import auroc
from avsim.evaluation.corruptions import through_codecs
from avsim.files import atomic
from avsim.perception.fault_detector import FaultDetector, Faults, find_faults
from avsim.seeds import generator
from avsim.weights import load_model, part_folder
from avsim.world import WorldDataset
from avsim.world.flat.faults import FAULTS, spoilt
from avsim.world.flat.layers import Layers

STRENGTHS = (0.1, 0.2, 0.4, 0.8)
SEED = 12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--clips", type=int, default=12)
    parser.add_argument("--detector", default="small")
    parser.add_argument("--level", default="medium")
    arguments = parser.parse_args()
    detector = load_model(part_folder(arguments.detector, "fault_detector"), expected=FaultDetector).eval()
    codec = load_model(part_folder("small", "video_codec")).eval()
    world, spec = WorldDataset(arguments.level, SEED, "test"), ClipSpec()

    def both(frames: torch.Tensor) -> list[Faults]:
        clip = Clip(frames, None, spec.frames_per_second)
        return [find_faults(detector, each) for each in (clip, through_codecs(clip, codec, None))]

    true: list[list[Faults]] = []
    found: dict[tuple[str, float], list[list[Faults]]] = {}
    counts = dict.fromkeys(FAULTS, 0)
    index = 0
    for _ in track(range(8 * arguments.clips)):
        layers = Layers(world.scene(index), spec)
        index += 1
        if len(true) < 2 * arguments.clips:
            true.append(both(layers.frames))
        for name, fault in FAULTS.items():
            if counts[name] == arguments.clips:
                continue
            for strength in STRENGTHS:
                draws = generator(SEED, "fault", index)
                frames = spoilt(layers, spec.frames_per_second, fault, strength, draws)
                if frames is None:
                    break
                found.setdefault((name, strength), []).append(both(frames))
            else:
                counts[name] += 1
        if min(counts.values()) == arguments.clips:
            break
    lines = [
        "| fault (noticed from) | clips | " + " | ".join(f"{strength:g}" for strength in STRENGTHS) + " |",
        "|---" * (2 + len(STRENGTHS)) + "|",
    ]
    for name, fault in FAULTS.items():
        cells = []
        for strength in STRENGTHS:
            values = [
                auroc(_scores(true, how), _scores(found.get((name, strength), []), how)) for how in (0, 1)
            ]
            cells.append(", ".join("–" if math.isnan(value) else f"{value:.2f}" for value in values))
        lines.append(f"| {name} ({fault.noticeable:g}) | {counts[name]} | {' | '.join(cells)} |")
    for how, what in enumerate(("as they are", "through the codec")):
        faulty = 1 - torch.tensor([each[how].clean for each in true]).mean()
        lines.append(f"\nTrue frames {what} that count as faulty: {float(faulty):.3f} of {len(true)} clips.")
    with atomic(arguments.out / "curve.md") as temporary:
        temporary.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


def _scores(found: list[list[Faults]], how: int) -> torch.Tensor:
    """Higher is better."""
    return torch.tensor([-each[how].logit for each in found], dtype=torch.float64)


if __name__ == "__main__":
    with torch.no_grad():
        main()
