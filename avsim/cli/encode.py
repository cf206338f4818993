"""`avsim encode SHARDS --video-codec RUN --audio-codec RUN --out DIR`: clips -> latents, shard by shard."""

import argparse

from avsim.cli import add_allow_module, local_or_address, local_path, whole


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
    parser.add_argument(
        "--video-codec", type=local_path, required=True, metavar="RUN", help="a run or folder with the codec"
    )
    parser.add_argument(
        "--audio-codec", type=local_path, required=True, metavar="RUN", help="a run or folder with the codec"
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
        arguments.video_codec,
        arguments.audio_codec,
        arguments.out,
        batch_size=arguments.batch_size,
        device=accelerator(),
    )
    said = ", ".join(f"{count} to {split}" for split, count in made.items())
    Console().print(f"latents: {said} -> {arguments.out}", markup=False, highlight=False)
