"""The table of the study: python table.py VARIANT ... (folders that run.sh made, in the current folder)."""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from avsim.measures import bootstrap


def last(run: Path, name: str) -> float:
    """The last value of a metric in a run's metrics.csv; nan where there is none."""
    path = run / "csv" / "metrics.csv"
    if not path.is_file():  # a rehearsal's few steps
        return float("nan")
    with open(path) as file:
        values = [float(row[name]) for row in csv.DictReader(file) if row.get(name)]
    return values[-1] if values else float("nan")


def blockiness(strips: Path) -> str:
    """How much colours step between cells of the latents, over steps inside of cells; 1: no cells are seen.

    Of the backdrop's upper 40 rows in each strip of eight frames of 64 x 64, whose cells are 8 pixels wide.
    """
    ratios = []
    for path in sorted(strips.glob("*.png")):
        pixels = np.asarray(Image.open(path).convert("RGB"))[:40] / 255  # (40, 512, 3)
        steps = np.abs(np.diff(pixels, axis=1)).mean((0, 2))
        column = np.arange(len(steps))
        inside = column % 64 != 63  # of one frame
        edge = column % 8 == 7
        ratios.append(steps[inside & edge].mean() / steps[inside & ~edge].mean())
    found = bootstrap(torch.tensor(ratios))
    return f"{found.mean:.2f} ({found.low:.2f} … {found.high:.2f})"


def row(variant: Path) -> list[str]:
    """A variant's codec, generator and falls."""
    falls = json.loads((variant / "falls" / "falls.json").read_text())
    of_codec, of_generator = variant / "codec", variant / "generator"
    ghost = falls["ghost, median"]
    return [
        variant.name,
        f"{last(of_codec, 'val/psnr'):.1f} / {last(of_codec, 'val/psnr_moving'):.1f}",
        f"{last(of_generator, 'val/video') / last(of_generator, 'val/video_level_only'):.3f}",
        f"{last(of_generator, 'val/audio') / last(of_generator, 'val/audio_level_only'):.3f}",
        f"{falls['right']} of {falls['of']} ({falls['low']:.2f} … {falls['high']:.2f})",
        str(falls["also steady"]),
        "–" if ghost is None else f"{ghost:.3f} ({falls['ghosts judged']})",
        blockiness(variant / "falls"),
    ]


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("variants", type=Path, nargs="+")
    heads = (
        "latents", "PSNR, dB: all / moving", "video loss / level-only", "audio loss / level-only", "right",
        "also steady", "ghost (judged)", "blockiness",
    )  # fmt: skip
    print("| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|")
    for variant in parser.parse_args().variants:
        print("| " + " | ".join(row(variant)) + " |")


if __name__ == "__main__":
    main()
