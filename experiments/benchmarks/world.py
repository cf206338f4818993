"""Clips a second of the world on one core, by family and level, and whether its memory stays constant.

    python experiments/benchmarks/world.py [--clips 100] [--seconds 2] [--memory 10000]

CPU time, after some clips of each kind: what is computed once (sprites, notes, rooms) is not counted.
"""

import argparse
import resource
import time
from collections.abc import Iterator
from dataclasses import replace

import torch

from avsim.clip import ClipSpec
from avsim.world import DIFFICULTIES, WorldConfig, WorldDataset
from avsim.world.sound.rooms import PLACES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=100, help="of each kind (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a clip (default %(default)s)")
    parser.add_argument(
        "--memory", type=int, default=0, metavar="N", help="then watch the memory over N clips"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    spec = ClipSpec(arguments.seconds)
    print(f"{arguments.clips} clips of {spec.seconds:g} s, {spec.width} x {spec.height}")
    print(f"{'':44}{'clips/s':>9}{'aim':>6}")
    for name, aim, config in kinds():
        print(f"{name:44}{rate(replace(config, spec=spec), arguments.clips):9.1f}{aim:>6}")
    if arguments.memory:
        watch(WorldDataset(replace(DIFFICULTIES["full"], spec=spec)), arguments.memory)


def kinds() -> Iterator[tuple[str, str, WorldConfig]]:
    """(name, clips a second to reach, config)."""
    for scene in ("drop", "strike"):
        yield f"{scene}, one or two objects, dry studio", "25", WorldConfig(scenes=(scene,), things=(1, 2))
    yield "ensemble, one or two players, dry studio", "15", WorldConfig(scenes=("ensemble",), things=(1, 2))
    for scene in ("drop", "strike", "ensemble"):
        yield f"{scene}, one or two objects, all places", "15", WorldConfig((scene,), (1, 2), places=PLACES)
    for level, config in DIFFICULTIES.items():
        yield f"level {level}", {"easy": "25"}.get(level, "15"), config


def rate(config: WorldConfig, clips: int) -> float:
    """Clips a second of CPU time."""
    world = WorldDataset(config)
    for index in range(clips, clips + 25):
        world[index]  # what is computed once
    start = time.process_time()
    for index in range(clips):
        world[index]
    return clips / (time.process_time() - start)


def watch(world: WorldDataset, clips: int) -> None:
    """Print the greatest resident memory so far, ten times."""
    for index in range(clips):
        world[index]
        if (index + 1) % max(1, clips // 10) == 0:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"after {index + 1:6} clips: {peak:7.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
