"""A generator of another video codec's latents, made of one that is trained: python finer.py CODEC OUT.

CODEC (of `video_codec_128.yaml`) has as many latents, of more channels, for frames of twice the size. Their
linear relation is fitted on clips of the world that both encode; the picture's ends go through it, so that
what the generator knows of its own latents it knows of the others too. What finer channels tell, it has to
learn (`lease.py --init OUT --video-codec CODEC`).
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from avsim.clip import ClipSpec
from avsim.codecs.video import VideoAutoencoder
from avsim.diffusion import JointDiT
from avsim.models.joint import QUICK, Ends
from avsim.weights import SMALL, build, load_model, save_model
from avsim.world import LEVELS, WorldDataset

ALIKE = 0.5  # of a correlation: from here on one channel is as loud as another


def related(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, float]:
    """Rows (N, D) and (N, E): y ~ x @ matrix + offset, and the share of y's variance that it explains."""
    middle, mean = x.mean(0), y.mean(0)
    matrix = torch.linalg.lstsq(x - middle, y - mean).solution  # (D, E)
    rest = y - mean - (x - middle) @ matrix
    return matrix, mean - middle @ matrix, float(1 - rest.square().sum() / (y - mean).square().sum())


@torch.no_grad()
def translated(old: Ends, new: Ends, coarse: Tensor, fine: Tensor) -> str:
    """Fill the ends of finer latents; rows of the same tokens, (N, D) and (N, E), say how they relate."""
    down, shift, known = related(fine, coarse)  # (E, D)
    new.embed.weight.copy_(old.embed.weight @ down.T)
    new.embed.bias.copy_(old.embed.bias + old.embed.weight @ shift)
    up, _, told = related(coarse, fine)  # (D, E)
    new.out.weight.copy_(up.T @ old.out.weight)
    new.out.bias.copy_(old.out.bias @ up)
    apart = [(x - x.mean(0)) / x.std(0).clamp(min=1e-6) for x in (coarse, fine)]
    alike = (apart[1].T @ apart[0] / len(fine)).abs()  # (E, D)
    mean = torch.full_like(alike, 1 / alike.shape[1])
    by = torch.where(
        alike.amax(1, keepdim=True) > ALIKE, F.one_hot(alike.argmax(1), alike.shape[1]).float(), mean
    )
    new.loud.weight.copy_(by @ old.loud.weight)
    new.loud.bias.copy_(by @ old.loud.bias)
    new.energy.copy_(by @ old.energy + (fine.var(0) / (by @ coarse.var(0))).clamp(min=1e-3).log() / QUICK)
    return f"finer latents tell {known:.3f} of the variance of those before, are told by them by {told:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("codec", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--init", type=Path, default=SMALL / "generator")
    parser.add_argument("--clips", type=int, default=64)
    said = parser.parse_args()

    before = load_model(SMALL / "video_codec", expected=VideoAutoencoder)
    codec = load_model(said.codec, expected=VideoAutoencoder)
    size = 8 * codec.space_stride
    world = WorldDataset(replace(LEVELS["medium"], spec=ClipSpec(2.0, size, size)), seed=8)
    coarse, fine = [], []
    with torch.no_grad():
        for i in range(said.clips):
            frames = world[i][0].frames[None].float()  # (1, 3, T, H, W)
            less = F.adaptive_avg_pool3d(frames, (None, 64, 64))
            coarse.append(before.encode(less).movedim(1, -1))
            fine.append(codec.encode(frames).movedim(1, -1))
    old = load_model(said.init, expected=JointDiT)
    config: Any = old.config
    new = build({**config, "init_args": {**config["init_args"], "video_channels": codec.channels}})
    kept = {key: value for key, value in old.state_dict().items() if not key.startswith("ends.0.")}
    left = new.load_state_dict(kept, strict=False)
    assert not left.unexpected_keys and all(key.startswith("ends.0.") for key in left.missing_keys)
    z, zs = torch.cat(coarse), torch.cat(fine)  # (N, t, h, w, D)
    for name, at in (("first", slice(1)), ("later", slice(1, None))):
        found = translated(
            getattr(old.ends[0], name),
            getattr(new.ends[0], name),
            z[:, at].flatten(0, -2),
            zs[:, at].flatten(0, -2),
        )
        print(f"{name}: {found}")
    save_model(new, said.out, dtype=torch.bfloat16)


if __name__ == "__main__":
    main()
