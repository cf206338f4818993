"""Faults of graded strength to look at: python render.py OUT [--level medium] [--first 0]

A PNG for each fault: rows are strengths, columns are moments, three times as large. The strengths from which
on they are noticed (`Fault.noticeable`) were read off these.
"""

import argparse
from pathlib import Path

import torch
from PIL import Image

from avsim.clip import ClipSpec
from avsim.seeds import generator
from avsim.world import WorldDataset
from avsim.world.flat.faults import FAULTS, able_layers, spoilt
from avsim.world.flat.layers import Layers

STRENGTHS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7)
MOMENTS = (0, 1, 4, 6, 12, 20, 30)  # frames
LARGER, TRIED = 3, 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--level", default="medium")
    parser.add_argument("--first", type=int, default=0)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    world, spec = WorldDataset(arguments.level, 9, "validation"), ClipSpec()
    for name, fault in FAULTS.items():
        for index in range(arguments.first, arguments.first + TRIED):
            layers = Layers(world.scene(index), spec)
            if fault.whole or able_layers(layers, fault):
                break
        else:
            continue
        rows = []
        for strength in STRENGTHS:
            frames = spoilt(layers, spec.frames_per_second, fault, strength, generator(1, "look", index))
            assert frames is not None
            rows.append(torch.cat(list(frames[:, MOMENTS].transpose(0, 1)), -1))
        pixels = (torch.cat(rows, 1).permute(1, 2, 0) * 255).byte().numpy()
        size = LARGER * pixels.shape[1], LARGER * pixels.shape[0]
        Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST).save(
            arguments.out / f"{name.replace(' ', '-')}.png"
        )


if __name__ == "__main__":
    main()
