"""python experiments/scripts/ship.py RUN PART [RUN PART ...]: parts of runs -> the package, in bfloat16.

A part is a folder of RUN/simulator, such as video_codec or separator; its notes are kept.
"""

import sys
from pathlib import Path

import torch

from avsim.weights import SMALL, TENSORS, load_model, notes_of, save_model


def main(arguments: list[str]) -> None:
    for run, part in zip(arguments[::2], arguments[1::2], strict=True):
        folder = Path(run) / "simulator" / part
        shipped = save_model(load_model(folder), SMALL / part, dtype=torch.bfloat16, **notes_of(folder))
        print(f"{shipped}: {(shipped / TENSORS).stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main(sys.argv[1:])
