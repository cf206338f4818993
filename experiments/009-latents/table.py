"""The table of the study: python table.py VARIANT ... (folders that run.sh made, in the current folder)."""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path


def last(run: Path, name: str) -> float:
    """The last value of a metric in a run's metrics.csv; nan where there is none."""
    path = run / "csv" / "metrics.csv"
    if not path.is_file():  # a rehearsal's few steps
        return float("nan")
    with open(path) as file:
        values = [float(row[name]) for row in csv.DictReader(file) if row.get(name)]
    return values[-1] if values else float("nan")


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
    ]


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("variants", type=Path, nargs="+")
    heads = (
        "latents", "PSNR, dB: all / moving", "video loss / level-only", "audio loss / level-only", "right",
        "also steady", "ghost (judged)",
    )  # fmt: skip
    print("| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|")
    for variant in parser.parse_args().variants:
        print("| " + " | ".join(row(variant)) + " |")


if __name__ == "__main__":
    main()
