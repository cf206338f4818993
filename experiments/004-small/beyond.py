"""Beyond the training: python beyond.py small [--clips 8] [--long 24]

Counts and rates: prompts for more or faster strokes than any training caption has; detected onsets (mean and
95 % interval over materials and seeds). Lengths: clips of 4 s, as a few in a hundred of the training's are,
extended to 8 s by windows of 2 s; metrics of the last four seconds.
"""

import argparse
from itertools import islice

import torch
from score import said_by

from avsim.clip import Clip, samples_of
from avsim.evaluation.features import Detectors, Features
from avsim.evaluation.suite import MetricSuite
from avsim.measures import bootstrap
from avsim.simulator import Simulator, load
from avsim.world import WorldDataset

STRUCK = "brown wooden block", "red rubber tile", "silver metal bar", "turquoise ceramic bowl"
COUNTS = (1, 2, 3, 5, 8, 12, 16)  # captions of the training have up to nine
RATES = (2, 3, 4, 6, 8)  # strokes a second: up to four
WHOLE = 4.0  # seconds
SHOWN = (
    "synchrony of events: F1 within 1 frame", "synchrony of events: chance of F1 within 1 frame",
    "integrity of things: clips with at least 90 % of frames right", "text: things seen, right",
    "text: place seen, right", "text: place heard, right",
)  # fmt: skip


def counted(simulator: Simulator, detectors: Detectors, clips: int) -> None:
    """Print the detected onsets for prompts with a count or a rate."""
    print("| prompt | onsets in 2 s | 95 % |\n|---|---|---|")
    for wording, numbers in (("with {} strokes", COUNTS), ("about {} times a second", RATES)):
        for number in numbers:
            things = [STRUCK[i % len(STRUCK)] for i in range(clips)]
            prompts = [f"in a studio, a stick strikes a {thing} {wording.format(number)}" for thing in things]
            generated = simulator.batch(prompts, seed=100 * number + len(wording))
            onsets = bootstrap(torch.tensor([float(len(detectors.onsets(clip))) for clip in generated]))
            name = wording.format(number)
            print(
                f"| {name} | {float(onsets.mean):.1f} | {float(onsets.low):.1f} … {float(onsets.high):.1f} |"
            )


def part(clip: Clip, start: float, end: float) -> Clip:
    """The seconds from `start` to `end`."""
    first, last = (round(at * clip.frames_per_second) for at in (start, end))
    begin, finish = (samples_of(at, clip.frames_per_second, clip.sample_rate) for at in (first, last))
    assert clip.frames is not None and clip.wave is not None
    return Clip.fitted(
        clip.frames[:, first:last], clip.wave[:, begin:finish], clip.frames_per_second, clip.sample_rate
    )


def lengthened(simulator: Simulator, detectors: Detectors, count: int) -> None:
    """Print metrics of the first four seconds and of those that were added."""
    known = [truth.caption for _, truth in islice(WorldDataset("medium", seed=6, split="test"), count)]
    panels = {name: MetricSuite(weights=detectors.weights) for name in ("the first 4 s", "4 s to 8 s")}
    for seed, caption in enumerate(known):
        whole = simulator.extend(simulator.generate(caption, WHOLE, seed=seed), caption, WHOLE, seed=seed)
        for suite, start in zip(panels.values(), (0.0, WHOLE), strict=True):
            suite.update(Features(part(whole, start, start + WHOLE), detectors, caption))
    scores = [said_by(suite) for suite in panels.values()]
    print(f"| of {count} clips | " + " | ".join(panels) + " |\n|---|---|---|")
    for name in SHOWN:
        print(f"| {name} | " + " | ".join(f"{each[name].value:.2f}" for each in scores) + " |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--clips", type=int, default=8, help="for each number")
    parser.add_argument("--long", type=int, default=24, help="clips of 8 s")
    arguments = parser.parse_args()
    simulator, detectors = load(arguments.model), Detectors.shipped()
    counted(simulator, detectors, arguments.clips)
    lengthened(simulator, detectors, arguments.long)
