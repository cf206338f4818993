"""Seconds from prompts to files of clips with audio, as a share of the clips' length.

    python experiments/benchmarks/clips.py [--threads 2] [--rounds 5]

Eight prompts are generated together by what ships, at its default steps, and written as MP4; then one alone.
As in the generator's benchmark the best of several rounds counts, since machines are shared; the median is
printed beside it. The parts are timed in one more round of eight; sync guidance includes one decoding of each
modality, of audio in fewer rounds.
"""

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

import avsim
from avsim.cli.demo import PROMPTS
from avsim.diffusion import guidance
from avsim.media import write
from avsim.memory import keep_freed
from avsim.simulator import Simulator

SECONDS = 2.0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_freed()  # as `avsim` does
    simulator = avsim.load("small")
    cpu = torch.backends.cpu.get_cpu_capability()
    print(f"{arguments.threads} threads, torch {torch.__version__}, {cpu}")
    with tempfile.TemporaryDirectory() as folder:
        for name, prompts in {"eight": PROMPTS, "one": PROMPTS[:1]}.items():
            made(simulator, prompts, Path(folder))  # allocate
            took = [made(simulator, prompts, Path(folder)) for _ in range(arguments.rounds)]
            lasts = len(prompts) * SECONDS
            best, usual = min(took), statistics.median(took)
            print(
                f"{name:6} best {best:5.2f} s, {best / lasts:.2f} of {lasts:g} s of clips; "
                f"median {usual:.2f} s, {usual / lasts:.2f}"
            )
        with stopwatches(simulator) as parts:
            made(simulator, PROMPTS, Path(folder))
    for part, took in parts.items():
        print(f"  {part:20}{sum(took):6.2f} s = {' + '.join(f'{seconds:.2f}' for seconds in took)}")


def made(simulator: Simulator, prompts: tuple[str, ...], folder: Path) -> float:
    """Seconds from prompts to files."""
    began = time.perf_counter()
    for index, clip in enumerate(simulator.batch(prompts, SECONDS)):
        write(clip, folder / f"{index}.mp4")
    return time.perf_counter() - began


@contextmanager
def stopwatches(simulator: Simulator) -> Iterator[dict[str, list[float]]]:
    """Seconds of each call of the parts that generate a clip."""
    parts: dict[str, list[float]] = defaultdict(list)

    def timed(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def measured(*args: Any, **options: Any) -> Any:
            began = time.perf_counter()
            result = call(*args, **options)
            parts[name].append(time.perf_counter() - began)
            return result

        return measured

    student, video, audio = simulator.student, simulator.video_codec, simulator.audio_codec
    assert student is not None
    with (
        patch.object(student, "forward", timed("a pass", student.forward)),
        patch.object(guidance, "criticised", timed("sync guidance", guidance.criticised)),
        patch.object(video, "decode", timed("video decoded", video.decode)),
        patch.object(audio, "decode", timed("audio decoded", audio.decode)),
        patch(f"{__name__}.write", timed("a file written", write)),
    ):
        yield parts


if __name__ == "__main__":
    main()
