"""Seams, retakes, a minute, sizes: python measure.py PART OUT [--count 32] [--checkpoint small]

PART is seams, long, edits or sizes. Clips and captions are those of held-out clips of the world (level
medium, split test, seed 11). Each clip's numbers are a line of OUT/PART.csv: an interrupted run resumes. It
prints medians with 95 % intervals. Ways that a checkout's Simulator lacks are left out, so that an older one
(PYTHONPATH) gives its value by the same script.
"""

import argparse
import csv
import inspect
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from statistics import mean, median

import torch
import torchaudio

from avsim.clip import Clip, Region
from avsim.evaluation.text import TextAgreement, facts_of_caption
from avsim.perception.audio_detector import AudioDetector
from avsim.perception.detect import detect_video, events, onsets
from avsim.perception.matching import match
from avsim.simulator import Simulator, load
from avsim.weights import SMALL, load_model
from avsim.world import WorldDataset

BESIDE = 1.0  # seconds on both sides of a seam whose frame steps are compared
LEAST_STEP = 0.2  # of 255: a median step below it counts as this
LEVEL = 0.03  # seconds on both sides of a seam whose levels are compared
NEAR = 0.0625  # seconds from a seam within which an onset counts as at the seam
PART_OF_MINUTE = 10.0  # seconds of its beginning and end
SIZES = {"64x64": None, "128x72": (72, 128), "64x96": (96, 64), "256x144": (144, 256)}


def world(first: int, count: int) -> Iterator[tuple[int, Clip, str]]:
    """Clips `first` to `count` with their numbers and captions."""
    dataset = WorldDataset("medium", seed=11, split="test")
    for number in range(first, count):
        clip, truth = dataset[number]
        yield number, clip, truth.caption


def steps(frames: torch.Tensor) -> torch.Tensor:
    """Mean difference of consecutive frames, of 255, (T - 1,)."""
    return 255 * frames.diff(dim=1).abs().mean((0, 2, 3))


def step_ratio(clip: Clip, frame: int) -> float:
    """The step into `frame` over the median step of the seconds beside it."""
    found, beside = steps(clip.frames), round(BESIDE * clip.frames_per_second)
    others = torch.cat([found[max(0, frame - 1 - beside) : frame - 1], found[frame : frame + beside]])
    return float(found[frame - 1]) / max(float(others.median()), LEAST_STEP)


def level_step(clip: Clip, frame: int) -> float:
    """How much louder the audio is after a frame's beginning than before it, in dB."""
    sample, width = round(frame * clip.sample_rate / clip.frames_per_second), round(LEVEL * clip.sample_rate)
    before, after = clip.wave[:, max(0, sample - width) : sample], clip.wave[:, sample : sample + width]
    return 10 * math.log10(float(after.square().mean() + 1e-10) / float(before.square().mean() + 1e-10))


def unseen_onset(clip: Clip, frame: int, video, audio: AudioDetector) -> bool:
    """Whether an onset is detected at a frame's beginning beside which no event is."""
    at = frame / clip.frames_per_second
    heard = any(abs(onset.seconds - at) <= NEAR for onset in onsets(audio, clip))
    return heard and not any(abs(event.seconds - at) <= 2 * NEAR for event in events(video, clip))


def rolled(clip: Clip, frames: int) -> Clip:
    """A loop that begins `frames` later."""
    samples = round(frames * clip.sample_rate / clip.frames_per_second)
    return Clip(clip.frames.roll(-frames, 1), clip.wave.roll(-samples, 1), clip.frames_per_second, 16000)


def seams(simulator: Simulator, first: int, count: int) -> Iterator[list[list[object]]]:
    """Rows (clip, way, step ratio, level step in dB, unseen onset, largest change outside of 255)."""
    audio, video = load_model(SMALL / "audio_detector"), simulator.video_detector
    before = None
    for number, clip, caption in world(first, count):
        rows: list[list[object]] = []

        def add(way: str, made: Clip, *at: int, outside: float = math.nan) -> None:
            for frame in at:
                unseen = unseen_onset(made, frame, video, audio)
                numbers = step_ratio(made, frame), level_step(made, frame), int(unseen), outside
                rows.append([number, way, *numbers])  # noqa: B023

        middle = clip.frames.shape[1] // 2
        add("world", clip, middle)
        add("extend", simulator.extend(clip, caption, 1.5, seed=number), clip.frames.shape[1])
        own = simulator.generate(caption, seed=number)
        add("extend, generated", simulator.extend(own, caption, 1.5, seed=number), own.frames.shape[1])
        if "backward" in inspect.signature(simulator.extend).parameters:
            made = simulator.extend(clip, caption, 1.5, seed=number, backward=True)
            add("extend backward", made, 24)
            made = simulator.loop(clip, 3.0, caption, seed=number)
            add("loop", rolled(made, 16), 16, 32)
            if before is not None:
                made = simulator.connect(before, clip, 1.0, caption, seed=number)
                add("connect", made, 32, 48)
            made = simulator.retake(clip, caption, 0.75, 1.25, seed=number)
            outside = torch.cat([made.frames - clip.frames], 1)
            outside[:, 12:20] = 0
            add("retake", made, 12, 20, outside=255 * float(outside.abs().max()))
            region = Region.box(16, 16, 32, 32, size=(64, 64))
            made = simulator.retake(clip, caption, 0.5, 1.5, region, seed=number)
            change = (made.frames - clip.frames) * (1 - region.mask)
            add("retake, region", made, 8, outside=255 * float(change.abs().max()))
            before = clip
        yield rows


def gradient(frames: torch.Tensor) -> float:
    """Mean absolute gradient, of 255."""
    return 127.5 * float(frames.diff(dim=2).abs().mean() + frames.diff(dim=3).abs().mean())


def long(simulator: Simulator, first: int, count: int) -> Iterator[list[list[object]]]:
    """Rows (clip, part, gradient, loudness in LUFS, onsets, events, matches), first and last seconds.

    Also of the world's own minute of the same scene, in which what has fallen lies there, too.
    """
    audio, video = load_model(SMALL / "audio_detector"), simulator.video_detector
    scenes = WorldDataset("medium", seed=11, split="test")
    minutes = WorldDataset(
        replace(scenes.config, spec=replace(scenes.config.spec, seconds=60.0)), seed=11, split="test"
    )
    for number, _, caption in world(first, count):
        if hasattr(simulator, "stream"):
            clip = simulator.generate(caption, 60.0, seed=number)
        else:  # as a minute was made before
            begin = simulator.generate(caption, seed=number)
            clip = simulator.extend(begin, caption, 60.0 - begin.seconds, seed=number)
        own, _ = minutes[number]
        yield [
            [number, f"{of}{name}", *beginning_or_end(part, audio, video)]
            for of, whole in (("", clip), ("world, ", own))
            for name, part in ends(whole)
        ]


def ends(clip: Clip) -> Iterator[tuple[str, Clip]]:
    """The first and the last seconds of a clip at 16 fps and 16 kHz."""
    length = round(PART_OF_MINUTE * clip.frames_per_second)
    for name, begin in (("first", 0), ("last", clip.frames.shape[1] - length)):
        samples = slice(begin * 1000, (begin + length) * 1000)
        frames, wave = clip.frames[:, begin : begin + length], clip.wave[:, samples]
        yield name, Clip(frames, wave, clip.frames_per_second, clip.sample_rate)


def beginning_or_end(part: Clip, audio: AudioDetector, video) -> list[object]:
    """Gradient, loudness in LUFS, and the numbers of onsets, events and matches."""
    loud = float(torchaudio.functional.loudness(part.wave, part.sample_rate))
    heard, seen = ([each.seconds for each in found] for found in (onsets(audio, part), events(video, part)))
    matched = len(match(heard, seen, 1 / part.frames_per_second))
    return [gradient(part.frames), loud, len(heard), len(seen), matched]


def sizes(simulator: Simulator, first: int, count: int) -> Iterator[list[list[object]]]:
    """Rows (clip, size, share of the prompt's things seen, things in the median frame)."""
    for number, _, caption in world(first, count):
        facts, rows = facts_of_caption(caption), []
        for name, size in SIZES.items():
            clip = simulator.generate(caption, seed=number, size=size)
            view = detect_video(simulator.video_detector, clip)
            scorer = TextAgreement()
            scorer.update(facts, view, None)
            seen = float(scorer.compute()["things seen, right"])
            rows.append([number, name, seen, median(len(frame) for frame in view.things)])
        yield rows


def edits(simulator: Simulator, first: int, count: int) -> Iterator[list[list[object]]]:
    """Rows (clip, way, the target's noun seen, share of pixels that change by 20 of 255, median change).

    The noun is seen if the detector finds its kind, and its material and colour where stated, in a quarter
    of the frames.
    """
    ways = {"0.8": {}} if "source_prompt" in inspect.signature(simulator.edit).parameters else {
        "0.6": {"strength": 0.6}, "0.9": {"strength": 0.9}
    }  # fmt: skip
    for number in range(first, min(count, len(EDITS))):
        source, target = EDITS[number]
        clip = simulator.generate(source, seed=number)
        rows: list[list[object]] = [[number, "source", _noun_seen(simulator, clip, target), 0.0, 0.0]]
        for name, how in ways.items():
            made = simulator.edit(clip, target, seed=number, **how)
            change = 255 * (made.frames - clip.frames).abs().mean(0)
            share = float((change > 20).float().mean())
            rows.append([number, name, _noun_seen(simulator, made, target), share, float(change.median())])
        yield rows


def _noun_seen(simulator: Simulator, clip: Clip, prompt: str) -> int:
    """Whether the noun of a prompt's only thing is seen."""
    noun = facts_of_caption(prompt).things[0].noun
    frames = detect_video(simulator.video_detector, clip).things
    wanted = {noun.material, noun.colour} - {None}
    hits = [
        any(noun.kind in seen.kind and wanted <= {seen.material, seen.colour} for seen in frame)
        for frame in frames
    ]
    return int(sum(hits) >= len(frames) / 4)


EDITS = [
    ("a red rubber ball falls in a studio", "a gold metal ball falls in a studio"),
    ("a violin plays in a concert hall", "a trumpet plays in a concert hall"),
    ("a bell is struck in a restaurant", "a glass bottle is struck in a restaurant"),
    ("a blue glass cube falls in a national park", "a red rubber cube falls in a national park"),
    ("a flute plays in a restaurant", "a cello plays in a restaurant"),
    ("a wooden block is struck in a studio", "a ceramic bowl is struck in a studio"),
    ("a green glass ball falls in a concert hall", "a blue rubber ball falls in a concert hall"),
    ("a guitar plays in a national park", "an accordion plays in a national park"),
]
PARTS = {
    "seams": (seams, ["clip", "way", "step ratio", "level step", "unseen onset", "outside"]),
    "long": (long, ["clip", "part", "gradient", "loudness", "onsets", "events", "matches"]),
    "edits": (edits, ["clip", "way", "target seen", "changed", "median change"]),
    "sizes": (sizes, ["clip", "size", "things seen", "things"]),
}


def interval(values: list[float], of: Callable[[list[float]], float] = median) -> str:
    """A number of values with its 95 % interval, by 2000 bootstrap samples of seed 0."""
    random = Random(0)
    drawn = sorted(of(random.choices(values, k=len(values))) for _ in range(2000))
    return f"{of(values):.2f} ({drawn[49]:.2f} … {drawn[1949]:.2f})"


def share(flags: Iterable[bool]) -> str:
    """How many hold."""
    found = list(flags)
    return f"{sum(found)} of {len(found)}"


def table(part: str, path: Path) -> None:
    """Print the numbers by way, part or size."""
    groups: dict[str, dict[str, list[float]]] = {}
    for row in csv.DictReader(path.open()):
        columns = groups.setdefault(row[PARTS[part][1][1]], {key: [] for key in PARTS[part][1][2:]})
        for key, values in columns.items():
            values.append(float(row[key]))
    for name, found in groups.items():
        shown = {key: interval(values) for key, values in found.items()}
        if part == "seams":
            levels = [abs(value) for value in found["level step"]]
            shown = {
                "step ratio": interval(found["step ratio"]),
                "<= 1.5": share(ratio <= 1.5 for ratio in found["step ratio"]),
                "|level step|": interval(levels),
                "<= 2 dB": share(level <= 2 for level in levels),
                "unseen onsets": share(flag > 0 for flag in found["unseen onset"]),
                "outside, largest": f"{max(found['outside']):.3f}",
            }
        elif part == "sizes":
            seen = [value for value in found["things seen"] if not math.isnan(value)]
            shown["things seen"] = interval(seen, mean)
        elif part == "edits":
            shown["target seen"] = share(flag > 0 for flag in found["target seen"])
        else:
            heard, seen, matched = (sum(found[key]) for key in ("onsets", "events", "matches"))
            shown["synchrony F1, pooled"] = f"{2 * matched / max(heard + seen, 1):.2f}"
        count = len(next(iter(found.values())))
        print(f"{name} (n = {count}): " + ", ".join(f"{key} {value}" for key, value in shown.items()))
    if part == "long":
        own = groups["world, first"], groups["world, last"]
        steady = [abs(b - a) <= 3 for a, b in zip(own[0]["loudness"], own[1]["loudness"], strict=True)]
        every = [True] * len(steady)
        changes("last / first, all scenes", groups["first"], groups["last"], every)
        changes("the world's own, all scenes", *own, every)
        changes("scenes as loud at the world's own end", groups["first"], groups["last"], steady)
        changes("the world's own of these", *own, steady)


def changes(
    name: str, first: dict[str, list[float]], last: dict[str, list[float]], chosen: list[bool]
) -> None:
    """Print how the last seconds of some clips differ from their first ones."""
    rows = [number for number, taken in enumerate(chosen) if taken]
    if not rows:
        return
    ratios = [last["gradient"][row] / first["gradient"][row] for row in rows]
    louder = [last["loudness"][row] - first["loudness"][row] for row in rows]
    scores = []
    for each in (first, last):
        heard, seen, matched = (
            sum(each[key][row] for row in rows) for key in ("onsets", "events", "matches")
        )
        scores.append(f"{2 * matched / max(heard + seen, 1):.2f}")
    print(
        f"{name} (n = {len(rows)}): gradient {interval(ratios)}, "
        f"within 25 %: {share(abs(ratio - 1) <= 0.25 for ratio in ratios)}; "
        f"loudness {interval(louder)} LU, within 3: {share(abs(change) <= 3 for change in louder)}; "
        f"synchrony F1, pooled {' -> '.join(scores)}"
    )


def main() -> None:
    """Measure one part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=32)
    parser.add_argument("--checkpoint", default="small")
    arguments = parser.parse_args()
    measured, names = PARTS[arguments.part]
    path = arguments.out / f"{arguments.part}.csv"
    arguments.out.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_text(",".join(names) + "\n")
    done = max((int(row["clip"]) for row in csv.DictReader(path.open())), default=-1)
    if done + 1 < arguments.count:
        for rows in measured(load(arguments.checkpoint), done + 1, arguments.count):
            with path.open("a", newline="") as file:
                csv.writer(file).writerows(rows)
    table(arguments.part, path)


if __name__ == "__main__":
    main()
