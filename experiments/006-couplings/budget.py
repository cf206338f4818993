"""python budget.py STEPS: steps of each coupling that cost as many FLOPs as STEPS of `joint`, line by line.

FLOPs of training (forward and backward) are torch's own count, over the clips of 2 s and the batches of first
frames that couplings.yaml mixes. The cascade `none` is charged for the video alone where it trains it alone.
"""

import sys
from pathlib import Path
from typing import Any

import torch
import yaml
from torch.utils.flop_counter import FlopCounterMode

from avsim.clip import ClipSpec, LatentSpec
from avsim.diffusion import JointDiT, Pair
from avsim.models.couplings import Coupling, CrossCoupling, JointCoupling, SingleCoupling
from avsim.models.text import WordEncoder
from avsim.models.tokens import lengths

HERE = Path(__file__).parent
COUPLINGS = {
    "cross": CrossCoupling,
    "joint": JointCoupling,
    "single": SingleCoupling,
    "none": JointCoupling,
}  # none.yaml: a cascade's levels
CLIP, IMAGE = (LatentSpec(ClipSpec(seconds, 64, 64)) for seconds in (2.0, 1 / 16))


def flops(model: JointDiT, spec: LatentSpec, sounds: bool = True) -> int:
    """Of one clip's forward and backward pass."""
    x = Pair(*(torch.randn(1, *size) for size in zip(lengths(spec), model.channels, strict=True)))
    x = x if sounds else Pair(x.video)
    with FlopCounterMode(display=False) as counter:
        s = x.each(lambda x: torch.full((1, 1), 0.5))
        v = model(x, s, model.context(["a bell"], spec))
        total = torch.stack([each.sum() for each in v.present()]).sum()
        torch.autograd.grad(total, list(model.parameters()), allow_unused=True)
    return counter.get_total_flops()


def settings(name: str) -> dict[str, Any]:
    """The system's settings in a yaml of this folder."""
    return yaml.safe_load((HERE / name).read_text())["model"]["init_args"]


def built(coupling: type[Coupling]) -> JointDiT:
    """The model of couplings.yaml, with a coupling."""
    arguments = settings("couplings.yaml")["model"]["init_args"]
    text = WordEncoder(**arguments["text"]["init_args"])
    return JointDiT(**{**arguments, "text": text, "coupling": coupling})


def costs(clips: float, images: float) -> dict[str, tuple[float, int]]:
    """Of each coupling: FLOPs of `clips` clips and `images` first frames, and parameters."""
    found = {}
    for name, coupling in COUPLINGS.items():
        model = built(coupling)
        alone = settings("none.yaml")["levels"]["unimodal"] if name == "none" else 0.0
        clip = (1 - alone) * flops(model, CLIP) + alone * flops(model, CLIP, sounds=False)
        cost = clips * clip + images * flops(model, IMAGE, sounds=False)
        found[name] = cost, sum(weight.numel() for weight in model.parameters())
    return found


def main(steps: int) -> None:
    images = yaml.safe_load((HERE / "couplings.yaml").read_text())["data"]["init_args"]["images"]
    found = costs(1, images)
    for name, (cost, size) in found.items():
        line = f"{cost / 1e9:.3f} GFLOP a row, {size / 1e6:.2f} M"
        print(name, round(steps * found["joint"][0] / cost), line)


if __name__ == "__main__":
    main(int(sys.argv[1]))
