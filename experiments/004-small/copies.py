"""Are generated clips copies? python copies.py SCORED LATENTS [LATENTS ...]: SCORED is a folder of score.py.

A clip's embedding is the latents of its frame 0 and the mean of the later ones; generated clips and held-out
truth have both been through the codecs. LATENTS are of training clips. Blurred clips are close to everything,
so distance alone proves no copy: as many held-out clips are rendered, and the nearest clip of a copy would
usually be a training clip.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from avsim.data.latent_shards import LatentSource
from avsim.data.shards import from_uint8
from avsim.devices import autocast_if_faster
from avsim.evaluation.memorization import Memorization, nearest
from avsim.measures import bootstrap
from avsim.weights import SMALL, load_model
from avsim.world import WorldDataset

BATCH = 32


def embedded(video: Tensor) -> Tensor:
    """Latents (B, Dv, t, h, w) -> (B, 2 Dv h w)."""
    return torch.cat([video[:, :, 0], video[:, :, 1:].mean(2)], 1).flatten(1)


@torch.no_grad()
def generated(folder: Path) -> Iterator[Tensor]:
    """Embeddings of the clips in a folder of score.py, in batches."""
    see = load_model(SMALL / "video_codec")
    for file in sorted(folder.glob("*.safetensors")):
        with autocast_if_faster("cpu"):
            yield embedded(see.encode(from_uint8(load_file(file)["frames"])).float())


@torch.no_grad()
def unseen(count: int) -> Tensor:
    """Embeddings of held-out clips of `medium`."""
    see, world = load_model(SMALL / "video_codec"), WorldDataset("medium", seed=9, split="validation")
    found = []
    for first in range(0, count, BATCH):
        frames = torch.stack([world[i][0].frames for i in range(first, min(first + BATCH, count))])
        with autocast_if_faster("cpu"):
            found.append(embedded(see.encode(frames).float()))
    return torch.cat(found)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scored", type=Path)
    parser.add_argument("latents", type=Path, nargs="+")
    parser.add_argument("--unseen", type=int, default=1500, help="clips to render")
    arguments = parser.parse_args()
    sources = [LatentSource(folder) for folder in arguments.latents]
    known = torch.cat(
        [embedded(source.latents(i)[0][None]) for source in sources for i in range(len(source))]
    )
    made = torch.cat([*generated(arguments.scored / "joint")])
    few = known[:: max(1, len(known) // arguments.unseen)]
    share = bootstrap((nearest(made, few) < nearest(made, unseen(len(few)))).double())
    interval = f"{float(share.mean):.3f} ({float(share.low):.3f} … {float(share.high):.3f})"
    print(
        f"{len(made)} generated; nearer to one of {len(few)} of training than of held-out clips: {interval}"
    )
    scorer = Memorization(known, torch.cat([*generated(arguments.scored / "through codecs")]))
    for one in made:
        scorer.update(one)
    print(f"{len(known)} training clips")
    for name, score in scorer.scores().items():
        print(f"{name}: {score.value:.3f} ({score.low:.3f} … {score.high:.3f})")


if __name__ == "__main__":
    main()
