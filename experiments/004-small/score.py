"""Metrics of the small checkpoint's clips: python score.py MODEL OUT [--count 256] [--level medium]

Prompts, videos and audio are those of held-out clips of the world (split "test", seed 4). Each caption is
generated jointly, each video gets audio (with the caption, with the detector's caption, and unconditionally)
and each audio a video; the clips themselves, and through the codecs, are the ceiling, shuffled audio is the
floor. Clips and scores are kept in OUT: an interrupted run resumes. OUT/table.md has the rows of RESULT.md;
with --ways and --metrics those that need no others.
"""

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple, replace
from itertools import islice
from pathlib import Path
from statistics import median_low

import torch
from rich.progress import track
from safetensors.torch import load_file

from avsim.clip import Clip
from avsim.data.resuming import check_settings
from avsim.data.shards import from_int16, from_uint8, to_int16, to_uint8, write_json, write_shard
from avsim.devices import autocast_if_faster
from avsim.diffusion import AUDIO_TO_VIDEO, FOLEY, JOINT, Latents
from avsim.diffusion.generate import STEPS
from avsim.evaluation.events import EventSynchrony
from avsim.evaluation.faults import VisibleFaults, gradient_energy, log_sharpness
from avsim.evaluation.features import Detectors, Features
from avsim.evaluation.integrity import Integrity
from avsim.evaluation.metric import ClipScorer, mean
from avsim.evaluation.oracle import oracle_features
from avsim.evaluation.result import Score
from avsim.evaluation.suite import METRICS, MetricSuite
from avsim.evaluation.text import facts_of_caption
from avsim.files import atomic
from avsim.simulator import Simulator, load
from avsim.simulator.defaults import FIRST_FRAME_LEAD, NUM_CANDIDATES, STUDENT_TASKS, default_guidance
from avsim.simulator.loading import part_folders
from avsim.simulator.models import Sampling
from avsim.weights import SMALL, TENSORS, hash_of
from avsim.world import Truth, WorldDataset

TRUE, CODECS, JOINTLY, FOLEYED, NO_PROMPT, UNCOND, VISUALIZED = (
    "truth", "through codecs", "joint", "foley", "foley, no prompt", "foley, unconditional", "visualize",
)  # fmt: skip
WAYS = (TRUE, CODECS, JOINTLY, FOLEYED, NO_PROMPT, UNCOND, VISUALIZED)
TASKS = {JOINTLY: JOINT, FOLEYED: FOLEY, NO_PROMPT: FOLEY, UNCOND: FOLEY, VISUALIZED: AUDIO_TO_VIDEO}
BATCH = 8
AUDIBLE, VISIBLE = "audible against true contacts", "visible against true onsets"  # given the other modality
NOTES, NOTES_SEEN = "audible against visible notes", "visible against true notes"
COUNT = "number of objects"
FALLING = "visible faults where something falls"
JUDGES = ("audio_detector", "video_detector", "sync_model", "separator", "fault_detector")
MOST = 9  # objects; larger counts are one class


class Numbers(ClipScorer):
    """Whether the median frame has as many objects as the prompt; chance: as another clip's prompt."""

    width = 2  # seen, prompted

    def update(self, seen: int, prompted: int) -> None:
        """Score one clip."""
        self.keep([seen, prompted])

    def numbers(self, rows: torch.Tensor) -> dict[str, torch.Tensor]:
        """Shares of clips."""
        seen, prompted = rows.unbind(-1)
        each = torch.arange(MOST)[:, None]
        both = [(each == count[..., None, :]).double().mean(-1) for count in (seen, prompted)]  # (..., MOST)
        return {"right": mean((seen == prompted).double()), "chance of right": (both[0] * both[1]).sum(-1)}


def world(level: str, split: str, count: int) -> Iterator[tuple[Clip, Truth]]:
    """Held-out clips."""
    return islice(WorldDataset(level, seed=4, split=split), count)


def generate_all(
    model: str, out: Path, ways_: Sequence[str], level: str, split: str, count: int, steps: int
) -> None:
    """Generate every clip in these ways, in whole batches, where it does not exist yet."""
    simulator = load(model)
    data = WorldDataset(level, seed=4, split=split)
    for first in track(range(0, count, BATCH), "drawing"):
        files = {way: out / way / f"{first:05d}.safetensors" for way in ways_}
        missing = [way for way, file in files.items() if not file.exists()]
        clips = [data[number] for number in range(first, first + BATCH)] if missing else []
        for way in missing:
            frames, wave = ways(simulator, way, clips, first, steps)
            write_shard(files[way], {"frames": to_uint8(frames.clamp(0, 1)), "wave": to_int16(wave)})


@torch.no_grad()
def ways(
    simulator: Simulator, way: str, clips: list[tuple[Clip, Truth]], seed: int, steps: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Frames (B, 3, T, H, W) and waves (B, A, N) of some clips in one way."""
    frames = torch.stack([clip.frames for clip, _ in clips])
    wave = torch.stack([clip.wave for clip, _ in clips])
    if way == TRUE:
        return frames, wave
    spec = simulator.latent_spec(clips[0][0].seconds, None)
    video_codec, audio_codec = simulator.video_codec, simulator.audio_codec
    task = TASKS.get(way)
    with autocast_if_faster("cpu"):
        video = video_codec.encode(frames) if task in (None, FOLEY) else None
        audio = audio_codec.encode(wave) if task in (None, AUDIO_TO_VIDEO) else None
        if task is None:
            return video_codec.decode(video, spec.clip).float(), audio_codec.decode(audio, spec.clip).float()
    captions = [
        "" if way == UNCOND else simulator.describe(clip) if way == NO_PROMPT else truth.caption
        for clip, truth in clips
    ]
    generated = simulator.sample_clips(
        captions, spec, task, Latents(video, audio), seed, Sampling(steps=steps)
    )
    return (
        frames if task is FOLEY else torch.stack([clip.frames for clip in generated]),
        wave if task is AUDIO_TO_VIDEO else torch.stack([clip.wave for clip in generated]),
    )


def scorer(task: tuple[Path, str, tuple[str, ...], str, str, int]) -> dict[str, Score]:
    """All numbers of the clips of one way, by name, with their floors."""
    out, way, metrics, level, split, count = task
    hashes = [hash_of(SMALL / part / TENSORS)[:8] for part in JUDGES if (SMALL / part).is_dir()]
    of = f", {' and '.join(metrics)}" if metrics else ""
    kept = out / f"{way}, {count}{of}, scored by {'-'.join(hashes)}.json"
    if not kept.exists():
        torch.set_num_threads(1)
        found = {
            name: vars(score) for name, score in scores(out, way, metrics, world(level, split, count)).items()
        }
        write_json(kept, found)
    return {name: Score(**score) for name, score in json.loads(kept.read_text()).items()}


@torch.no_grad()
def scores(
    out: Path, way: str, metrics: tuple[str, ...], clips: Iterator[tuple[Clip, Truth]]
) -> dict[str, Score]:
    """The results of these metrics, or of all, for one way."""
    detectors = Detectors.shipped()
    chosen = [metric for metric in METRICS if not metrics or metric.name.startswith(metrics)]
    suite = MetricSuite(chosen, floors=not metrics, weights=detectors.weights)
    falling = VisibleFaults()  # of clips in which something falls
    moments = {name: EventSynchrony() for name in (AUDIBLE, VISIBLE, NOTES, NOTES_SEEN)}
    count = Numbers()
    things = {"one object": Integrity(), "more objects": Integrity()}
    for number, (clip, truth) in enumerate(clips):
        row = number % BATCH
        stored = load_file(out / way / f"{number - row:05d}.safetensors")
        made = replace(clip, frames=from_uint8(stored["frames"][row]), wave=from_int16(stored["wave"][row]))
        found, known = Features(made, detectors, truth.caption), oracle_features(clip, truth)
        suite.update(found)
        if truth.scene.bodies and detectors.faults is not None:
            falling.update(found.faults, log_sharpness(gradient_energy(made, found.view.things)))
        if metrics:
            continue
        things["one object" if len(truth.things) == 1 else "more objects"].update(
            found.view.things, clip.frames_per_second
        )
        count.update(median_low(map(len, found.view.things)), len(facts_of_caption(truth.caption).things))
        pairs = [(AUDIBLE, found.onsets, known.view.events), (VISIBLE, known.onsets, found.view.events)]
        if truth.scene.players:
            pairs += [
                (NOTES, found.onsets, found.view.events), (NOTES_SEEN, known.onsets, found.view.events)
            ]  # fmt: skip
        for name, heard, seen in pairs:
            moments[name].update(
                [onset.seconds for onset in heard],
                [event.seconds for event in seen],
                clip.frames_per_second,
                clip.seconds,
            )
    numbers = {}
    titled = (
        {}
        if metrics
        else moments | {f"integrity of {name}": one for name, one in things.items()} | {COUNT: count}
    )
    titled |= {FALLING: falling}
    for title, one in titled.items():
        numbers |= {f"{title}: {name}": score for name, score in one.scores().items()}
    for name in [name for name in numbers if ": chance of " in name]:
        of = name.replace("chance of ", "")
        numbers[of] = replace(numbers[of], floor=numbers[name].value)
    return said_by(suite) | numbers


def said_by(suite: MetricSuite) -> dict[str, Score]:
    """All numbers of a metric suite, as "metric: number"."""
    return {
        f"{result.metric.name}: {name}": score
        for result in suite.results()
        for name, score in result.scores.items()
    }


F1, RIGHT_FRAMES = "F1 within 1 frame", "clips with at least 90 % of frames right"
LEVEL, PLACE = (
    "level difference against place, correlation",
    "distance from heard to seen position, frame widths",
)
SHARE = "grounding: share of the energy that falls to what sounds"
PHYSICS = (
    "1 identity and material", "2 speed and loudness", "3 place and decay", "4 timbre",
    "5 size, pitch and bounces", "6 superposition",
)  # fmt: skip
FAULTS = (
    ("frames without visible faults", "frames without visible faults"),
    ("clips without: in at least 90 % of frames", "clips with at least 90 % of frames without"),
    (
        "sharpness of things, over true ones of their kinds",
        "gradient energy of things over true ones' of their kinds",
    ),
)  # what, number
ROWS = (  # what, way, number, bar (of the ceiling, or as it is), whether it is a share of the ceiling
    ("synchrony, video → audio, true contacts", FOLEYED, f"{AUDIBLE}: {F1}", 0.90, True),
    ("the same without a prompt", NO_PROMPT, f"{AUDIBLE}: {F1}", None, True),
    ("synchrony, joint", JOINTLY, f"synchrony of events: {F1}", 0.80, True),
    ("synchrony, audio → video, true onsets", VISUALIZED, f"{VISIBLE}: {F1}", 0.70, True),
    ("objects seen as prompted", JOINTLY, "text: things seen, right", 0.85, True),
    ("materials seen as prompted", JOINTLY, "text: materials seen, right", 0.85, True),
    ("number of objects as prompted", JOINTLY, f"{COUNT}: right", 0.85, True),
    ("objects audible as prompted", JOINTLY, "text: things heard, right", 0.85, True),
    ("materials audible as prompted", JOINTLY, "text: materials heard, right", 0.85, True),
    ("place seen", JOINTLY, "text: place seen, right", 0.90, True),
    ("place audible", JOINTLY, "text: place heard, right", 0.90, True),
    ("level against place, foley: correlation", FOLEYED, f"space: {LEVEL}", 0.85, False),
    ("distance of audible from visible place, foley", FOLEYED, f"space: {PLACE}", 0.12, False),
    *((f"physics, joint: {row}", JOINTLY, f"physics, {row}", 0.80, True) for row in PHYSICS),
    ("integrity of one object", JOINTLY, f"integrity of one object: {RIGHT_FRAMES}", 0.80, True),
    ("integrity of more objects", JOINTLY, f"integrity of more objects: {RIGHT_FRAMES}", 0.40, True),
    *((what, JOINTLY, f"visible faults: {name}", None, False) for what, name in FAULTS),
    *(
        (f"the same, where something falls: {what}", JOINTLY, f"{FALLING}: {name}", None, False)
        for what, name in FAULTS
    ),
    ("instruments: the video detector's notes, true video", TRUE, f"{NOTES_SEEN}: {F1}", None, False),
    ("instruments, joint: audible against visible notes", JOINTLY, f"{NOTES}: {F1}", 0.75, True),
    ("foley without a prompt: objects audible", NO_PROMPT, "text: things heard, right", 0.85, True),
    ("foley without a prompt: materials audible", NO_PROMPT, "text: materials heard, right", 0.85, True),
    ("foley, unconditional: objects audible", UNCOND, "text: things heard, right", None, True),
    ("foley, unconditional: materials audible", UNCOND, "text: materials heard, right", None, True),
    ("grounding, joint", JOINTLY, SHARE, 0.75, True),
)


def table(found: dict[str, dict[str, Score]]) -> str:
    """The rows of RESULT.md; a share of a ceiling less than 0.3 above the floor is void."""
    lines = [
        "| what | value | 95 % | clips | floor | truth | through codecs | of the ceiling | bar |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for what, way, name, bar, share in ROWS:
        names = [each for each in found.get(way, ()) if each == name or each.startswith(f"{name}: ")]
        if not names:
            continue
        one = found[way][names[0]]
        ceilings = [found[each][names[0]].value if each in found else math.nan for each in (TRUE, CODECS)]
        known = [each for each in ceilings if not math.isnan(each)]
        floor = 0.0 if math.isnan(one.floor) else one.floor
        of = replace(one, floor=floor, ceiling=max(known, default=math.nan)).of_ceiling if share else math.nan
        cells = [
            what, shown(one.value), f"{shown(one.low)} … {shown(one.high)}", str(one.clips),
            *map(shown, (one.floor, *ceilings, of, math.nan if bar is None else bar)),
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def shown(value: float) -> str:
    """Two digits, or a dash."""
    return "–" if math.isnan(value) else f"{value:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("out", type=Path)
    parser.add_argument("--level", default="medium")
    parser.add_argument("--split", default="test", help='or "held out": combinations that no training had')
    parser.add_argument("--count", type=int, default=256)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--metrics", nargs="+", default=[], help="those whose names begin so; all by default")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    world_of = arguments.level, arguments.split, arguments.count
    folders = part_folders(arguments.model, "generator")
    parts = [name for name in folders if name != "separator"]
    arguments.out.mkdir(parents=True, exist_ok=True)
    has = "student" in parts, "sync_model" in parts
    settings = {
        "weights": {name: hash_of(folders[name] / TENSORS) for name in parts},
        "world": world_of[:2],
        "steps": arguments.steps,
        "guidance": {way: astuple(default_guidance(task.name, *has)) for way, task in TASKS.items()},
        "candidates": NUM_CANDIDATES,
        "ahead": FIRST_FRAME_LEAD,
        "student": STUDENT_TASKS,
    }
    check_settings(arguments.out, json.loads(json.dumps(settings)), "generated clips")
    generate_all(arguments.model, arguments.out, arguments.ways, *world_of, arguments.steps)
    tasks = [(arguments.out, way, tuple(arguments.metrics), *world_of) for way in arguments.ways]
    with ProcessPoolExecutor(arguments.jobs) as pool:
        found = dict(zip(arguments.ways, pool.map(scorer, tasks), strict=True))
    text = table(found)
    with atomic(arguments.out / "table.md") as temporary:
        temporary.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
