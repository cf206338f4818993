"""`avsim encode SHARDS --video-codec RUN --audio-codec RUN --out DIR`: clips -> latents, shard by shard."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from avsim.cli import add_allow_module, local_or_address, local_path, whole

if TYPE_CHECKING:
    from torch import Tensor


def add(subparsers: argparse._SubParsersAction) -> None:
    """Add the subcommand's arguments."""
    parser = subparsers.add_parser(
        "encode",
        help="turn shards of clips into shards of latents",
        description="Encode the clips of `avsim prepare` with a pair of trained codecs. Run it again to "
        "resume.",
    )
    parser.add_argument(
        "shards",
        type=local_or_address,
        metavar="SHARDS",
        help="a folder written by avsim prepare, or its URL (s3://…)",
    )
    parser.add_argument("--video-codec", type=local_path, metavar="RUN", help="a run or folder with it")
    parser.add_argument("--audio-codec", type=local_path, metavar="RUN", help="a run or folder with it")
    parser.add_argument(
        "--model",
        type=local_path,
        metavar="DIR",
        help="instead of both codecs: a folder written by avsim add-audio; stores text embeddings too",
    )
    parser.add_argument("--out", type=local_path, required=True, metavar="DIR", help="folder for the latents")
    parser.add_argument(
        "--batch-size", type=whole(1, 4096), default=8, help="clips per batch (default %(default)s)"
    )
    add_allow_module(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Encode every split and print how many latents each has."""
    import sys

    from rich.console import Console

    from avsim.clip import ClipSpec
    from avsim.data.encode import encode
    from avsim.data.shards import SPLITS, ShardFolder
    from avsim.data.sources import ShardSource, Source
    from avsim.data.videos import uncaptioned
    from avsim.devices import accelerator
    from avsim.errors import InputError

    video_codec = arguments.video_codec or arguments.model
    audio_codec = arguments.audio_codec or arguments.model
    if video_codec is None or audio_codec is None:
        raise InputError("give --video-codec and --audio-codec, or a --model that holds both")
    index = ShardFolder.open(arguments.shards, "clips").index
    missing = sum(not item.get("caption") for item in index["items"])
    if warning := uncaptioned(missing, len(index["items"])):
        print(warning, file=sys.stderr)
    there = {item["split"] for item in index["items"]}
    sources: dict[str, Source] = {
        split: ShardSource(arguments.shards, split) for split in SPLITS if split in there
    }
    made = encode(
        sources,
        ClipSpec(**index["spec"]),
        video_codec,
        audio_codec,
        arguments.out,
        batch_size=arguments.batch_size,
        device=accelerator(),
        embed=None if arguments.model is None else _embed(arguments.model, accelerator()),
    )
    said = ", ".join(f"{count} to {split}" for split, count in made.items())
    Console().print(f"latents: {said} -> {arguments.out}", markup=False, highlight=False)


def _embed(folder: Path, device: str) -> Callable[[Sequence[str]], Tensor]:
    """The text embeddings of a model, computed once for each caption."""
    from functools import lru_cache

    import torch

    from avsim.models.joint_generator import text_encoder_of
    from avsim.weights import part_folder

    encoder = text_encoder_of(part_folder(folder, "generator")).to(device)

    @lru_cache(maxsize=4096)
    @torch.no_grad()
    def one(caption: str) -> Tensor:
        text, present = encoder([caption])
        return (text * present[..., None])[0].cpu()

    return lambda captions: torch.stack([one(caption) for caption in captions])
