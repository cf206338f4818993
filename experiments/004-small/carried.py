"""A pupil for a generator that was trained on, without a lesson: python carried.py GENERATOR OUT.

What lessons changed, from a teacher to its pupil, is added to the weights of GENERATOR, which that teacher
became (Editing models with task arithmetic, 2212.04089): it has its guidance by heart at once. Between
latents of two codecs (`finer.py`) the picture's ends are GENERATOR's own, as `--own` says. From a pupil to an
earlier one, a `--share` lies between them. Steps and clips that are noted down are GENERATOR's.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from avsim.diffusion import JointDiT
from avsim.errors import InputError
from avsim.weights import SMALL, load_model, notes_of, save_model


@torch.no_grad()
def carried(
    teacher: JointDiT, pupil: JointDiT, generator: JointDiT, own: Sequence[str] = (), share: float = 1.0
) -> JointDiT:
    """`generator` with a share of what `pupil` has of lessons; weights whose names begin so stay its `own`.

    Raises:
        InputError: a weight that isn't there in all three, or of another shape.
    """
    before, after = teacher.state_dict(), pupil.state_dict()
    for name, weight in generator.state_dict().items():
        if name.startswith(tuple(own)):
            continue
        for model in (before, after):
            if name not in model or model[name].shape != weight.shape:
                found = tuple(model[name].shape) if name in model else "none"
                raise InputError(
                    f"weight {name}: found {found} to carry over, expected {tuple(weight.shape)}"
                )
        weight.add_(share * (after[name] - before[name]))
    return generator


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("generator", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--teacher", type=Path, default=SMALL / "generator")
    parser.add_argument("--pupil", type=Path, default=SMALL / "pupil")
    parser.add_argument("--own", nargs="*", default=[], metavar="NAME", help="such as ends.0.: the picture's")
    parser.add_argument("--share", type=float, default=1.0, help="of what lessons changed")
    parser.add_argument("--commit", default="", help="noted down")
    said = parser.parse_args()
    models = (load_model(folder, expected=JointDiT) for folder in (said.teacher, said.pupil, said.generator))
    how = f"{said.generator} OUT --teacher {said.teacher} --pupil {said.pupil} --share {said.share:g}"
    how += "".join(f" {name}" for name in ("--own", *said.own) if said.own)
    command = f"python experiments/004-small/carried.py {how}"
    notes = notes_of(said.generator) | {"commit": said.commit, "command": command}
    save_model(carried(*models, own=said.own, share=said.share), said.out, dtype=torch.bfloat16, **notes)


if __name__ == "__main__":
    main()
