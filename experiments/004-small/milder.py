"""Moves the shipped pupil a share of the way back to its teacher: python milder.py [--share 0.25]

What it has by heart makes events clearer, and all that moves more alike: pictures in which things move as
differently as the teacher's lie between the two, weight by weight (Robust fine-tuning, 2109.01903).
"""

import argparse
import json

import torch

from avsim.errors import InputError
from avsim.weights import CONFIG, SMALL, load_model, save_model


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--share", type=float, default=0.25, help="of the way")
    share = parser.parse_args().share
    notes = json.loads((SMALL / "pupil" / CONFIG).read_text())["notes"]
    if "milder" in notes:
        raise InputError(f"{SMALL / 'pupil'}: moved by {notes['milder']} already; expected one as trained")
    pupil, teacher = (load_model(SMALL / name) for name in ("pupil", "generator"))
    for weight, other in zip(pupil.parameters(), teacher.parameters(), strict=True):
        weight.lerp_(other, share)
    save_model(pupil, SMALL / "pupil", dtype=torch.bfloat16, **notes, milder=share)
    print(f"milder by {share:g}")


if __name__ == "__main__":
    main()
