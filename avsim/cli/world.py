"""`avsim world`: synthetic clips with exact truth, from random scenes, a scene file or a sentence."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from avsim.cli import MOST_CLIPS, check_clip, local_path, names, rate, seconds, size, whole, words

if TYPE_CHECKING:
    from avsim.clip import ClipSpec
    from avsim.world import WorldConfig


def add(subparsers: argparse._SubParsersAction) -> None:
    """Add the subcommand's arguments."""
    parser = subparsers.add_parser(
        "world",
        help="make synthetic clips with captions, stems and exact truth",
        description="Make clips of a synthetic world with audio, captions and, optionally, stems and truth: "
        "from random scenes, a scene file or a sentence. Run it again to resume.",
    )
    parser.add_argument("--out", type=local_path, required=True, metavar="DIR", help="folder for the clips")
    parser.add_argument(
        "-n", "--count", type=whole(most=MOST_CLIPS), default=1, help="number of clips (default 1)"
    )
    one = parser.add_mutually_exclusive_group()
    one.add_argument("--from", dest="file", type=local_path, metavar="YAML", help="a scene file")
    one.add_argument(
        "--say",
        type=words,
        metavar="TEXT",
        help='a sentence: "a stick strikes a bell at 0.8 s, hard, in a cave"',
    )
    one.add_argument("--gallery", action="store_true", help="write one page with every scene in every place")
    parser.add_argument("--level", help="easy, medium or full (default full)")
    parser.add_argument(
        "--scene", type=names, metavar="NAME,…", help="drop, strike, ensemble (default: the level's)"
    )
    parser.add_argument("--place", type=names, metavar="NAME,…", help="such as cave (default: the level's)")
    parser.add_argument("--material", type=names, metavar="NAME,…", help="of falling things (default: all)")
    parser.add_argument("--split", help="train, validation, test or 'held out' (default train)")
    parser.add_argument("--seed", type=whole(), default=0, help="of the scenes (default %(default)s)")
    parser.add_argument("--seconds", type=seconds, default=2.0, help="length of a clip (default %(default)s)")
    parser.add_argument(
        "--size", type=size, metavar="WxH", help="pixels (default 64x64; a gallery's 128x128)"
    )
    parser.add_argument("--fps", type=rate, default=16.0, help="frames per second (default %(default)s)")
    parser.add_argument(
        "--sample-rate", type=whole(1, 768000), default=16000, help="Hz (default %(default)s)"
    )
    parser.add_argument("--channels", type=int, default=2, choices=(1, 2), help="audio channels (default 2)")
    parser.add_argument("--shards", action="store_true", help="write shards for training instead of videos")
    parser.add_argument("--stems", action="store_true", help="also write the audio of each thing")
    parser.add_argument("--truth", action="store_true", help="also write the truth of each clip")
    parser.add_argument("--jobs", type=whole(1, 1024), help="processes (default: one per core)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Make the clips, or the page."""
    import os

    from avsim.clip import ClipSpec

    height, width = arguments.size or ((128, 128) if arguments.gallery else (64, 64))
    spec = ClipSpec(
        arguments.seconds, height, width, arguments.fps, arguments.sample_rate, arguments.channels
    )
    check_clip(spec)
    config = _config(arguments, spec)
    if arguments.gallery:
        from avsim.report.gallery import write_gallery

        print(write_gallery(arguments.out / "index.html", config, arguments.seed))
        return
    from avsim.data.worlds import Form, write_clips

    clips, about = _clips(arguments, config)
    write_clips(
        clips,
        arguments.count,
        arguments.out,
        spec,
        about,
        split=arguments.split or "train",
        form=Form(arguments.shards, arguments.stems, arguments.truth),
        jobs=os.cpu_count() or 1 if arguments.jobs is None else arguments.jobs,
    )
    print(arguments.out)


def _config(arguments: argparse.Namespace, spec: ClipSpec) -> WorldConfig:
    """The level with the given choices."""
    from dataclasses import replace

    from avsim.errors import InputError
    from avsim.world import world_config

    chosen = {"scenes": arguments.scene, "places": arguments.place, "materials": arguments.material}
    chosen = {name: value for name, value in chosen.items() if value is not None}
    own = arguments.file or arguments.say
    options = {"--level": arguments.level, "--split": arguments.split, **chosen}
    given = [name for name, value in options.items() if value is not None]
    if own is not None and given and given != ["--split"]:
        raise InputError(f"{', '.join(given)}: are for random scenes; a scene file or sentence defines them")
    return replace(world_config("full" if arguments.level is None else arguments.level), spec=spec, **chosen)


def _clips(arguments: argparse.Namespace, config: WorldConfig) -> tuple[Any, dict[str, Any]]:
    """The clips, and their settings."""
    from dataclasses import asdict

    from avsim.data.worlds import SceneVariants
    from avsim.world import WorldDataset
    from avsim.world.flat.scene_files import read_scene, said

    seed, split = arguments.seed, arguments.split or "train"
    if arguments.file is not None:
        scene = read_scene(arguments.file)
        return SceneVariants(scene, config.spec, seed), {"scene": scene.plain(), "seed": seed, "split": split}
    if arguments.say is not None:
        from avsim.prompting.rules import caption_of_prompt

        sentence = caption_of_prompt(arguments.say)
        said(sentence, config.spec, seed)  # what can't be is said before anything is written
        return SceneVariants(sentence, config.spec, seed), {
            "said": sentence,
            "seed": seed,
            "split": split,
        }
    world = WorldDataset(config, seed, split)
    return world, {"world": asdict(config), "seed": seed, "split": split}
