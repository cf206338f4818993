"""python budget.py STEPS: steps of each coupling that cost as many FLOPs as STEPS of `joint`, line by line.

FLOPs of training (forward and backward) are torch's own count, over the clips of 2 s and the batches of first
frames that couplings.yaml mixes. The cascade `none` is charged for the picture alone where it draws it alone.
"""

import sys
from pathlib import Path

import torch
import yaml
from torch.utils.flop_counter import FlopCounterMode

from avsim.clip import ClipSpec, LatentSpec
from avsim.data.datamodule import IMAGES
from avsim.diffusion import JointDiT, Pair
from avsim.diffusion.couplings import Cross, Joint, Single
from avsim.diffusion.text import WordEncoder
from avsim.diffusion.tokens import lengths

CLIP, IMAGE = (LatentSpec(ClipSpec(seconds, 64, 64)) for seconds in (2.0, 1 / 16))


def flops(model: JointDiT, spec: LatentSpec, sounds: bool = True) -> int:
    """Of one clip's forward and backward pass."""
    x = Pair(*(torch.randn(1, *size) for size in zip(lengths(spec), model.channels, strict=True)))
    x = x if sounds else Pair(x.video)
    with FlopCounterMode(display=False) as counter:
        s = x.each(lambda x: torch.full((1, 1), 0.5))
        v = model(x, s, model.context(["a bell"], spec), torch.tensor([True]))
        torch.stack([each.sum() for each in v.there()]).sum().backward()
    return counter.get_total_flops()


def main(steps: int) -> None:
    said = yaml.safe_load((Path(__file__).parent / "couplings.yaml").read_text())
    arguments = said["model"]["init_args"]["model"]["init_args"]
    arguments["text"] = WordEncoder(**arguments["text"]["init_args"])
    images = said["data"]["init_args"]["images"]
    cost, size = {}, {}
    for name, coupling, alone in (
        ("cross", Cross, 0),
        ("joint", Joint, 0),
        ("single", Single, 0),
        ("none", Joint, 0.5),
    ):
        model = JointDiT(**arguments, coupling=coupling)
        clip = (1 - alone) * flops(model, CLIP) + alone * flops(model, CLIP, sounds=False)
        cost[name] = (1 - images) * clip + images * IMAGES * flops(model, IMAGE, sounds=False)
        size[name] = sum(weight.numel() for weight in model.parameters())
    for name, each in cost.items():
        print(
            name,
            round(steps * cost["joint"] / each),
            f"{each / 1e9:.3f} GFLOP a row, {size[name] / 1e6:.2f} M",
        )


if __name__ == "__main__":
    main(int(sys.argv[1]))
